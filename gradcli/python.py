"""The Python API: the words of the command line, on arrays.

net = gradcli.load("model.net")
net.grad(x=x, y=y, get_all=True, sens=s)["x"]
step = net.compile("grad", wrt="params")       # planned once, run many times
g = step(x=batch, params={"l1.w": w})
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

from gradcli import api, engine, opening
from gradcli.asking import ALONG, OPTIONS, TRUSTING, asked, const_texts, mapping_of, true_or_false, whole_number
from gradcli.ir.aval import NUMPY_NAMES
from gradcli.planning import Planned, plan
from gradcli.recalling import Group, Key, Route, by_place, key_of, route_of
from gradcli.record import replace
from gradcli.request import CheckedGradients, ModelFile, Request, Result, SparseMatrix, Verb
from gradcli.syntax.diagnostics import fail

if TYPE_CHECKING:
    from gradcli.facts.trace import Trace


class Arrays(Sequence[Any]):
    """Named arrays in order: `g["x"]`, `dx, dy = g`, `g.items()`. The arrays are the caller's own."""

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        self._arrays = dict(arrays)

    @classmethod
    def of(cls, arrays: dict[str, Any]) -> Arrays:
        """Keeps `arrays` as it is: nobody else may hold it."""
        made = cls.__new__(cls)
        made._arrays = arrays
        return made

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return self._arrays[key]
        return list(self._arrays.values())[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._arrays.values())

    def __len__(self) -> int:
        return len(self._arrays)

    def __contains__(self, key: object) -> bool:
        return key in self._arrays

    def keys(self) -> list[str]:
        return list(self._arrays)

    def items(self) -> list[tuple[str, Any]]:
        return list(self._arrays.items())

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}: {_dtype(a)}{list(a.shape)}" for name, a in self._arrays.items())
        return f"Arrays({inside})"


def _dtype(array: Any) -> str:
    return f"sparse {array.data.dtype}" if isinstance(array, SparseMatrix) else str(array.dtype)


def load(path: str | PathLike[str], *, net: str | None = None, consts: Mapping[str, Any] | None = None) -> Net:
    """The entry net of a model file. Raises ModelError for a text that cannot be read, or has no entry net; shapes
    are judged when data are known."""
    return Net(ModelFile(Path(path)), net, consts)


def compile(text: str, *, net: str | None = None, consts: Mapping[str, Any] | None = None) -> Net:
    """The entry net of a model given as text."""
    return Net(ModelFile(text=text, name="<text>"), net, consts)


class Net:
    """A net with its model: `grad`, `eval`, and `compile` for calls that are made often."""

    def __init__(self, file: ModelFile, net: str | None, consts: Mapping[str, Any] | None) -> None:
        self._file = file
        self._request = Request(net=net, consts=const_texts(consts or {}))
        program = opening.open_program(file, self._request)
        self.name = program.entry(net).name.id
        self.inputs = tuple(i.name.id for i in program.entry(net).inputs)

    def __repr__(self) -> str:
        return f"<net {self.name}({', '.join(self.inputs)})>"

    def grad(self, **options: Any) -> Arrays:
        """Gradients by name. Options are those of `gradcli grad`; all other keywords are inputs.

        `value=True` puts the net's values first, as `value/out`. Raises ModelError.
        """
        return _arrays(self.run("grad", **options))

    def eval(self, **options: Any) -> Arrays:
        """The net's values by name."""
        return _arrays(self.run("eval", **options))

    def jvp(self, **options: Any) -> Arrays:
        """The tangent of each float output, of its shape, along `tangent`: `net.jvp(x=x, tangent={"x": t})`.

        A tangent has the shape and dtype of its input or param exactly; those without one stay as they are. Where there
        is only one, the array alone will do. Raises ModelError: USE004 without a tangent, DIF003 or DIF009 for one of
        an unknown name, DIF001 for one of an integer, DIF004 for another shape or dtype, DIF005 where it needs a name.
        """
        return _arrays(self.run("jvp", **options))

    def jac(self, **options: Any) -> Arrays:
        """The Jacobian as blocks: `J["out/x"]` has the dims of `out`, then those of `x`.

        Options say by what, as in `grad`. With `order=2`, `J["out/x,y"]` has the dims of `out`, `x` and `y`. With
        `sparse=True` a block is a matrix in compressed rows, of elements of the one by elements of the other: `data`,
        `indices`, `indptr`, `shape`. Raises ModelError: NUM001 where the blocks would not fit into memory, DIF001 to
        DIF003 where there is no derivative, NUM008 for a sparse one that is dense.
        """
        return _arrays(self.run("jac", **options))

    def hess(self, **options: Any) -> Arrays:
        """The Hessian of the outputs, summed or weighted by `sens`: `H["x/y"]` has the dims of `x`, then those of `y`.

        With `vec={"x": v}` it is instead its product with `v`, without the matrix: `p["x"]` has the shape of `x`. A
        vector has the shape and dtype of its input or param; where one is selected, the array alone will do.
        `sparse=True` is as in `jac`. Raises ModelError: NUM001 where the blocks would not fit into memory, DIF009 for a
        vector of what is not selected.
        """
        return _arrays(self.run("hess", **options))

    def run(self, verb: Verb, **options: Any) -> Result:
        """The whole result, with notes and reasons, as the command line reports it."""
        return api.run(self._file, self._asked(verb, options))

    def gradcheck(self, *, seed: int = 0, elements: int | None = None, **options: Any) -> CheckedGradients:
        """The gradients held against central differences, as `gradcli gradcheck` does: `found.ok`, `found.rows`.

        By all float inputs and params, if nothing is selected; `seed` is of what is drawn at random, and at most
        `elements` of each array are moved alone. Raises ModelError as `grad` does.
        """
        for name, number in (("seed", seed), ("elements", elements)):
            whole_number(name, number, 0)
        request = self._about(self._request, TRUSTING["gradcheck"], options)
        return api.gradcheck(self._file, request, seed=seed, elements=elements)

    def trace(self, *, margins: bool = False, **options: Any) -> Trace:
        """Where a number went bad, as `gradcli trace` tells: `found.finding` is None where nothing did.

        The gradients are those that `grad` would give. With `margins`, near misses too. Raises ModelError as `grad`
        does.
        """
        true_or_false("margins", margins)
        return api.trace(self._file, self._about(self._request, TRUSTING["trace"], options), margins=margins)

    def compile(self, verb: Verb = "grad", **options: Any) -> Compiled:
        """A callable that is planned once for each set of shapes and dtypes."""
        return Compiled(self, self._asked(verb, options))

    def _asked(self, verb: Verb, options: dict[str, Any]) -> Request:
        if verb not in OPTIONS:
            raise fail("USE001", f"there is no verb `{verb}` here", help=f"one of {', '.join(OPTIONS)}")
        return self._about(replace(self._request, verb=verb), OPTIONS[verb], options)

    def _about(self, request: Request, names: Sequence[str], options: dict[str, Any]) -> Request:
        """The request with options of these names; what is left of `options` are inputs."""
        given = {name: options.pop(name) for name in names if name in options}
        return asked(request, given, options)


def _arrays(result: Result) -> Arrays:
    return Arrays({e.name: e.array if e.matrix is None else e.matrix for e in result.arrays})


class Compiled:
    """`f(x=…)`, or in full `f(inputs={…}, params={…}, out={…})`; safe to call from several threads.

    `sens`, the `tangent` of `jvp` and the `vec` of `hess` may be given at each call. With `out`, results are copied
    into the arrays given there by name, and those are returned.
    """

    def __init__(self, net: Net, request: Request) -> None:
        import numpy as np

        self._net = net
        self._request = request
        self._machine = opening.machine_of(request)
        self._options = OPTIONS[request.verb]
        self._along = [name for name in ALONG if name in self._options]
        self._plans: dict[Any, Planned] = {}
        self._routes: dict[Key | None, Route] = {}
        self._plain = np.ndarray
        self._lock = RLock()  # making a plan may read arrays whose reading calls this again

    def __call__(
        self,
        inputs: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        sens: Any = None,
        out: Mapping[str, Any] | None = None,
        **keywords: Any,
    ) -> Arrays:
        if sens is not None and "sens" not in self._options:
            sens, keywords = None, {**keywords, "sens": sens}
        weights: dict[str, Any] = {} if sens is None else {"sens": sens}
        for name in self._along:
            if name in keywords:
                weights["along"] = keywords.pop(name)
        groups = (self._request.arrays, inputs, keywords, self._request.param_arrays, params, by_place(weights))
        key = key_of(groups, self._plain)
        route = self._routes.get(key)
        if route is not None:
            targets = None if out is None else _targets(route.planned, mapping_of("out", out))
            made = route(groups)
        else:
            made, targets = self._first(key, groups, weights, out)
        if targets:
            for name, target in targets.items():
                if hasattr(target, "set"):  # an array of a GPU
                    target.set(made[name])
                else:
                    target[...] = made[name]
                made[name] = target
        return Arrays.of(made)

    def _first(
        self, key: Key | None, groups: Sequence[Group], weights: Mapping[str, Any], out: Mapping[str, Any] | None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The results of a call that is not known yet, with the arrays of `out`; it is known from then on."""
        _, inputs, keywords, _, params, _ = groups
        for label, mapping in (("inputs", inputs), ("params", params), ("out", out)):
            mapping_of(label, mapping)
        arrays = {**self._request.arrays, **(inputs or {}), **(keywords or {})}
        trained = {**self._request.param_arrays, **(params or {})}
        planned = self._planned(arrays, trained, weights)
        targets = _targets(planned, out or {})
        run = engine.runner(planned.plan, self._machine)
        made = run(planned.fed(arrays | trained, weights))
        if key is not None and (route := route_of(planned, run, groups)) is not None:
            self._routes[key] = route
        return dict(zip(planned.names, made, strict=True)), targets

    def _planned(self, arrays: Mapping[str, Any], trained: Mapping[str, Any], weights: Mapping[str, Any]) -> Planned:
        """The plan for arrays of these shapes and dtypes; made for the first call that has such."""
        key = (_signature(arrays), _signature(trained), tuple((word, _form(weights[word])) for word in weights))
        with self._lock:
            if key not in self._plans:
                given = {f"{word}_arrays": value for word, value in weights.items() if value is not None}
                request = replace(self._request, arrays=arrays, param_arrays=trained, **given)
                self._plans[key] = plan(self._net._file, request, self._machine)
            return self._plans[key]


def _targets(planned: Planned, out: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays of `out`, once it is sure that each can hold its result. Raises ModelError DAT102 or DAT105."""
    outputs = planned.plan.graph.outputs
    avals = dict(zip(planned.names, (value.aval for value in outputs), strict=True))
    for name, target in out.items():
        if name not in avals:
            raise fail("DAT102", f"`out` names {name}, which is no result", notes=[f"results: {', '.join(avals)}"])
        aval = avals[name]
        shape, dtype = getattr(target, "shape", None), str(getattr(target, "dtype", "no array"))
        if shape != tuple(aval.shape) or dtype != NUMPY_NAMES[aval.dtype]:
            have = type(target).__name__ if shape is None else f"{dtype}{list(shape)}"
            raise fail("DAT105", f"`out` for {name} is {have}, the result {aval}", help="give an array of that type")
        if not getattr(target.flags, "writeable", True):
            raise fail("DAT105", f"`out` for {name} is read-only")
    return dict(out)


def _signature(arrays: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple((name, *_kind(value, name)) for name, value in arrays.items())


def _kind(value: Any, name: str) -> tuple[tuple[int, ...], str, bool]:
    """Shape and dtype, and whether the dtype is the array's own."""
    own = hasattr(value, "dtype")
    array = value if own else opening.array_feed(value, name).array
    return tuple(array.shape), str(array.dtype), own


def _form(given: Any) -> Any:
    """Of sensitivities or directions, what a plan depends on: their names, shapes and dtypes, and texts as they are."""
    if given is None or isinstance(given, str):
        return given
    if isinstance(given, Mapping):
        return tuple((name, _form(value)) for name, value in given.items())
    if isinstance(given, tuple):
        return ("in order", *map(_form, given))
    return _kind(given, "the sensitivity or direction")


__all__ = ["Arrays", "Compiled", "Net", "compile", "load"]
