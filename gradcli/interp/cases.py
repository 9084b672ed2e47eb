"""Cases: a test that lives with the model, elaborated into one graph whose outputs its `expect`s compare."""

from __future__ import annotations

from typing import Any

from gradcli.interp import arrays, expressions, statements
from gradcli.interp.dtypes import rank_of, settle
from gradcli.interp.elaborate import Elaborator, Options
from gradcli.interp.scope import Data, Frame, Instance, Scope
from gradcli.interp.values import Arr, ListV, Poisoned, TupleV, flatten, is_number
from gradcli.ir.graph import Graph, Value
from gradcli.ir.primitive import ShapeError
from gradcli.record import record
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import ModelError, Span, fail


@record(eq=False)
class Expectation:
    """One comparison: `left` and `right` are positions among the graph's outputs.

    `op` is `~=`, a comparison, or `true`; tolerances are None where the defaults by dtype hold.
    """

    span: Span
    op: str
    left: int
    right: int | None
    rtol: float | None = None
    atol: float | None = None
    label: str = ""  # which member of a tuple


@record(eq=False)
class PreparedCase:
    graph: Graph
    params: tuple[tuple[int, Any], ...]  # position among the inputs, initialiser
    data: tuple[tuple[int, Any], ...]  # position, Stored
    expectations: tuple[Expectation, ...]
    failures: tuple[tuple[Span, str], ...]  # what is decided without running


def prepare_case(scope: Scope, case: ast.Case, options: Options) -> PreparedCase:
    """Elaborate a case. Raises ModelError with every error in it."""
    ctx = Elaborator(scope, options)
    collector = _Collector(ctx)
    ctx.on_expect = collector.expect
    ctx.run.entry = "<case>"
    frame = Frame(scope, Instance("<case>", "<case>"), sees_inputs=True)
    statements.run_block(ctx, frame, case.body)
    ctx.raise_kept()
    if not collector.count:
        raise fail(
            "NAM015",
            f'the case "{case.title.value}" expects nothing',
            case.title.span,
            help="add a line like `expect f(x) ~= 1.0`",
        )
    graph = ctx.run.region.builder.finish(collector.values)
    position = {value.id: k for k, value in enumerate(graph.inputs)}
    params = [(position[i.arr.value.id], i.init()) for i in ctx.run.params.values() if i.arr and i.init]
    return PreparedCase(
        graph,
        tuple(params),
        _positions(ctx.run.data, position),
        tuple(collector.expectations),
        tuple(collector.failures),
    )


def _positions(data: list[Data], position: dict[int, int]) -> tuple[tuple[int, Any], ...]:
    return tuple((position[d.value.id], d.stored) for d in data)


class _Collector:
    def __init__(self, ctx: Elaborator) -> None:
        self.ctx = ctx
        self.values: list[Value] = []
        self.expectations: list[Expectation] = []
        self.failures: list[tuple[Span, str]] = []
        self.count = 0

    def expect(self, frame: Frame, statement: Any) -> None:
        self.count += 1
        match statement:
            case ast.ExpectError():
                self._error(frame, statement)
            case ast.ExpectClose():
                self._close(frame, statement)
            case ast.ExpectTrue():
                self._true(frame, statement)

    def _error(self, frame: Frame, statement: ast.ExpectError) -> None:
        """`expect error "text" in expr` holds where elaborating `expr` is refused with that text."""
        before = list(self.ctx.run.errors)
        try:
            value = expressions.evaluate(self.ctx, frame, statement.value)
            arrays.to_arr(self.ctx, value) if not isinstance(value, TupleV) else None
            found = self.ctx.run.errors[len(before) :]
        except ModelError as error:
            found = [*self.ctx.run.errors[len(before) :], *error.diagnostics]
        except (Poisoned, ShapeError) as error:
            found = self.ctx.run.errors[len(before) :]
            if isinstance(error, ShapeError):
                found.append(fail(error.code, error.message, statement.value.span).diagnostics[0])
        self.ctx.run.errors[:] = before
        wanted = statement.text.value
        if not found:
            self.failures.append((statement.span, f'an error with "{wanted}" was expected; this is accepted'))
        elif not any(wanted in d.message or wanted == d.code or wanted in (d.help or "") for d in found):
            heard = "; ".join(f"[{d.code}] {d.message}" for d in found)
            self.failures.append((statement.span, f'an error with "{wanted}" was expected; it says: {heard}'))

    def _close(self, frame: Frame, statement: ast.ExpectClose) -> None:
        ctx = self.ctx
        left = expressions.evaluate(ctx, frame, statement.left)
        right = expressions.evaluate(ctx, frame, statement.right)
        limits: dict[str, float] = {}
        for keyword in statement.within:
            value = expressions.evaluate(ctx, frame, keyword.value)
            if keyword.name not in ("rtol", "atol") or not is_number(value) or not value >= 0:
                raise fail("NAM022", "`within` takes rtol= and atol=, numbers of 0 or more", keyword.span)
            limits[keyword.name] = float(value)
        self._compare(frame, statement, "~=", left, right, limits)

    def _true(self, frame: Frame, statement: ast.ExpectTrue) -> None:
        node = statement.value
        if isinstance(node, ast.Binary) and node.op in ("==", "!=", "<", "<=", ">", ">="):
            left = expressions.evaluate(self.ctx, frame, node.left)
            right = expressions.evaluate(self.ctx, frame, node.right)
            if not (left is None or right is None or isinstance(left, str) or isinstance(right, str)):
                self._compare(frame, statement, node.op, left, right, {})
                return
        value = expressions.evaluate(self.ctx, frame, node)
        for item in flatten(value):
            arr = arrays.to_arr(self.ctx, item)
            if arr.dtype != "bool":
                raise fail("SHP103", f"`expect` wants bools, this is {arr}", node.span, help="compare: `~=`, `==`, `<`")
            self.expectations.append(Expectation(statement.span, "true", self._output(arr.value), None))

    def _compare(self, frame: Frame, statement: Any, op: str, left: Any, right: Any, limits: dict[str, float]) -> None:
        """Both sides, member by member where they are tuples, in one dtype and one shape."""
        ones = flatten(left)
        twos = list(right.items) if isinstance(right, ListV) and isinstance(left, TupleV) else flatten(right)
        if len(ones) != len(twos):
            raise fail("SHP115", f"{len(ones)} values are compared with {len(twos)}", statement.span)
        self.ctx.here(frame, statement.span)
        for k, (one, two) in enumerate(zip(ones, twos, strict=True)):
            try:
                a, b = arrays.to_arr(self.ctx, one), arrays.to_arr(self.ctx, two)
                dtype, _ = settle(max(rank_of(a), rank_of(b)), self.ctx.weak_float)
                if a.value.aval.shape != b.value.aval.shape:
                    arrays.broadcast_dims([a.dims, b.dims])
                    if a.rank and b.rank:
                        raise ShapeError("SHP105", f"{a} is compared with {b}")
                a = one if is_number(one) else a
                b = two if is_number(two) else b
                values = [arrays.as_value(self.ctx, x, dtype) for x in (a, b)]
            except ShapeError as error:
                raise fail(error.code, error.message, statement.span, help=error.help) from None
            label = f"member {k}" if len(ones) > 1 else ""
            self.expectations.append(Expectation(
                statement.span, op, self._output(values[0]), self._output(values[1]),
                limits.get("rtol"), limits.get("atol"), label,
            ))  # fmt: skip

    def _output(self, value: Value) -> int:
        self.values.append(self.ctx.run.region.lift(value))
        return len(self.values) - 1


__all__ = ["Arr", "Expectation", "PreparedCase", "prepare_case"]
