"""The elaborator: the state of one run of the front end, and what its rooms ask of each other.

`expressions`, `statements`, `calls`, `params`, `indexing` and `transform` hold the meaning of the language; this
class holds what they share: the graph region that is being built, the params and files met so far, the errors kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gradcli.interp import arrays, expressions, names, static
from gradcli.interp.listing import Listing
from gradcli.interp.modules import hides, net_of, open_prelude, references, taken
from gradcli.interp.operators import OPERATORS
from gradcli.interp.scope import Binding, Frame, Instance, Region, Run, Scope
from gradcli.interp.values import POISON, Arr, Deferred, ListV, NetV, Poisoned, describe, is_number
from gradcli.ir.aval import DTYPES, FLOATS
from gradcli.ir.dims import Name, Poly, Size, name_of, named
from gradcli.ir.graph import Builder
from gradcli.ir.primitive import ShapeError
from gradcli.record import field, record, replace
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import Diagnostic, Label, ModelError, Source, Span, fail

MAX_NODES = 5_000_000
MAX_ERRORS = 40


@record
class Options:
    """What the command line changes in a model: float types and the values of consts and dims."""

    dtype: str | None = None
    consts: dict[str, ast.Expr] = field(default_factory=dict)
    check: bool = False  # shapes only: inputs may be symbolic


class Elaborator:
    """Elaborates nets of `main` and the files it imports. One instance makes many runs (`fresh_run`)."""

    def __init__(self, main: Scope, options: Options) -> None:
        self.main = main
        self.options = options
        self.weak_float = options.dtype or "f64"
        self.operators = OPERATORS
        self.result_names: dict[int, tuple[str, ...]] = {}
        self.on_expect: Any = None
        self.listing = Listing()
        self._memo_types: dict[str, str] = {}
        self.run = Run(Region(Builder()))
        self.region = self.run.region

    # ── runs ────────────────────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def fresh_run(self) -> Iterator[Run]:
        """A graph of its own, with params and consts of its own; the run around goes on afterwards."""
        saved = self.run, self.region
        self.run = Run(Region(Builder()))
        self.region = self.run.region
        try:
            yield self.run
        finally:
            self.run, self.region = saved

    @contextmanager
    def in_root(self) -> Iterator[None]:
        """What belongs to the file is elaborated once, in the outermost region."""
        saved, self.region = self.region, self.run.region
        try:
            yield
        finally:
            self.region = saved

    # ── places and messages ─────────────────────────────────────────────────────────────────────────────────

    def here(self, frame: Frame, span: Span) -> None:
        """Nodes emitted from now on come from `span`, or from the line that called the prelude."""
        self.region.builder.spans = (frame.call_span if frame.scope.prelude and frame.call_span else span,)

    def user_span(self, frame: Frame, span: Span) -> Span:
        """A place in the user's files."""
        return frame.call_span if frame.scope.prelude and frame.call_span else span

    def keep(self, error: ModelError) -> None:
        """Keep an error and go on; each once. Raises when there are too many."""
        assert error.diagnostics, "refused without a reason, which would make a case pass"
        for diagnostic in error.diagnostics:
            if all((d.code, d.span) != (diagnostic.code, diagnostic.span) for d in self.run.errors):
                self.run.errors.append(diagnostic)
        if len(self.run.errors) >= MAX_ERRORS:
            raise ModelError(self.run.errors)

    def raise_kept(self) -> None:
        if self.run.errors:
            raise ModelError(self.run.errors)

    def note(self, code: str, message: str, span: Span | None) -> None:
        diagnostic = Diagnostic(code, message, span, severity="note")
        if all((n.code, n.message) != (code, message) for n in self.run.notes):
            self.run.notes.append(diagnostic)

    def check_size(self, span: Span) -> None:
        """Refuse programs that would only exhaust the machine."""
        if self.region.builder.n_values > MAX_NODES:
            raise fail("NUM003", f"more than {MAX_NODES:_} operations after loops are written out", span)

    # ── the file ────────────────────────────────────────────────────────────────────────────────────────────

    def prelude(self) -> Scope:
        """The nets that ship with the package."""
        return open_prelude()

    def named_net(self, scope: Scope, name: str) -> NetV:
        """A net of a file: called by its own name it always uses the same params."""
        path = scope.prefix + name
        instance = self.run.instances.get(path)
        if instance is None:
            instance = self.run.instances[path] = Instance(path, path)
        return NetV(net_of(scope, name), scope, instance)

    def file_frame(self, scope: Scope) -> Frame:
        return Frame(scope, Instance(scope.prefix + "<file>", scope.prefix + "<file>"))

    def file_expression(self, scope: Scope, expr: ast.Expr) -> Any:
        with self.in_root():
            return expressions.evaluate(self, self.file_frame(scope), expr)

    def const(self, scope: Scope, name: str) -> Any:
        """The value of a const, evaluated once a run. Raises ModelError for a cycle of consts."""
        key = (id(scope), name)
        known = self.run.consts.get(key)
        if known is not None:
            if known.value is POISON:
                raise Poisoned
            return known.value
        item = scope.consts[name]
        self._settle_below(scope, name)
        self._enter(f"const {name}", item.span)
        try:
            override = self.options.consts.get(name) if scope is self.main else None
            value = self.file_expression(scope, override or item.value)
            if item.type is not None:
                with self.in_root():
                    value = self._typed_const(scope, item, value)
        except ModelError:
            self.run.consts[key] = Binding(POISON, item.span)
            raise
        finally:
            self.run.pending.pop()
        self.run.consts[key] = Binding(value, item.span, "const")
        return value

    def _typed_const(self, scope: Scope, item: ast.Const, value: Any) -> Arr:
        from gradcli.interp.types import match_dims

        assert item.type is not None
        frame = self.file_frame(scope)
        try:
            arr = arrays.convert(self, value, self.dtype(item.type), f"const {item.name.id}")
        except ShapeError as error:
            raise fail(
                error.code,
                error.message,
                item.value.span,
                help=error.help,
                others=[Label(item.type.span, "declared here")],
            ) from None
        frame.call_span = item.value.span
        return Arr(arr.value, match_dims(self, frame, item.type, arr.dims, f"const {item.name.id}", exact=True))

    def file_dim(self, scope: Scope, name: str) -> Size | None:
        """The size of a `dim` of a file, with its name."""
        item = scope.dims.get(name)
        if item is None:
            return None
        key = (id(scope), name)
        if key not in self.run.dims:
            self._settle_below(scope, name)
            self._enter(f"dim {name}", item.span)
            try:
                override = self.options.consts.get(name) if scope is self.main else None
                value = self.file_expression(scope, override or item.value)
            finally:
                self.run.pending.pop()
            size = static.whole(value) if is_number(value) else None
            if size is None or (not isinstance(size, Poly) and size < 0):
                raise fail(
                    "SHP110",
                    f"dim {name} is a known integer, 0 or more, not {size if size is not None else describe(value)}",
                    (override or item.value).span,
                )
            if not isinstance(size, Poly) and size >= 1 << 62:
                raise fail("SHP110", f"dim {name} does not fit into 63 bits", item.value.span)
            self.run.dims[key] = named(size, Name(name))
        return self.run.dims[key]

    def _settle_below(self, scope: Scope, name: str) -> None:
        """The consts and dims that one refers to, first: so a long chain of them is no deep chain of calls."""
        if self.run.settling:
            return
        self.run.settling = True
        try:
            for below in references(scope, name):
                if below in scope.consts:
                    self.const(scope, below)
                else:
                    self.file_dim(scope, below)
        finally:
            self.run.settling = False

    def _enter(self, what: str, span: Span) -> None:
        if what in self.run.pending:
            cycle = [*self.run.pending[self.run.pending.index(what) :], what]
            raise fail("NAM002", f"{what} is defined by itself: {' → '.join(cycle)}", span)
        if len(self.run.pending) > 50:
            raise fail("NAM002", "consts and dims of several files refer to each other deeper than 50", span)
        self.run.pending.append(what)

    def file_input(self, scope: Scope, name: str, span: Span) -> Any:
        """An `input` item as a case sees it."""
        key = (id(scope), f"input {name}")
        known = self.run.consts.get(key)
        if known is not None:
            if known.value is POISON:
                raise Poisoned
            return known.value
        item = scope.inputs[name]
        if item.value is None:
            raise fail(
                "DAT101",
                f"input {name} has no data in the file",
                span,
                others=[Label(item.span, "declared here")],
                help=f"give it here: `input {name}: … = …`",
            )
        self._enter(f"input {name}", item.span)
        try:
            value = self.file_expression(scope, item.value)
            with self.in_root():
                value = self.typed_input(scope, item, value)
        except ModelError:
            self.run.consts[key] = Binding(POISON, item.span)
            raise
        finally:
            self.run.pending.pop()
        self.run.consts[key] = Binding(value, item.span, "input")
        return value

    def typed_input(self, scope: Scope, item: ast.Input, value: Any) -> Arr:
        """The data of an `input` item in its declared type; named dims are shared by all inputs of the file."""
        from gradcli.interp.feeds import settle_dtype
        from gradcli.interp.types import match_dims

        arr = arrays.to_arr(self, value)
        if item.type is None:
            return Arr(arrays.as_value(self, arr, self.weak_float)) if arr.weak else arr
        dtype, _ = settle_dtype(
            self,
            None if arr.weak else arr.dtype,
            self.dtype(item.type),
            f"input {item.name.id}",
            item.value.span if item.value else item.span,
            integral=arr.dtype in ("i64", "i32"),
        )
        arr = Arr(arrays.as_value(self, value if is_number(value) else arr, dtype), arr.dims)
        frame = self.file_frame(scope)
        frame.dims = self.run.input_dims
        frame.call_span = item.value.span if item.value else item.span
        return Arr(arr.value, match_dims(self, frame, item.type, arr.dims, f"input {item.name.id}", exact=True))

    # ── what statements ask ─────────────────────────────────────────────────────────────────────────────────

    def body(self, frame: Frame, decl: ast.Net) -> Any:
        from gradcli.interp.statements import run_body

        return run_body(self, frame, decl)

    def expect(self, frame: Frame, statement: Any) -> None:
        if self.on_expect is None:
            raise fail("SYN020", "`expect` belongs into a case", statement.span)
        self.on_expect(frame, statement)

    def may_bind(self, frame: Frame, name: ast.Name) -> None:
        """A name inside a net may hide any value outside it, never a net or an operator. Raises ModelError NAM003."""
        if frame.scope.prelude:
            return
        known = frame.names.get(name.id)
        if known is not None and known.what == "net" and not isinstance(known.value, Arr):
            others = [Label(known.span, "this net")]
            raise fail("NAM003", f"`{name.id}` is a net here and cannot be bound again", name.span, others=others)
        if name.id in frame.scope.nets:
            others = [Label(frame.scope.nets[name.id].name.span, "this net")]
            raise fail("NAM003", f"`{name.id}` is a net of this file and cannot be hidden", name.span, others=others)
        if taken(name.id):
            raise ModelError(hides(name))

    def bind(self, frame: Frame, target: ast.Name, value: Any) -> None:
        """A line of the model binds a name."""
        if isinstance(value, Arr):
            self.name_line(frame, target.id, value)
        self.listing.bound(frame.net, target, value)
        frame.bind(target.id, value, target.span)

    def name_line(self, frame: Frame, name: str, value: Arr) -> None:
        """Remember the value of a named line, for `--at` and for readers of graphs."""
        if not value.value.hint and value.value.node is not None and value.value.builder is self.region.builder:
            value.value.hint = name
        if self.region is self.run.region and not frame.scope.prelude:
            self.run.lines[self._line_prefix(frame) + name] = value

    def _line_prefix(self, frame: Frame) -> str:
        path, entry = frame.instance.path, self.run.entry
        if path == entry:
            return ""
        below = path[len(entry) + 1 :] if path.startswith(entry + ".") else path
        return below.replace(".", "/") + "/"

    # ── types ───────────────────────────────────────────────────────────────────────────────────────────────

    def dtype(self, type_: ast.Type) -> str:
        """The dtype that a declaration means in this run. Raises ModelError for unknown types."""
        name = type_.dtype
        if name not in DTYPES:
            from gradcli.syntax.diagnostics import nearest

            guess = nearest(name, DTYPES)
            text = (
                "complex numbers are not in this edition"
                if name.startswith(("c", "complex"))
                else f"there is no type `{name}`"
            )
            raise fail(
                "SHP116",
                f"{text}; types are {', '.join(DTYPES)}",
                type_.span,
                help=f"did you mean `{guess}`?" if guess else None,
            )
        return self.map_dtype(name)

    def map_dtype(self, dtype: str) -> str:
        """`--dtype` changes every float type and cast."""
        return self.options.dtype if self.options.dtype and dtype in FLOATS else dtype

    def cast(self, value: Any, dtype: str) -> Arr:
        """`f32(x)`; from floats to ints it truncates, as NumPy does."""
        target = self.map_dtype(dtype)
        if is_number(value) and not isinstance(value, Poly | float) and target != "bool":
            return Arr(arrays.scalar(self, value, target))
        arr = arrays.to_arr(self, value)
        if is_number(value) and not isinstance(value, Poly) and target in FLOATS:
            return Arr(arrays.scalar(self, value, target))
        return Arr(arrays.as_value(self, arr, target), arr.dims if arr.named else None)

    def axis(self, value: Any, arr: Arr) -> Any:
        """What stands after `axis=`: names of dims of `arr` become numbers; all else is evaluated."""
        if not isinstance(value, Deferred):
            return value
        expr = value.expr
        items = expr.items if isinstance(expr, ast.Tuple | ast.List) else (expr,)
        found = [self._one_axis(item, value.frame, arr) for item in items]
        return ListV(tuple(found), expr.span) if isinstance(expr, ast.Tuple | ast.List) else found[0]

    def _one_axis(self, expr: Any, frame: Frame, arr: Arr) -> Any:
        if isinstance(expr, ast.Name):
            places = [k for k, d in enumerate(arr.dims) if (n := name_of(d)) is not None and n.text == expr.id]
            known = names.find_dim(self, frame, expr.id)
            exact = [k for k in places if known is not None and name_of(arr.dims[k]) is name_of(known)] or places
            if len(exact) == 1:
                return exact[0]
            if len(exact) > 1:
                raise fail("SHP111", f"{arr} has two dims `{expr.id}`; say the number of the axis", expr.span)
            if known is not None and names.find(frame, expr.id) is None:
                raise fail("SHP111", f"{arr} has no dim `{expr.id}`", expr.span)
        return expressions.evaluate(self, frame, expr)


def with_dtype(options: Options, dtype: str | None) -> Options:
    return replace(options, dtype=dtype)


__all__ = ["Elaborator", "Options", "Source"]
