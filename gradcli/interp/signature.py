"""How the language spells an operator: a signature, how arguments are bound to it, and what its arguments mean.

`OPERATORS` is the frozen list of edition 2026, with the nets of the prelude. `SURFACES` is the same list for readers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import gradcli.ops  # noqa: F401 - fills the registry
from gradcli.interp import arrays, indexing, static
from gradcli.interp.scope import Frame
from gradcli.interp.values import Arr, ListV, TupleV, counted, describe, is_number
from gradcli.ir import dims as sizes
from gradcli.ir.dims import Poly, Size
from gradcli.ir.primitive import ShapeError
from gradcli.record import record
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import fail, nearest

if TYPE_CHECKING:
    from gradcli.interp.elaborate import Elaborator

Handler = Callable[["Elaborator", Frame, ast.Call, list[Any], dict[str, Any]], Any]


@record
class Surface:
    """An operator's signature as `gradcli ops` prints it, and what it does."""

    name: str
    signature: str
    family: str
    doc: str
    prim: str | None = None  # the primitive whose derivative it has


OPERATORS: dict[str, Handler] = {}
SURFACES: dict[str, Surface] = {}


def bind(
    name: str, names: list[str], defaults: dict[str, Any], node: ast.Call, args: list[Any], kw: dict[str, Any]
) -> list[Any]:
    """Arguments in the order of the signature. Raises ModelError NAM020, NAM021 or NAM022."""
    if len(args) > len(names):
        raise fail(
            "NAM020",
            f"{name} takes at most {counted(len(names), 'argument')}, {len(args)} are given",
            node.span,
            help=f"`{SURFACES[name].signature}`",
        )
    bound = dict(zip(names, args, strict=False))
    for key, value in kw.items():
        if key not in names:
            guess = nearest(key, names)
            raise fail(
                "NAM022",
                f"{name} has no argument `{key}`",
                node.span,
                help=f"did you mean `{guess}`?" if guess else f"`{SURFACES[name].signature}`",
            )
        if key in bound:
            raise fail("NAM022", f"{name}'s argument `{key}` is given twice", node.span)
        bound[key] = value
    missing = [n for n in names if n not in bound and n not in defaults]
    if missing:
        raise fail("NAM021", f"{name} needs {', '.join(missing)}", node.span, help=f"`{SURFACES[name].signature}`")
    return [bound.get(n, defaults.get(n)) for n in names]


def _literal(text: str) -> Any:
    """A default as a signature writes it."""
    words = {"None": None, "false": False, "true": True}
    if text in words or text.startswith('"'):
        return words.get(text, text.strip('"'))
    return int(text) if text.lstrip("-").isdigit() else float(text)


def operator(
    signature: str, family: str, doc: str, prim: str | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Enter a function under `signature`, whose defaults are literals of the language."""
    name, _, rest = signature.partition("(")
    names, defaults = [], {}
    for part in rest.rstrip(")").split(", "):
        key, has, text = part.partition("=")
        names.append(key)
        if has:
            defaults[key] = _literal(text)

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        def handler(ctx: Elaborator, frame: Frame, node: ast.Call, args: list[Any], kw: dict[str, Any]) -> Any:
            return function(Site(ctx, frame, node), *bind(name, names, defaults, node, args, kw))

        OPERATORS[name] = handler
        SURFACES[name] = Surface(name, signature, family, doc, prim)
        return function

    return enter


@record
class Site:
    """Where an operator is called."""

    ctx: Elaborator
    frame: Frame
    node: ast.Call

    def arr(self, value: Any) -> Arr:
        return arrays.to_arr(self.ctx, value)


def read_axes(site: Site, axis: Any, arr: Arr) -> tuple[int, ...]:
    """`axis=1`, `axis=(0, 2)`, `axis=batch`, None for all; sorted, from 0. Raises ShapeError SHP111."""
    axis = site.ctx.axis(axis, arr)
    if axis is None:
        return tuple(range(arr.rank))
    given = axis.items if isinstance(axis, ListV | TupleV) else (axis,)
    found = []
    for item in given:
        place = static.whole(item)
        if not isinstance(place, int) or not -arr.rank <= place < arr.rank:
            text = place if isinstance(place, int) else describe(item)
            raise ShapeError("SHP111", f"{text} is no axis of {arr}, which has {counted(arr.rank, 'dim')}", (0,))
        found.append(place % arr.rank)
    if len(set(found)) != len(found):
        raise ShapeError("SHP111", "an axis is named twice")
    return tuple(sorted(found))


def one_axis(site: Site, axis: Any, arr: Arr) -> int:
    axes = read_axes(site, axis, arr)
    if len(axes) != 1:
        raise ShapeError("SHP111", "this operator works along one axis")
    return axes[0]


def read_sizes(value: Any, what: str = "a shape") -> tuple[Size, ...]:
    """A shape: a list of known integers, or one. Raises ShapeError SHP110."""
    given = value.items if isinstance(value, ListV | TupleV) else (value,)
    found: list[Size] = []
    for item in given:
        size = static.whole(item) if is_number(item) else None
        if size is None:
            raise ShapeError(static.unknown(item), f"{what} is made of known integers, not {describe(item)}")
        found.append(size)
    if len(found) > arrays.MAX_RANK:
        raise ShapeError("SHP107", f"{what} of rank {len(found)}; at most {arrays.MAX_RANK} dims are possible")
    return tuple(found)


def nonnegative(dims: tuple[Size, ...]) -> tuple[Size, ...]:
    if any(not isinstance(d, Poly) and d < 0 for d in dims):
        raise ShapeError("SHP110", "a size is not negative")
    if any(not isinstance(d, Poly) and d >= 1 << 62 for d in dims):
        raise ShapeError("SHP110", "a size does not fit into 63 bits")
    return dims


def read_numbers(value: Any, count: int, name: str, *, least: int) -> tuple[int, ...]:
    """`stride=2` for all dims, or `stride=[2, 1]` for each. Raises ShapeError SHP110."""
    given = read_sizes(value, f"`{name}`")
    if len(given) not in (1, count) or (isinstance(value, ListV | TupleV) and len(given) != count):
        raise ShapeError("SHP110", f"`{name}` is one integer, or {count} in a list, not {describe(value)}")
    found = []
    for number in given:
        if isinstance(number, Poly):
            raise ShapeError("SHP119", f"`{name}` is known only when the dims have sizes: {number}")
        if number < least:
            raise ShapeError("SHP110", f"`{name}` is {least} or more, not {int(number)}")
        found.append(int(number))
    return tuple(found) * (count if len(found) == 1 else 1)


def read_flag(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise ShapeError("SHP110", f"`{name}` is true or false, not {describe(value)}")
    return value


def read_choice(value: Any, name: str, choices: Sequence[str]) -> str:
    if not isinstance(value, str) or value not in choices:
        *most, last = (f'"{choice}"' for choice in choices)
        raise ShapeError("SHP110", f"`{name}` is {', '.join(most)} or {last}, not {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else describe(value)


def flat(ctx: Elaborator, arr: Arr) -> Arr:
    return indexing.reshape(ctx, arr, (arrays.plain([sizes.product(arr.dims)])[0],))
