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
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal

from gradcli import api, engine, running
from gradcli.asking import OPTIONS, asked, const_texts, mapping_of
from gradcli.ir.aval import NUMPY_NAMES
from gradcli.record import replace
from gradcli.request import ModelFile, Request, Result, Verb
from gradcli.syntax.diagnostics import fail

if TYPE_CHECKING:
    from gradcli.plan import Plan


class Arrays(Sequence[Any]):
    """Named arrays in order: `g["x"]`, `dx, dy = g`, `g.items()`. The arrays are the caller's own."""

    def __init__(self, arrays: Mapping[str, Any]) -> None:
        self._arrays = dict(arrays)

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
        inside = ", ".join(f"{name}: {a.dtype}{list(a.shape)}" for name, a in self._arrays.items())
        return f"Arrays({inside})"


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
        program = api.open_program(file, self._request)
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

    def run(self, verb: Verb, **options: Any) -> Result:
        """The whole result, with notes and reasons, as the command line reports it."""
        return api.run(self._file, self._asked(verb, options))

    def compile(self, verb: Literal["grad", "eval"] = "grad", **options: Any) -> Compiled:
        """A callable that is planned once for each set of shapes and dtypes."""
        return Compiled(self, self._asked(verb, options))

    def _asked(self, verb: Verb, options: dict[str, Any]) -> Request:
        if verb not in ("grad", "eval"):
            raise fail("USE001", f"there is no verb `{verb}` here", help="`grad` or `eval`")
        given = {name: options.pop(name) for name in list(options) if name in OPTIONS}
        return asked(replace(self._request, verb=verb), given, options)


def _arrays(result: Result) -> Arrays:
    return Arrays({e.name: e.array for e in (*(result.values or ()), *result.grads)})


class Compiled:
    """`f(x=…)`, or in full `f(inputs={…}, params={…}, out={…})`; safe to call from several threads.

    With `out`, results are copied into the arrays given there by name, and those are returned.
    """

    def __init__(self, net: Net, request: Request) -> None:
        self._net = net
        self._request = request
        self._machine = api.machine_of(request)
        self._plans: dict[Any, tuple[Plan, list[str], list[Any], dict[str, int]]] = {}
        self._lock = Lock()

    def __call__(
        self,
        inputs: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        sens: Any = None,
        out: Mapping[str, Any] | None = None,
        **keywords: Any,
    ) -> Arrays:
        for label, mapping in (("inputs", inputs), ("params", params), ("out", out)):
            mapping_of(label, mapping)
        given = {**self._request.arrays, **(inputs or {}), **keywords}
        weights = dict(self._request.param_arrays) | dict(params or {})
        key = (_signature(given), _signature(weights), sens is None or _signature({"sens": sens}))
        with self._lock:
            known = self._plans.get(key)
            if known is None or sens is not None:
                known = self._plan(given, weights, sens)
                if sens is None:
                    self._plans[key] = known
        plan, names, arrays, places = known
        targets = _targets(plan, names, out or {})
        arrays = list(arrays)
        for name, value in (*given.items(), *weights.items()):
            if name in places:
                arrays[places[name]] = engine.fit(value, plan.graph.inputs[places[name]].aval, name)
        made = dict(zip(names, engine.run_plan(plan, arrays, self._machine), strict=True))
        for name, target in targets.items():
            target[...] = made[name]
            made[name] = target
        return Arrays(made)

    def _plan(self, given: Mapping[str, Any], weights: Mapping[str, Any], sens: Any) -> Any:
        request = replace(self._request, arrays=given, param_arrays=weights)
        if sens is not None:
            request = replace(request, sens_arrays=sens)
        program = api.open_program(self._net._file, request)
        prepared = api.read_params(program.prepare(request.net, api.read_feeds(program, request)), request)
        inputs = running.feed_arrays(prepared, self._machine)
        if request.verb == "eval":
            graph, names = prepared.graph, list(prepared.outputs)
        else:
            weighted = running.read_sens(program, prepared, request)
            derived = running.derive_request(prepared, request, None if weighted is None else list(weighted))
            if weighted is not None:
                inputs += running.sens_arrays(weighted, derived.weighted, self._machine)
            names = [",".join(n) for n in derived.names]
            graph = derived.graph if request.value else api.gradients_only(prepared.graph, derived)
            names = [f"value/{n}" for n in prepared.outputs] + names if request.value else names
        places = {fed.name: fed.position for fed in (*prepared.inputs, *prepared.params)}
        return engine.plan_of(graph, self._machine), names, inputs, places


def _targets(plan: Plan, names: Sequence[str], out: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays of `out`, once it is sure that each can hold its result. Raises ModelError DAT102 or DAT105."""
    avals = dict(zip(names, (value.aval for value in plan.graph.outputs), strict=True))
    for name, target in out.items():
        if name not in avals:
            raise fail("DAT102", f"`out` names {name}, which is no result", notes=[f"results: {', '.join(avals)}"])
        aval = avals[name]
        shape, dtype = getattr(target, "shape", None), str(getattr(target, "dtype", "no array"))
        if shape != tuple(aval.shape) or dtype != NUMPY_NAMES[aval.dtype]:
            have = type(target).__name__ if shape is None else f"{dtype}{list(shape)}"
            raise fail("DAT105", f"`out` for {name} is {have}, the result {aval}", help="give an array of that type")
        if not target.flags.writeable:
            raise fail("DAT105", f"`out` for {name} is read-only")
    return dict(out)


def _signature(arrays: Mapping[str, Any]) -> tuple[Any, ...]:
    found = []
    for name, value in arrays.items():
        if hasattr(value, "dtype"):
            found.append((name, tuple(value.shape), str(value.dtype), True))
        else:
            array = api.array_feed(value, name).array
            found.append((name, tuple(array.shape), str(array.dtype), False))
    return tuple(found)


__all__ = ["Arrays", "Compiled", "Net", "compile", "load"]
