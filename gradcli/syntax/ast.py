"""The syntax tree: frozen dataclasses, each with the span it was read from.

Trees may be 100,000 levels deep (a chain of `+`), so nothing here compares, prints or hashes by structure;
walk with an explicit stack (`children`). Parentheses leave no node: `(x)` is `x`.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar, dataclass_transform

from gradcli.syntax.diagnostics import Source, Span

T = TypeVar("T")


@dataclass_transform(eq_default=False, frozen_default=True)
def node(cls: type[T]) -> type[T]:
    """What `dataclass(frozen=True, slots=True, eq=False, repr=False)` makes, at a fifth of its price: there are forty
    of them, and every command pays for all."""
    names = tuple(cls.__annotations__)
    space: dict[str, Any] = {
        "__slots__": names,
        "__match_args__": names,
        "__setattr__": _frozen,
        "__delattr__": _frozen,
    }
    space |= {"__module__": cls.__module__, "__doc__": cls.__doc__, "__annotations__": cls.__annotations__}
    given = ", ".join(f"{name}=cls.{name}" if name in cls.__dict__ else name for name in names)
    body = "".join(f"\n  _{name}(self, {name})" for name in names)
    scope: dict[str, Any] = {"cls": cls}
    exec(f"def __init__(self, {given}):{body}", scope)
    made: Any = type(cls.__name__, (), space | {"__init__": scope["__init__"]})
    scope.update((f"_{name}", made.__dict__[name].__set__) for name in names)
    result: type[T] = made
    return result


def _frozen(self: object, name: str, value: object = None) -> None:
    raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be changed")


# ── expressions ─────────────────────────────────────────────────────────────────────────────────────────────


@node
class Number:
    """`3`, `1_000`, `1.5e-3`, `inf`, `nan`; whole literals are `int`, all others `float`."""

    span: Span
    value: int | float


@node
class Bool:
    span: Span
    value: bool


@node
class Text:
    span: Span
    value: str


@node
class Nothing:
    """`None`: in an index a new axis, elsewhere the absent value."""

    span: Span


@node
class Name:
    span: Span
    id: str


@node
class List:
    span: Span
    items: tuple[Expr, ...]


@node
class Tuple:
    """`(a, b)`; also `a, b` after `return` and `=`. Never of one member."""

    span: Span
    items: tuple[Expr, ...]


@node
class Attribute:
    """`l1.w`, `layers.Dense`, `x.T`, `h[0].w`"""

    span: Span
    value: Expr
    name: str


@node
class Slice:
    """`1:3`, `::2`; only inside `Index`."""

    span: Span
    start: Expr | None
    stop: Expr | None
    step: Expr | None


@node
class Ellipsis:
    """`...` in an index or in a type's dims."""

    span: Span


@node
class Index:
    """`x[i, 1:3]`, `Dense[2, 16]`, `t[0]`"""

    span: Span
    value: Expr
    items: tuple[Expr | Slice | Ellipsis, ...]


@node
class Keyword:
    span: Span
    name: str
    value: Expr


@node
class Call:
    span: Span
    func: Expr
    args: tuple[Expr, ...]
    keywords: tuple[Keyword, ...]


UnaryOp = Literal["-", "+", "not"]
BinaryOp = Literal["+", "-", "*", "/", "%", "@", "**", "<", "<=", ">", ">=", "==", "!=", "and", "or"]


@node
class Unary:
    span: Span
    op: UnaryOp
    operand: Expr


@node
class Binary:
    span: Span
    op: BinaryOp
    left: Expr
    right: Expr


@node
class Select:
    """`then if cond else other`, elementwise."""

    span: Span
    cond: Expr
    then: Expr
    other: Expr


Expr = Number | Bool | Text | Nothing | Name | List | Tuple | Attribute | Index | Call | Unary | Binary | Select


# ── types ───────────────────────────────────────────────────────────────────────────────────────────────────


@node
class Type:
    """`f32[batch, 2 * k]`, `f32[..., 3]`; `dims` is `()` for a scalar (`f32` and `f32[]`)."""

    span: Span
    dtype: str
    dims: tuple[Expr | Ellipsis, ...]


# ── statements ──────────────────────────────────────────────────────────────────────────────────────────────


@node
class TupleTarget:
    """`v, (gx, gy)` left of `=`."""

    span: Span
    items: tuple[Target, ...]


Target = Name | Index | TupleTarget  # an Index target's value is a Name


@node
class Assign:
    """`h: f32[n] = e`, `a, b = e`, `x[i] = e`, `x[i] += e` (`op` is `+=` only for an Index target)."""

    span: Span
    target: Target
    type: Type | None
    op: Literal["=", "+="]
    value: Expr


@node
class Param:
    span: Span
    name: Name
    type: Type
    init: Expr


@node
class Layer:
    """`layer l1 = Dense[2, 16]`; `layer h[4] = Dense[50, 50]` has a `count`."""

    span: Span
    name: Name
    count: Expr | None
    value: Expr


@node
class For:
    """`for i in start..stop while cond { body }`"""

    span: Span
    var: Name
    start: Expr
    stop: Expr
    cond: Expr | None
    body: tuple[Statement, ...]


@node
class Return:
    span: Span
    values: tuple[Expr, ...]


@node
class NetInput:
    """One input of a net's signature."""

    span: Span
    name: Name
    type: Type | None
    default: Expr | None


@node
class Net:
    """`net F[i, o](x: f32[m, i]) -> f32[m, o] { … }`; the form `net f(x) = e` has a body of one `Return`."""

    span: Span
    name: Name
    statics: tuple[Name, ...]
    inputs: tuple[NetInput, ...]
    results: tuple[Type, ...] | None
    body: tuple[Statement, ...]


@node
class ExpectClose:
    """`expect a ~= b within rtol=1e-6, atol=0`"""

    span: Span
    left: Expr
    right: Expr
    within: tuple[Keyword, ...]


@node
class ExpectTrue:
    """`expect a == b`, `expect a < b`, `expect e`"""

    span: Span
    value: Expr


@node
class ExpectError:
    """`expect error "text" in e`"""

    span: Span
    text: Text
    value: Expr


Statement = Assign | Param | Layer | For | Return | Net | ExpectClose | ExpectTrue | ExpectError


# ── items ───────────────────────────────────────────────────────────────────────────────────────────────────


@node
class Edition:
    span: Span
    year: int


@node
class Import:
    """`import "layers.net" as layers`"""

    span: Span
    path: Text
    alias: Name


@node
class Dim:
    span: Span
    name: Name
    value: Expr


@node
class Const:
    span: Span
    name: Name
    type: Type | None
    value: Expr


@node
class Input:
    span: Span
    name: Name
    type: Type | None
    value: Expr | None


@node
class Case:
    span: Span
    title: Text
    body: tuple[Statement, ...]


Item = Edition | Import | Dim | Const | Input | Net | Case


@node
class Module:
    """One file, items in the order written."""

    source: Source
    items: tuple[Item, ...]
    comments: tuple[Span, ...] = ()


Node = Expr | Slice | Ellipsis | Keyword | Type | TupleTarget | Statement | NetInput | Item | Module


def children(tree: Node) -> list[Node]:
    """The nodes directly below `tree`, in the order of its fields."""
    found: list[Node] = []
    slots: tuple[str, ...] = type(tree).__dict__["__slots__"]
    for name in slots:
        value = getattr(tree, name)
        if isinstance(value, tuple) and not isinstance(value, Span):
            found.extend(item for item in value if not isinstance(item, Span))
        elif hasattr(value, "span") or isinstance(value, Module):
            found.append(value)
    return found
