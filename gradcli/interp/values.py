"""What an expression of the language means while it is elaborated.

Plain Python numbers, bools, strings, `None` and size polynomials are *static*: known now, and weak in dtype.
Everything else is one of the classes below. An `Arr` is a handle on a graph value: it adds what the graph does not
need to know, the names of its dims and whether its dtype is weak.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from gradcli.ir.aval import Aval
from gradcli.ir.dims import Poly, Size, name_of
from gradcli.ir.graph import Value
from gradcli.record import field, record
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import Span, fail

if TYPE_CHECKING:
    from gradcli.interp.scope import Frame, Instance, Scope


class LoopInt(int):
    """A loop variable, or static arithmetic that holds one: as an index it counts from 0 and is never negative."""


class Arr:
    """An array: a graph value, the sizes of its dims with their names, and whether its dtype is weak."""

    __slots__ = ("dims", "named", "value", "weak")

    def __init__(self, value: Value, dims: tuple[Size, ...] | None = None, weak: bool = False) -> None:
        self.value = value
        self.dims = value.aval.shape if dims is None else dims
        self.named = False
        if dims is not None:
            for size in dims:
                if type(size) is not int and name_of(size) is not None:
                    self.named = True
        self.weak = weak

    @property
    def dtype(self) -> str:
        return self.value.aval.dtype

    @property
    def rank(self) -> int:
        return len(self.dims)

    @property
    def aval(self) -> Aval:
        """With the names of its dims."""
        return Aval(self.dims, self.value.aval.dtype)

    def __str__(self) -> str:
        return show_type(self.dtype, self.dims)


class LoopArr(Arr):
    """The variable of a rolled loop, or integer arithmetic on it: `slope · i + offset` for i from `first` to `last`.

    Like `LoopInt` it counts from 0 as an index; its range is known, so that an index is judged before anything runs.
    """

    __slots__ = ("first", "last", "offset", "slope")

    def __init__(self, value: Value, slope: int, offset: Size, first: Size, last: Size) -> None:
        super().__init__(value, weak=True)
        self.slope, self.offset, self.first, self.last = slope, offset, first, last

    @property
    def least(self) -> Size:
        return self.slope * (self.first if self.slope >= 0 else self.last) + self.offset

    @property
    def most(self) -> Size:
        return self.slope * (self.last if self.slope >= 0 else self.first) + self.offset

    def affine(self, op: str, other: int, *, swapped: bool) -> tuple[int, Size] | None:
        """Slope and offset of `self op other`, or of `other op self`; None for what is not of that form."""
        match op:
            case "+":
                return self.slope, self.offset + other
            case "-":
                return (-self.slope, other - self.offset) if swapped else (self.slope, self.offset - other)
            case "*":
                return self.slope * other, self.offset * other
        return None


def show_type(dtype: str, dims: tuple[Size, ...]) -> str:
    """`f32[batch, 3]`, and `f32` for a scalar."""
    if not dims:
        return dtype
    return f"{dtype}[{', '.join(show_size(d) for d in dims)}]"


def show_size(size: Size) -> str:
    """A named size shows both: `batch=128`; a symbol already reads as its name."""
    name = name_of(size)
    return str(size) if name is None or isinstance(size, Poly) else f"{name}={int(size)}"


@record(eq=False)
class ListV:
    """A list stays a list until an operator needs an array."""

    items: tuple[Any, ...]
    span: Span


@record(eq=False)
class TupleV:
    """Several results; `names` holds a plain name of each, or ''."""

    items: tuple[Any, ...]
    names: tuple[str, ...] = ()


@record(eq=False)
class NetV:
    """A net as a value: its definition, where its free names are looked up, and the instance that owns its params.

    `statics` are the values of its static parameters, None while they are not given.
    """

    decl: ast.Net
    scope: Scope
    instance: Instance
    enclosing: Frame | None = None
    defined_at: int = 0  # bindings of the enclosing frame made later than this may not be used
    statics: tuple[Size, ...] | None = None

    @property
    def name(self) -> str:
        return self.decl.name.id


@record(eq=False)
class LayerV:
    """`layer l1 = Dense[2, 16]`: a net with an instance of its own."""

    net: NetV


@record(eq=False)
class LayerArrayV:
    layers: tuple[LayerV, ...]
    name: str


@record(eq=False)
class ModuleV:
    """What an import's alias stands for."""

    scope: Scope
    name: str


@record(eq=False)
class DerivativeV:
    """`grad(f, …)`, `jvp(f, …)`, `hessian(f, …)` …: a net that takes the inputs of `fn` by the same names."""

    kind: str  # the operator's name
    fn: Callee
    wrt: ast.Expr | None
    sens: Any  # an elaboration value, or None
    along: Any  # the tangents of `jvp`, the vectors of `hvp`; None for all others
    span: Span
    frame: Frame  # where the names of `wrt` that are not the net's own are looked up


@record(eq=False)
class MapV:
    """`vmap(f, axes=…)`: `fn` for each element along an axis of its inputs."""

    fn: Callee
    axes: ast.Expr | None
    span: Span
    frame: Frame


@record(eq=False)
class RecomputeV:
    """`checkpoint(f)`: `f`, whose values need not be kept."""

    fn: Callee


@record(eq=False)
class OperatorV:
    """An operator of the language by its name; called through the table in `operators`."""

    name: str


@record(eq=False)
class CastV:
    """`f32`, `i64`, … used as a function."""

    dtype: str


@record(eq=False)
class Deferred:
    """A keyword whose names mean dims or params of what it is given to: `axis=batch`, `wrt=(x, l1.w)`."""

    expr: ast.Expr
    frame: Frame


class Poison:
    """The value of a statement that was refused; what uses it is not reported again."""


class Poisoned(Exception):
    """Raised when a `Poison` is used."""


POISON = Poison()

Transformed = DerivativeV | MapV | RecomputeV
Callee = NetV | LayerV | Transformed | OperatorV | CastV


def is_number(value: Any) -> bool:
    """A static number or bool."""
    return isinstance(value, int | float | Poly)


def counted(number: int, noun: str) -> str:
    """`1 dim`, `2 dims`"""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def describe(value: Any) -> str:
    """What a value is, for a message."""
    match value:
        case Arr():
            return str(value)
        case bool():
            return "a bool"
        case int() | Poly():
            return "an integer"
        case float():
            return "a float"
        case str():
            return "a text"
        case None:
            return "None"
        case ListV():
            return f"a list of {len(value.items)}"
        case TupleV():
            return f"a tuple of {len(value.items)}"
        case NetV():
            return f"the net {value.name}"
        case LayerV():
            return f"a layer of {value.net.name}"
        case LayerArrayV():
            return f"an array of {len(value.layers)} layers"
        case ModuleV():
            return f"the import {value.name}"
        case DerivativeV() | MapV() | RecomputeV():
            return "a transformed net"
        case OperatorV():
            return f"the operator {value.name}"
        case CastV():
            return f"the type {value.dtype}"
    return "a net"


MAX_MEMBERS = 1_000_000  # of nested tuples and lists


def flatten(value: Any) -> list[Any]:
    """The members of nested tuples, in order."""
    found: list[Any] = []
    work = [value]
    while work:
        item = work.pop()
        if isinstance(item, TupleV):
            work.extend(reversed(item.items))
        else:
            found.append(item)
        if len(found) > MAX_MEMBERS:
            raise fail("NUM003", f"a tuple of more than {MAX_MEMBERS:_} members")
    return found


def nested(like: Any, leaves: Iterator[Any]) -> Any:
    """Values in the nesting of `like`."""
    if isinstance(like, TupleV):
        return TupleV(tuple(nested(item, leaves) for item in like.items), like.names)
    return next(leaves)


def make_tuple(items: list[Any] | tuple[Any, ...], names: tuple[str, ...] = ()) -> Any:
    """A tuple with one member is that member."""
    return items[0] if len(items) == 1 else TupleV(tuple(items), names)


@record(frozen=False)
class ParamInfo:
    """One trainable value of a run: its path from the file, its graph input, and how it gets its first value."""

    path: str  # absolute: `Net.l1.w`
    seed_path: str  # below the net that owns it: `l1.w`
    span: Span
    arr: Arr | None = None
    init: Callable[[], Any] | None = None  # gives an array; None while the declaration was not met yet
    note: list[str] = field(default_factory=list)
