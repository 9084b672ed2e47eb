"""A model ready to be asked: its entry net elaborated on inputs that are known, or symbolic while only `check` looks.

`Program` is a file with what the user changed (consts, dtype). `prepare` gives the entry net's graph with what each
graph input is fed by. `symbolic` elaborates a net for all sizes at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from gradcli.interp import arrays, calls, expressions, types
from gradcli.interp.elaborate import Elaborator, Options
from gradcli.interp.feeds import settle_dtype
from gradcli.interp.listing import Listing
from gradcli.interp.modules import load_scope
from gradcli.interp.params import Computed
from gradcli.interp.scope import Data, Scope
from gradcli.interp.values import Arr, ListV, NetV, Poisoned, TupleV, flatten, is_number
from gradcli.ir.aval import Aval
from gradcli.ir.dims import Size, name_of
from gradcli.ir.graph import Graph, Value
from gradcli.ir.primitive import ShapeError
from gradcli.record import field, record
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import Diagnostic, Label, ModelError, Source, Span, fail, listed, nearest


@record(eq=False)
class Feed:
    """Data for one input: its shape and dtype now, its numbers when they are needed.

    `dtype` is None for numbers that arrive without one. `array` gives a NumPy array; `source` names it for people.
    """

    shape: tuple[Size, ...]
    dtype: str | None
    array: Any  # Stored, Computed, or an array
    source: str
    span: Span | None = None
    integral: bool = False


@record(eq=False)
class Fed:
    """One graph input of a prepared net: which, what it is, and what feeds it, cast to the dtype of the graph."""

    name: str
    position: int
    aval: Aval
    origin: Any  # Feed, an initialiser of `params`, or Stored


@record(eq=False)
class Prepared:
    """An entry net on known shapes. Graph inputs are `inputs`, `params` (in the language's order) and `data`."""

    net: str
    graph: Graph
    inputs: tuple[Fed, ...]
    params: tuple[Fed, ...]
    data: tuple[Fed, ...]
    outputs: tuple[str, ...]
    notes: tuple[Diagnostic, ...]
    lines: Mapping[str, Value]
    origins: Mapping[str, Span]  # where inputs and params are declared
    dims: Mapping[int, tuple[str | None, ...]] = field(default_factory=dict)  # names of dims, by id of the value
    loops: Mapping[Span, Set[tuple[int, int]]] = field(default_factory=dict)  # first and last turn + 1, by the place


class Program:
    """One model file, and what the user changes in it."""

    def __init__(
        self,
        source: Source,
        base: Path,
        options: Options | None = None,
        path: Path | None = None,
        read: Callable[[Path], Source] | None = None,
    ) -> None:
        self.scope = load_scope(source, base, path, read)
        self.options = options or Options()
        self._refuse_unknown_consts()
        self._try_overrides()

    @classmethod
    def of_expression(cls, source: Source, base: Path, options: Options | None = None) -> Program:
        """`-e`: one expression whose free names are the inputs, in order of appearance."""
        program = cls.__new__(cls)
        program.scope = Scope(source, base)
        program.options = options or Options()
        program.scope.nets["expression"] = expression_net(source)
        return program

    def _try_overrides(self) -> None:
        """What the user gives for a const or dim has a meaning, also where the net that runs does not use it."""
        if self.options.consts:
            ctx = Elaborator(self.scope, self.options)
            for name, expr in self.options.consts.items():
                try:
                    ctx.const(self.scope, name) if name in self.scope.consts else ctx.file_dim(self.scope, name)
                except ShapeError as error:
                    raise fail(error.code, error.message, expr.span, help=error.help) from None

    def _refuse_unknown_consts(self) -> None:
        known = [*self.scope.consts, *self.scope.dims]
        for name in self.options.consts:
            if name not in known:
                guess = nearest(name, known)
                have = f"it has {listed(known)}" if known else "it has none"
                raise fail(
                    "NAM001",
                    f"{self.scope.source.name} has no const or dim `{name}`; {have}",
                    help=f"did you mean `{guess}`?" if guess else None,
                )

    def entry(self, name: str | None = None) -> ast.Net:
        """The net that is run. Raises ModelError NAM008 or NAM009, which list the nets."""
        nets = self.scope.nets
        if name is not None:
            if name in nets:
                return nets[name]
            if not name:
                raise fail("NAM009", "the name of the net is empty", notes=[_list_nets(nets)], help="leave out `--net`")
            guess = nearest(name, nets)
            raise fail(
                "NAM009",
                f"{self.scope.source.name} has no net `{name}`",
                notes=[_list_nets(nets)],
                help=f"did you mean `{guess}`?" if guess else None,
            )
        if "main" in nets:
            return nets["main"]
        if len(nets) == 1:
            return next(iter(nets.values()))
        if not nets:
            raise fail(
                "NAM008",
                f"{self.scope.source.name} has no net: there is nothing to run",
                help="`gradcli new NAME` writes a small model",
            )
        raise fail(
            "NAM008",
            f"{self.scope.source.name} has {len(nets)} nets and none is called `main`",
            notes=[_list_nets(nets)],
            help="say which: `--net NAME`",
        )

    # ── inputs ──────────────────────────────────────────────────────────────────────────────────────────────

    def feed_expression(self, expr: ast.Expr, source: str) -> Feed:
        """An expression of the command line or the file as data, evaluated when it is needed."""
        ctx = Elaborator(self.scope, self.options)
        frame = ctx.file_frame(self.scope)
        try:
            value = expressions.evaluate(ctx, frame, expr)
            arr = arrays.to_arr(ctx, value)
        except ShapeError as error:
            raise fail(error.code, error.message, expr.span, help=error.help) from None
        except Poisoned:
            ctx.raise_kept()
            raise
        graph = ctx.region.builder.finish([ctx.region.lift(arr.value)])
        whole = arr.weak and arr.dtype in ("i64", "i32")
        return Feed(
            arr.value.aval.shape,
            None if arr.weak else arr.dtype,
            Computed(graph, tuple(ctx.run.data)),
            source,
            expr.span,
            whole,
        )

    def feed_of(self, name: str, given: Mapping[str, Feed]) -> Feed | None:
        """What feeds an input: what was given, else the `input` item of that name."""
        if name in given:
            return given[name]
        item = self.scope.inputs.get(name)
        if item is None or item.value is None:
            return None
        return self.feed_expression(item.value, item.value.span.text)

    def prepare(self, net_name: str | None, given: Mapping[str, Feed], listing: Listing | None = None) -> Prepared:
        """Elaborate the entry net on its inputs. Raises ModelError with every independent error.

        DAT101 lists the inputs that are missing, DAT102 those that the net does not have.
        """
        decl = self.entry(net_name)
        names = [i.name.id for i in decl.inputs]
        extra = [name for name in given if name not in names]
        if extra:
            guess = nearest(extra[0], names)
            raise fail(
                "DAT102",
                f"{decl.name.id} has no input {listed(f'`{e}`' for e in extra)}",
                notes=[f"its inputs: {listed(names) or 'none'}"],
                help=f"did you mean `{guess}`?" if guess else None,
            )
        ctx = Elaborator(self.scope, self.options)
        ctx.listing = listing or ctx.listing
        net = ctx.named_net(self.scope, decl.name.id)
        ctx.run.entry = net.instance.path
        if decl.statics:
            raise fail(
                "NAM020",
                f"{decl.name.id} has static parameters and cannot be run by itself",
                decl.name.span,
                help=f"write a net that uses it: `layer l = {decl.name.id}[…]`",
            )
        bound, inputs = self._bind(ctx, decl, given)
        result = run_entry(ctx, net, bound, decl)
        outputs = calls.flat_arrays(ctx, result, decl.name.span)
        graph = ctx.region.builder.finish([ctx.region.lift(arr.value) for arr in outputs])
        position = {value.id: k for k, value in enumerate(graph.inputs)}
        params = []
        for path in net.instance.params:
            info = ctx.run.params[path]
            if info.arr is not None and info.init is not None:
                value = info.arr.value
                params.append(Fed(net.instance.name(path), position[value.id], value.aval, info.init()))
        data = [Fed("", position[d.value.id], d.value.aval, d.stored) for d in ctx.run.data]
        fed = [Fed(name, position[value.id], value.aval, feed) for name, value, feed in inputs]
        origins = {i.name.id: i.span for i in decl.inputs}
        origins |= {net.instance.name(p): ctx.run.params[p].span for p in net.instance.params}
        lines = {name: arr.value for name, arr in ctx.run.lines.items()}
        return Prepared(
            decl.name.id,
            graph,
            tuple(fed),
            tuple(params),
            tuple(data),
            output_names(ctx, decl, result),
            tuple(ctx.run.notes),
            lines,
            origins,
            _named_dims(ctx, decl, net, inputs),
            ctx.run.loops,
        )

    def _bind(
        self, ctx: Elaborator, decl: ast.Net, given: Mapping[str, Feed]
    ) -> tuple[dict[str, Any], list[tuple[str, Value, Feed]]]:
        """Graph inputs for the net's inputs, in the order of its signature."""
        bound: dict[str, Any] = {}
        inputs: list[tuple[str, Value, Feed]] = []
        missing: list[ast.NetInput] = []
        for declared in decl.inputs:
            name = declared.name.id
            feed = self.feed_of(name, given)
            if feed is None and declared.default is not None:
                value = ctx.file_expression(self.scope, declared.default)
                if not is_number(value) and not isinstance(value, ListV | Arr):
                    bound[name] = value  # None or a text: not data
                    continue
                feed = self.feed_expression(declared.default, f"the default of {name}")
            if feed is None:
                missing.append(declared)
                continue
            bound[name] = self._graph_input(ctx, declared, feed, inputs)
            item = self.scope.inputs.get(name)
            if (span := feed.span or (item.span if item is not None and name not in given else None)) is not None:
                ctx.run.given[name] = span
        if missing:
            item = self.scope.inputs.get(missing[0].name.id)
            names = ", ".join(m.name.id for m in missing)
            others = [Label(item.span, "declared without data")] if item else []
            raise fail(
                "DAT101",
                f"{decl.name.id} needs data for its input{'s' if len(missing) > 1 else ''} {names}",
                missing[0].span,
                others=others,
                help=" ".join(f"-i {m.name.id}=…" for m in missing) + ", a file or an expression",
            )
        return bound, inputs

    def _graph_input(
        self, ctx: Elaborator, declared: ast.NetInput, feed: Feed, inputs: list[tuple[str, Value, Feed]]
    ) -> Arr:
        name = declared.name.id
        item = self.scope.inputs.get(name)
        type_ = item.type if item is not None and item.type is not None else declared.type
        wanted = ctx.dtype(type_) if type_ is not None else None
        what = f"input {name}"
        dtype, _ = settle_dtype(ctx, feed.dtype, wanted, what, feed.span or declared.span, integral=feed.integral)
        aval = Aval(arrays.plain(feed.shape), dtype)
        arrays.check_aval(aval)
        value = ctx.region.builder.input(aval, name)
        inputs.append((name, value, feed))
        dims: tuple[Size, ...] | None = None
        if item is not None and item.type is not None:
            frame = ctx.file_frame(self.scope)
            frame.dims = ctx.run.input_dims
            frame.call_span = feed.span or item.span
            dims = types.match_dims(ctx, frame, item.type, aval.shape, what, exact=True)
        return Arr(value, dims)

    # ── all sizes at once ───────────────────────────────────────────────────────────────────────────────────


def run_entry(ctx: Elaborator, net: NetV, bound: dict[str, Any], decl: ast.Net) -> Any:
    """Call the entry net; raises ModelError with every error that was kept."""
    try:
        result = calls.call_net(ctx, net, bound, decl.name.span, ctx.file_frame(net.scope))
    except Poisoned:
        ctx.raise_kept()
        raise
    except ModelError as error:
        ctx.keep(error)
        ctx.raise_kept()
    ctx.raise_kept()
    return result


def _named_dims(
    ctx: Elaborator, decl: ast.Net, net: NetV, inputs: Sequence[tuple[str, Value, Feed]]
) -> dict[int, tuple[str | None, ...]]:
    """The names of dims that inputs have in the signature, and params and named lines in their types."""
    known = [info.arr for path in net.instance.params if (info := ctx.run.params[path]).arr is not None]
    found = {
        arr.value.id: tuple(None if (known_as := name_of(d)) is None else known_as.text for d in arr.dims)
        for arr in (*known, *ctx.run.lines.values())
        if arr is not None and arr.named
    }
    types_ = {i.name.id: i.type for i in decl.inputs if i.type is not None}
    for name, value, _ in inputs:
        dims = types_[name].dims if name in types_ else ()
        if len(dims) == value.rank and not any(isinstance(d, ast.Ellipsis) for d in dims):
            found[value.id] = tuple(d.id if isinstance(d, ast.Name) else None for d in dims)
    return found


def output_names(ctx: Elaborator, decl: ast.Net, result: Any) -> tuple[str, ...]:
    """The plain names of results, else `out`, or `out0`, `out1` … where there are several or a name repeats."""
    count = len(flatten(result))
    names: Sequence[str] = ()
    if isinstance(result, TupleV):
        names = result.names if len(result.names) == count else [""] * count
    else:
        names = ctx.result_names.get(id(decl), ("",))
    if count == 1:
        return (names[0] or "out",)
    if len(set(names)) != len(names) or any(not n for n in names):
        seen: dict[str, int] = {}
        for n in names:
            seen[n] = seen.get(n, 0) + 1
        return tuple(n if n and seen[n] == 1 else f"out{k}" for k, n in enumerate(names))
    return tuple(names)


def _list_nets(nets: Mapping[str, ast.Net]) -> str:
    rows = [f"{n} (line {d.name.span.line})" for n, d in nets.items()]
    return f"its nets: {listed(rows)}" if rows else "it has no nets"


def expression_net(source: Source) -> ast.Net:
    """The net that `-e` stands for."""
    from gradcli.interp.modules import prelude_names
    from gradcli.interp.operators import OPERATORS
    from gradcli.ir.aval import DTYPES
    from gradcli.syntax.parse import parse_expression

    expr = parse_expression(source)
    language = {*OPERATORS, *DTYPES, *prelude_names(), "pi", "e"}
    free: dict[str, ast.Name] = {}
    work: list[tuple[Any, str]] = [(expr, "")]
    while work:
        node, _ = work.pop()
        if isinstance(node, ast.Name):
            if node.id not in language:
                free.setdefault(node.id, node)
            continue
        below = [c for c in ast.children(node) if not (isinstance(c, ast.Keyword) and c.name == "wrt")]
        work.extend((child, "") for child in reversed(below))
    first = sorted(free.values(), key=lambda name: name.span.start)
    inputs = tuple(ast.NetInput(name.span, name, None, None) for name in first)
    whole = ast.Name(expr.span, "expression")
    return ast.Net(expr.span, whole, (), inputs, None, (ast.Return(expr.span, (expr,)),))


InitialValue = Callable[[], Any]
__all__ = ["Data", "Fed", "Feed", "Prepared", "Program"]
