"""What `gradcheck` checks: φ = ⟨ct, f⟩ for each f that is differentiated, and the gradients that `grad` computes.

f are the float outputs of the net, then for order n each gradient of order n - 1; ct is random, or what `--sens` gives.
Of a high order by one input, without `--sens`, `grad` has a way of its own: that is the one that is checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gradcli import weights
from gradcli.ad.reverse import float_outputs, reverse
from gradcli.differentiate import Scene, Target, by_series, derive
from gradcli.engine import Machine, run_graph
from gradcli.gradcheck.slopes import Weighted
from gradcli.interp.program import Prepared
from gradcli.ir.graph import Graph
from gradcli.ir.live import outputs_from, without_dead
from gradcli.record import record, replace
from gradcli.request import Request
from gradcli.running import feed_arrays
from gradcli.weights import Given

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


SHAKES = 5  # times that a gradient is computed at inputs off by rounding


@record(eq=False)
class Function:
    """f: `graph` gives it, and `prefix` names what it is already a derivative by. `series` gives its gradient where
    that is not one more reverse pass."""

    prefix: tuple[str, ...]
    graph: Graph
    sens: Mapping[str, Given]  # of each output
    series: Graph | None = None


@record(eq=False)
class Problem:
    """φ = ⟨cts, f⟩ at the point `arrays`: f there, and the gradient by each target."""

    prefix: tuple[str, ...]
    graph: Graph
    arrays: Sequence[Array]
    cts: Sequence[Array]
    targets: Sequence[Target]
    values: Sequence[Array]
    gradients: Sequence[Array]
    gradients_at: Callable[[Sequence[Array]], Sequence[Array]]  # a point beside this one

    def blurs(self) -> list[Array]:
        """How far each gradient moves where every input is off by a unit of rounding: no program computes it closer.
        The median of some times, as it may jump at a kink, and move by nothing by chance."""
        import numpy as np

        with np.errstate(all="ignore"):
            tried = [self.gradients_at([off_by_rounding(x, seed) for x in self.arrays]) for seed in range(SHAKES)]
            apart = [[abs(x.astype("f8") - y) for x, y in zip(self.gradients, one, strict=True)] for one in tried]
            return [np.nan_to_num(np.median(of_one, axis=0), posinf=0.0) for of_one in zip(*apart, strict=True)]

    def weighted(self, machine: Machine) -> Weighted:
        moved = [target.position for target in self.targets]
        return Weighted(self.graph, self.arrays, self.cts, self.values, moved, machine)


def replace_order(request: Request, scene: Scene) -> Request:
    """The request that says what `--sens` may weight: gradients by all that is checked."""
    if request.order == 1 or request.at is not None or request.wrt or request.get_all or request.get_by_list:
        return request
    return replace(request, wrt=",".join(target.name for target in scene.targets))


def point_of(scene: Scene, prepared: Prepared, machine: Machine) -> list[Array]:
    """The inputs of the scene's graph: those of the net, and the value of the line that it begins with."""
    arrays = feed_arrays(prepared, machine)
    return arrays if scene.whole is None else [*arrays, *run_graph(scene.whole, arrays, machine)]


def functions_of(
    scene: Scene, prepared: Prepared, request: Request, given: dict[str, Given] | None, seed: int
) -> Iterator[Function]:
    """One for the outputs, then for each order one for each gradient of the order before. `--sens` is of the last."""
    for order in range(1, request.order + 1):
        weighed = given if order == request.order else None
        series = by_series(scene.graph, scene.targets, order) if weighed is None else None
        own = None if series is None else outputs_from(series.graph, -1)
        for prefix, graph, labels in _differentiated(scene, prepared.outputs, order):
            if weighed is not None and not set(labels) & set(weighed):
                continue
            if own is not None:
                sens = [Given("ones", "", None)]
            elif weighed is None:
                sens = [Given("random", f"random:{seed + k}", seed + k) for k in range(len(labels))]
            else:
                sens = [weighed[label] for label in labels]
            yield Function(prefix, graph, dict(zip(labels, sens, strict=True)), own)


def problem_of(function: Function, arrays: Sequence[Array], targets: Sequence[Target], machine: Machine) -> Problem:
    """With the gradients that the engine computes. Raises ModelError DIF001, DIF002 or DIF008, and where an operator
    refuses the data, also one that no gradient needs."""
    graph = function.graph
    sens = zip(function.sens.values(), graph.outputs, strict=True)
    cts = [weights.array(one, out.aval, machine, "sens") for one, out in sens]
    series = function.series
    if series is not None:
        values, gradients = (run_graph(one, arrays, machine) for one in (graph, series))
        return Problem(function.prefix, graph, arrays, cts, targets, values, gradients,
                       lambda point: run_graph(series, point, machine))  # fmt: skip
    whole, n = reverse(graph, [target.position for target in targets], sens="inputs"), len(graph.outputs)
    made = run_graph(whole, [*arrays, *cts], machine)
    return Problem(function.prefix, graph, arrays, cts, targets, made[:n], made[n:],
                   lambda point: run_graph(whole, [*point, *cts], machine)[n:])  # fmt: skip


def off_by_rounding(x: Array, seed: int) -> Array:
    """Every element one unit of rounding larger or smaller; what is no float stays."""
    import numpy as np

    from gradcli.data.random import initialise

    if x.dtype.kind != "f":
        return x
    up = initialise("normal", x.shape, "f64", seed=seed, path="rounding") > 0
    moved: Array = np.nextafter(x, np.where(up, np.inf, -np.inf).astype(x.dtype))
    return np.where(x == 0, x, moved)


def problem_alone(graph: Graph, arrays: Sequence[Array], seed: int) -> Problem:
    """A graph by itself: its float outputs by its float inputs."""
    only = _outputs_of(graph, float_outputs(graph, None))
    sens = {f"output {k}": Given("random", "", seed + k) for k in range(len(only.outputs))}
    floats = [k for k, value in enumerate(graph.inputs) if value.aval.is_float]
    targets = [Target(f"input {k}", "input", k) for k in floats]
    return problem_of(Function((), only, sens), arrays, targets, Machine())


def _differentiated(
    scene: Scene, outputs: Sequence[str], order: int
) -> Iterator[tuple[tuple[str, ...], Graph, Sequence[str]]]:
    """By what it is already a derivative, its graph, and the names of its outputs."""
    graph = scene.graph
    if order == 1:
        floats = float_outputs(graph, None)
        yield (), _outputs_of(graph, floats), [outputs[k] for k in floats]
        return
    made = derive(graph, scene.targets, order - 1, outputs, None)
    for k, names in enumerate(made.names):
        yield names, _outputs_of(made.graph, [len(graph.outputs) + k]), [",".join(names)]


def _outputs_of(graph: Graph, positions: Sequence[int]) -> Graph:
    outputs = tuple(graph.outputs[k] for k in positions)
    return without_dead(Graph(graph.inputs, graph.nodes, outputs, graph.n_values, graph.names))
