"""Evaluating expressions with an explicit stack: a chain of 100,000 operators is ordinary.

`evaluate` walks a tree in postorder; `_apply` gives each node its meaning from the meanings of its children. What is
refused below (ShapeError) becomes a diagnostic here, with the operands' places and where their shapes came from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradcli.interp import arrays, indexing, names, params, refusal, static
from gradcli.interp.dtypes import WEAK_FLOAT, WEAK_INT, rank_of, settle
from gradcli.interp.scope import Frame, Instance
from gradcli.interp.slicing import negative_loop_index
from gradcli.interp.values import (
    POISON,
    Arr,
    Deferred,
    LayerArrayV,
    LayerV,
    ListV,
    LoopArr,
    LoopInt,
    ModuleV,
    NetV,
    Poison,
    Poisoned,
    TupleV,
    describe,
    is_number,
)
from gradcli.ir.primitive import ShapeError, primitive
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import Label, fail, nearest

if TYPE_CHECKING:
    from gradcli.interp.elaborate import Elaborator

BINARY = {
    "+": "add", "-": "sub", "*": "mul", "/": "div", "%": "rem", "**": "pow", "<": "less", "<=": "less_equal",
    ">": "greater", ">=": "greater_equal", "==": "equal", "!=": "not_equal", "and": "logical_and", "or": "logical_or",
}  # fmt: skip


def evaluate(ctx: Elaborator, frame: Frame, root: ast.Expr, *, dims_first: bool = False) -> Any:
    """The meaning of an expression in a frame. Raises ModelError, or Poisoned where an error was kept already.

    `dims_first` is how names are read in types and sizes: a dim before a value.
    """
    results: list[Any] = []
    work: list[tuple[Any, int]] = [(root, -1)]
    while work:
        node, count = work.pop()
        kind = type(node)
        if count < 0:
            if kind is ast.Name:
                value = names.lookup(ctx, frame, node, dims_first=dims_first)
                if value is POISON:
                    raise Poisoned
                results.append(value)
            elif kind is ast.Number or kind is ast.Bool or kind is ast.Text:
                results.append(node.value)
            elif kind is ast.Binary:
                work += ((node, 2), (node.right, -1), (node.left, -1))
            elif kind is ast.Nothing:
                results.append(None)
            elif kind is ast.Select:
                work.append((_Chosen(node), 1))
                work.append((node.cond, -1))
            else:
                below = _children(node)
                work.append((node, len(below)))
                work += [(child, -1) for child in reversed(below)]
            continue
        if kind is _Chosen:
            cond = results.pop()
            if isinstance(cond, bool):  # known now: the other branch has no meaning
                work.append((node.select.then if cond else node.select.other, -1))
            else:
                results.append(cond)
                work.append((node.select, 3))
                work.extend(((node.select.other, -1), (node.select.then, -1)))
            continue
        at = len(results) - count
        args = results[at:]
        results[at:] = (_apply(ctx, frame, node, args),)
    return results[0]


class _Chosen:
    """A `Select` whose condition is being evaluated."""

    __slots__ = ("select",)

    def __init__(self, select: ast.Select) -> None:
        self.select = select


def _children(node: Any) -> list[Any]:
    """What is evaluated before the node; names after `wrt=` and `axis=` are not."""
    match node:
        case ast.Call() if not node.keywords:
            return [node.func, *node.args]
        case ast.Call():
            return [node.func, *node.args, *[k.value for k in node.keywords if k.name not in refusal.DEFERRED]]
        case ast.Unary():
            return [node.operand]
        case ast.Attribute():
            return [node.value]
        case ast.Index():
            found: list[Any] = [node.value]
            for item in node.items:
                if isinstance(item, ast.Slice):
                    found.extend(part for part in (item.start, item.stop, item.step) if part is not None)
                elif not isinstance(item, ast.Ellipsis):
                    found.append(item)
            return found
        case ast.List() | ast.Tuple():
            return list(node.items)
    raise AssertionError(f"no meaning for {type(node).__name__}")


def _apply(ctx: Elaborator, frame: Frame, node: Any, args: list[Any]) -> Any:
    ctx.here(frame, node.span)
    try:
        match node:
            case ast.Binary():
                return binary(ctx, node.op, args[0], args[1])
            case ast.Call():
                return _call(ctx, frame, node, args)
            case ast.Index():
                return _index(ctx, node, args)
            case ast.Attribute():
                return attribute(ctx, frame, node, args[0])
            case ast.Unary():
                return unary(ctx, node.op, args[0])
            case ast.List():
                return ListV(tuple(args), node.span)
            case ast.Tuple():
                return TupleV(tuple(args), tuple(i.id if isinstance(i, ast.Name) else "" for i in node.items))
            case ast.Select():
                return arrays.select(ctx, *args)
    except ShapeError as error:
        raise refusal.refused(ctx, frame, node, error, args) from None
    raise AssertionError(f"no meaning for {type(node).__name__}")


# ── operators ───────────────────────────────────────────────────────────────────────────────────────────────


def binary(ctx: Elaborator, op: str, a: Any, b: Any) -> Any:
    if isinstance(a, Arr) and isinstance(b, Arr):
        pass  # as most are
    elif is_number(a) and is_number(b):
        known = static.binary(op, a, b)
        if known is not NotImplemented:
            return known
    elif op in ("==", "!=") and (a is None or b is None or isinstance(a, str) or isinstance(b, str)):
        alike = a == b if isinstance(a, str) and isinstance(b, str) else a is b  # arrays are never None, nor a text
        return alike is (op == "==")
    if op == "@":
        return matmul(ctx, a, b)
    if op in ("and", "or"):
        for index, operand in enumerate((a, b)):
            if rank_of(arrays.to_arr(ctx, operand)) != 0:
                raise ShapeError("SHP103", f"`{op}` joins bools, not {describe(operand)}", (index,), "compare first")
        return arrays.elementwise(ctx, primitive(BINARY[op]), (a, b))
    if op == "**":
        return power(ctx, a, b)
    least = WEAK_FLOAT if op == "/" else WEAK_INT if op in "+-*%" else 0
    made = arrays.elementwise(ctx, primitive(BINARY[op]), (a, b), least=least)
    return _on_turns(op, a, b, made) if isinstance(a, LoopArr) or isinstance(b, LoopArr) else made


def _on_turns(op: str, a: Any, b: Any, made: Arr) -> Arr:
    """Integer arithmetic on a loop's variable keeps its range."""
    turn, other, swapped = (a, b, False) if isinstance(a, LoopArr) else (b, a, True)
    if isinstance(other, int) and not isinstance(other, bool):
        form = turn.affine(op, other, swapped=swapped)
        if form is not None:
            slope, offset = form
            return LoopArr(made.value, slope, offset, turn.first, turn.last)
    return made


def power(ctx: Elaborator, a: Any, b: Any) -> Arr:
    """`a ** b`: a negative static exponent makes an int base a float, as a person would expect."""
    negative = isinstance(b, int) and b < 0
    return arrays.elementwise(ctx, primitive("pow"), (a, b), least=WEAK_FLOAT if negative else WEAK_INT)


def unary(ctx: Elaborator, op: str, a: Any) -> Any:
    if is_number(a):
        return static.unary(op, a)
    arr = arrays.to_arr(ctx, a)
    if op == "not":
        if arr.dtype != "bool":
            raise ShapeError("SHP103", f"`not` wants bools, not {arr}", (0,), "compare first: `x == 0`")
        return arrays.elementwise(ctx, primitive("logical_not"), (arr,))
    if arr.dtype == "bool":
        raise ShapeError("SHP103", f"`{op}` is not for bools", (0,), "cast it: `i64(x)`")
    if op == "+":
        return arr
    made = arrays.elementwise(ctx, primitive("neg"), (arr,))
    return LoopArr(made.value, -arr.slope, -arr.offset, arr.first, arr.last) if isinstance(arr, LoopArr) else made


def matmul(ctx: Elaborator, a: Any, b: Any) -> Arr:
    """NumPy's `@`: rank 1 on either side is a row or a column that goes away again."""
    x, y = arrays.to_arr(ctx, a), arrays.to_arr(ctx, b)
    for index, arr in enumerate((x, y)):
        if arr.rank == 0:
            raise ShapeError("SHP107", "a matrix product wants rank 1 or more, not a number", (index,), "write `*`")
    dtype, weak = settle(max(rank_of(x), rank_of(y), WEAK_INT), ctx.weak_float)
    x, y = arrays.settle_arr(ctx, x, dtype), arrays.settle_arr(ctx, y, dtype)
    row, column = x.rank == 1, y.rank == 1
    left = indexing.reshape(ctx, x, (1, *x.dims)) if row else x
    right = indexing.reshape(ctx, y, (*y.dims, 1)) if column else y
    try:
        out = arrays.emit(ctx, primitive("matmul"), [left, right], weak=weak)
    except ShapeError as error:
        inner, other = x.dims[-1], y.dims[0] if column else y.dims[-2]
        if inner == other:
            raise
        help_ = "`{0} @ {1}.T` has matching sizes" if not row and y.rank == 2 and y.dims[1] == inner else None
        if help_ is None and not column and x.rank == 2 and x.dims[0] == other:
            help_ = "`{0}.T @ {1}` has matching sizes"
        raise ShapeError("SHP201", f"matmul inner sizes differ: {inner} against {other}", (0, 1), help_) from error
    if row or column:
        dims = out.dims[: out.rank - 2] + (() if row else (out.dims[-2],)) + (() if column else (out.dims[-1],))
        out = indexing.reshape(ctx, out, dims, weak=weak)
    return out


# ── calls, indices, attributes ──────────────────────────────────────────────────────────────────────────────


def _call(ctx: Elaborator, frame: Frame, node: ast.Call, args: list[Any]) -> Any:
    from gradcli.interp.calls import call

    callee, positional = args[0], args[1 : 1 + len(node.args)]
    rest = iter(args[1 + len(node.args) :])
    keywords: dict[str, Any] = {}
    for keyword in node.keywords:
        if keyword.name in keywords:
            raise fail("NAM022", f"`{keyword.name}` is given twice", keyword.span)
        deferred = keyword.name in refusal.DEFERRED
        keywords[keyword.name] = Deferred(keyword.value, frame) if deferred else next(rest)
    return call(ctx, callee, positional, keywords, frame, node)


def _index(ctx: Elaborator, node: ast.Index, args: list[Any]) -> Any:
    base, rest = args[0], args[1:]
    match base:
        case NetV():
            return _with_statics(ctx, node, base, rest)
        case TupleV() | ListV() | LayerArrayV():
            members = base.layers if isinstance(base, LayerArrayV) else base.items
            if len(node.items) == 1 and isinstance(rest[0] if rest else None, int) and not isinstance(rest[0], bool):
                return _member(members, rest[0], base)
            if isinstance(base, ListV):
                return indexing.index(ctx, arrays.to_arr(ctx, base), indexing.read_items(node.items, rest))
            raise ShapeError("SHP110", f"{describe(base)} is read by one constant index, like `t[0]`")
        case Arr() | Poison():
            return indexing.index(ctx, arrays.to_arr(ctx, base), indexing.read_items(node.items, rest))
    raise ShapeError("SHP113", f"{describe(base)} cannot be indexed")


def _member(members: tuple[Any, ...], index: int, base: Any) -> Any:
    if isinstance(index, LoopInt) and index < 0:
        raise negative_loop_index(index)
    if not -len(members) <= index < len(members):
        raise ShapeError("SHP108", f"index {int(index)} is out of range for {describe(base)}")
    return members[index]


def _with_statics(ctx: Elaborator, node: ast.Index, net: NetV, given: list[Any]) -> NetV:
    from gradcli.interp.calls import with_statics

    return with_statics(ctx, net, [static.whole(value) for value in given], node.span)


def attribute(ctx: Elaborator, frame: Frame, node: ast.Attribute, base: Any) -> Any:
    """`layers.Dense`, `l1.w`, `x.T`, `x.shape`"""
    match base:
        case ModuleV():
            inner = base.scope
            if node.name in inner.nets:
                return ctx.named_net(inner, node.name)
            if node.name in inner.consts:
                return ctx.const(inner, node.name)
            size = ctx.file_dim(inner, node.name)
            if size is not None:
                return size
            guess = nearest(node.name, [*inner.nets, *inner.consts, *inner.dims])
            raise fail(
                "NAM007",
                f"`{base.name}` ({inner.source.name}) has no net, const or dim `{node.name}`",
                node.span,
                help=f"did you mean `{base.name}.{guess}`?" if guess else None,
            )
        case LayerV():
            return _instance_name(ctx, base.net.instance, node)
        case NetV() if base.instance.params or base.enclosing is None:
            if not base.instance.params and base.statics is None and not base.decl.statics:  # not called yet
                params.declare_ahead(ctx, base)
            return _instance_name(ctx, base.instance, node)
        case Arr() | ListV():
            arr = arrays.to_arr(ctx, base)
            if node.name == "T":
                return indexing.transpose(ctx, arr, tuple(reversed(range(arr.rank))))
            if node.name == "shape":
                return ListV(tuple(arrays.plain(arr.dims)), node.span)
            raise fail("NAM007", f"an array has `.T` and `.shape`, not `.{node.name}`", node.span)
    raise fail("NAM007", f"{describe(base)} has no `.{node.name}`", node.span)


def _instance_name(ctx: Elaborator, instance: Instance, node: ast.Attribute) -> Any:
    """A param of a layer, or a layer inside it."""
    path = f"{instance.path}.{node.name}"
    info = ctx.run.params.get(path)
    if info is not None:
        if info.arr is None:
            raise fail(
                "NAM007",
                f"the shape of `{instance.name(path)}` is known only after the net was called",
                node.span,
                others=[Label(info.span, "declared here")],
                help="call it first, or give its dims by static parameters",
            )
        return info.arr
    layer = ctx.run.layers.get(path)
    if layer is not None:
        return layer
    names = [p[len(instance.path) + 1 :].split(".")[0] for p in instance.params if p.startswith(instance.path + ".")]
    guess = nearest(node.name, names)
    have = f"it has {', '.join(dict.fromkeys(names))}" if names else "it has no params"
    raise fail(
        "NAM007",
        f"there is no `{node.name}` in this layer; {have}",
        node.span,
        help=f"did you mean `{guess}`?" if guess else None,
    )
