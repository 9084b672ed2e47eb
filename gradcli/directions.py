"""What `jvp` and `hess --vec` differentiate along: an array for some of the inputs and params, zero for the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gradcli import weights
from gradcli.differentiate import Scene, Target, scene_of
from gradcli.interp.program import Prepared, Program
from gradcli.request import Request
from gradcli.syntax.diagnostics import ModelError, fail, listed, nearest
from gradcli.weights import Asked, Given


def scene_of_jvp(prepared: Prepared, request: Request) -> Scene:
    """What tangents may be given for: all float inputs and params, unless something is named.

    Raises ModelError DIF001 where there is none, and as `scene_of` does.
    """
    if request.at is not None or request.wrt is not None or request.get_all or request.get_by_list:
        return scene_of(prepared, request)
    every = [Target(f.name, "input", f.position) for f in prepared.inputs]
    every += [Target(f.name, "param", f.position) for f in prepared.params]
    floats = tuple(t for t in every if prepared.graph.inputs[t.position].aval.is_float)
    if not floats:
        raise fail("DIF001", f"{prepared.net} has no float input or param to differentiate by")
    return Scene(prepared.graph, floats)


def read_tangents(program: Program, prepared: Prepared, request: Request, scene: Scene) -> dict[str, Given]:
    """Tangents by name. Raises ModelError USE004 where there is none, else as `read_directions`."""
    asked = _asked("--tangent", "tangent", "tangents", prepared, scene)
    found = read_directions(program, prepared, request, asked)
    if not found:
        name, aval = next(iter(asked.avals.items()))
        example = "[1, 0, …]" if aval.shape else "1"
        raise fail(
            "USE004",
            "`jvp` needs a tangent: the direction to differentiate along",
            notes=[asked.listed()],
            help=f"`--tangent {name}='{example}'`, or `--tangent {name}=random:1`",
        )
    return found


def read_vectors(program: Program, prepared: Prepared, request: Request, scene: Scene) -> dict[str, Given] | None:
    """The vectors that `--vec` multiplies with, by name; None where there is none. Raises as `read_directions`."""
    return read_directions(program, prepared, request, _asked("--vec", "vector", "vectors", prepared, scene))


def read_directions(program: Program, prepared: Prepared, request: Request, asked: Asked) -> dict[str, Given] | None:
    """By name, in the order of what may bear one.

    Raises ModelError DIF001 for an integer, DIF003 for an unknown name, DIF004 for another shape or dtype, DIF005 for a
    value without a name where there are several, DIF009 for a name that is not selected.
    """

    def unknown(name: str) -> ModelError:
        return _cannot_bear(prepared, asked, name)

    given = weights.by_name(asked, request.along, request.along_arrays, unknown)
    if given is None:
        return None
    return {name: weights.read(program, asked, name, given[name]) for name in asked.avals if name in given}


def describe(given: Mapping[str, Given] | None) -> tuple[dict[str, Any], ...] | None:
    """Each direction as the report has it."""
    if given is None:
        return None
    return tuple({"wrt": name, "kind": one.kind, "source": one.source or None} for name, one in given.items())


def _asked(option: str, noun: str, plural: str, prepared: Prepared, scene: Scene) -> Asked:
    avals = {t.name: scene.graph.inputs[t.position].aval for t in scene.targets}
    kinds = dict.fromkeys(f"{t.kind}s" if t.kind != "at" else "lines" for t in scene.targets)
    return Asked(option, noun, plural, "input", " and ".join(kinds), avals, prepared.origins)


def _cannot_bear(prepared: Prepared, asked: Asked, name: str) -> ModelError:
    every = {fed.name: fed.aval for fed in (*prepared.inputs, *prepared.params)}
    place = prepared.origins.get(name)
    if name not in every:
        guess = nearest(name, asked.avals)
        return fail(
            "DIF003",
            f"{prepared.net} has no input or param `{name}`, which `{asked.option}` names",
            notes=[asked.listed()],
            help=f"did you mean `{asked.option} {guess}=…`?" if guess else None,
        )
    if not every[name].is_float:
        help = f"declare it as a float in the model: `{name}: f64`"
        return fail("DIF001", f"{name} is {every[name].text} and has no derivative", place, help=help)
    return fail(
        "DIF009",
        f"`{asked.option}` names {name}, and the derivative is by {listed(asked.avals)}",
        place,
        label=f"{name} is {every[name].text}",
        notes=[asked.listed()],
        help=f"select it too: `--wrt {','.join([*asked.avals, name])}`" if len(asked.avals) < 8 else None,
    )
