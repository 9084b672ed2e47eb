"""The syntax tree: frozen records, each with the span it was read from.

Trees may be 100,000 levels deep (a chain of `+`), so nothing here compares, prints or hashes by structure;
walk with an explicit stack (`children`). Parentheses leave no node: `(x)` is `x`.
"""

from __future__ import annotations

from typing import Literal, get_args

from gradcli.record import record
from gradcli.syntax.diagnostics import Source, Span

# ── expressions ─────────────────────────────────────────────────────────────────────────────────────────────


@record(eq=False)
class Number:
    """`3`, `1_000`, `1.5e-3`, `inf`, `nan`; whole literals are `int`, all others `float`."""

    span: Span
    value: int | float


@record(eq=False)
class Bool:
    span: Span
    value: bool


@record(eq=False)
class Text:
    span: Span
    value: str


@record(eq=False)
class Nothing:
    """`None`: in an index a new axis, elsewhere the absent value."""

    span: Span


@record(eq=False)
class Name:
    span: Span
    id: str


@record(eq=False)
class List:
    span: Span
    items: tuple[Expr, ...]


@record(eq=False)
class Tuple:
    """`(a, b)`; also `a, b` after `return` and `=`. Never of one member."""

    span: Span
    items: tuple[Expr, ...]


@record(eq=False)
class Attribute:
    """`l1.w`, `layers.Dense`, `x.T`, `h[0].w`"""

    span: Span
    value: Expr
    name: str


@record(eq=False)
class Slice:
    """`1:3`, `::2`; only inside `Index`."""

    span: Span
    start: Expr | None
    stop: Expr | None
    step: Expr | None


@record(eq=False)
class Ellipsis:
    """`...` in an index or in a type's dims."""

    span: Span


@record(eq=False)
class Index:
    """`x[i, 1:3]`, `Dense[2, 16]`, `t[0]`"""

    span: Span
    value: Expr
    items: tuple[Expr | Slice | Ellipsis, ...]


@record(eq=False)
class Keyword:
    span: Span
    name: str
    value: Expr


@record(eq=False)
class Call:
    span: Span
    func: Expr
    args: tuple[Expr, ...]
    keywords: tuple[Keyword, ...]


UnaryOp = Literal["-", "+", "not"]
BinaryOp = Literal["+", "-", "*", "/", "%", "@", "**", "<", "<=", ">", ">=", "==", "!=", "and", "or"]


@record(eq=False)
class Unary:
    span: Span
    op: UnaryOp
    operand: Expr


@record(eq=False)
class Binary:
    span: Span
    op: BinaryOp
    left: Expr
    right: Expr


@record(eq=False)
class Select:
    """`then if cond else other`, elementwise."""

    span: Span
    cond: Expr
    then: Expr
    other: Expr


Expr = Number | Bool | Text | Nothing | Name | List | Tuple | Attribute | Index | Call | Unary | Binary | Select


# ── types ───────────────────────────────────────────────────────────────────────────────────────────────────


@record(eq=False)
class Type:
    """`f32[batch, 2 * k]`, `f32[..., 3]`; `dims` is `()` for a scalar (`f32` and `f32[]`)."""

    span: Span
    dtype: str
    dims: tuple[Expr | Ellipsis, ...]


# ── statements ──────────────────────────────────────────────────────────────────────────────────────────────


@record(eq=False)
class TupleTarget:
    """`v, (gx, gy)` left of `=`."""

    span: Span
    items: tuple[Target, ...]


Target = Name | Index | TupleTarget  # an Index target's value is a Name


@record(eq=False)
class Assign:
    """`h: f32[n] = e`, `a, b = e`, `x[i] = e`, `x[i] += e` (`op` is `+=` only for an Index target)."""

    span: Span
    target: Target
    type: Type | None
    op: Literal["=", "+="]
    value: Expr


@record(eq=False)
class Param:
    span: Span
    name: Name
    type: Type
    init: Expr


@record(eq=False)
class Layer:
    """`layer l1 = Dense[2, 16]`; `layer h[4] = Dense[50, 50]` has a `count`."""

    span: Span
    name: Name
    count: Expr | None
    value: Expr


@record(eq=False)
class For:
    """`for i in start..stop while cond { body }`"""

    span: Span
    var: Name
    start: Expr
    stop: Expr
    cond: Expr | None
    body: tuple[Statement, ...]


@record(eq=False)
class Return:
    span: Span
    values: tuple[Expr, ...]


@record(eq=False)
class NetInput:
    """One input of a net's signature."""

    span: Span
    name: Name
    type: Type | None
    default: Expr | None


@record(eq=False)
class Net:
    """`net F[i, o](x: f32[m, i]) -> f32[m, o] { … }`; the form `net f(x) = e` has a body of one `Return`."""

    span: Span
    name: Name
    statics: tuple[Name, ...]
    inputs: tuple[NetInput, ...]
    results: tuple[Type, ...] | None
    body: tuple[Statement, ...]


@record(eq=False)
class ExpectClose:
    """`expect a ~= b within rtol=1e-6, atol=0`"""

    span: Span
    left: Expr
    right: Expr
    within: tuple[Keyword, ...]


@record(eq=False)
class ExpectTrue:
    """`expect a == b`, `expect a < b`, `expect e`"""

    span: Span
    value: Expr


@record(eq=False)
class ExpectError:
    """`expect error "text" in e`"""

    span: Span
    text: Text
    value: Expr


Statement = Assign | Param | Layer | For | Return | Net | ExpectClose | ExpectTrue | ExpectError


# ── items ───────────────────────────────────────────────────────────────────────────────────────────────────


@record(eq=False)
class Edition:
    span: Span
    year: int


@record(eq=False)
class Import:
    """`import "layers.net" as layers`"""

    span: Span
    path: Text
    alias: Name


@record(eq=False)
class Dim:
    span: Span
    name: Name
    value: Expr


@record(eq=False)
class Const:
    span: Span
    name: Name
    type: Type | None
    value: Expr


@record(eq=False)
class Input:
    span: Span
    name: Name
    type: Type | None
    value: Expr | None


@record(eq=False)
class Case:
    span: Span
    title: Text
    body: tuple[Statement, ...]


Item = Edition | Import | Dim | Const | Input | Net | Case


@record(eq=False)
class Module:
    """One file, items in the order written."""

    source: Source
    items: tuple[Item, ...]
    comments: tuple[Span, ...] = ()


Node = Expr | Slice | Ellipsis | Keyword | Type | TupleTarget | Statement | NetInput | Item | Module
NODES: frozenset[type] = frozenset(get_args(Node))


def children(tree: Node) -> list[Node]:
    """The nodes directly below `tree`, in the order of its fields."""
    found: list[Node] = []
    slots: tuple[str, ...] = type(tree).__dict__["__slots__"]
    for name in slots:
        value = getattr(tree, name)
        if type(value) in NODES:
            found.append(value)
        elif type(value) is tuple:
            found.extend([item for item in value if type(item) in NODES])
    return found
