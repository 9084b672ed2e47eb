"""Graphs in single-assignment form, and the builder that makes them.

A `Graph` is an ordered list of nodes; each node applies one primitive to values made before it. The `Builder`
hash-conses: the same primitive on the same values with the same params *is* the same value, so common
subexpressions never exist. Every node keeps every span that produced it. Nothing here recurses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from gradcli.ir.aval import Aval
from gradcli.ir.primitive import Primitive, primitive
from gradcli.record import record
from gradcli.syntax.diagnostics import Span

if TYPE_CHECKING:
    from gradcli.ir.dims import Size

Number = int | float | bool
NO_PARAMS: dict[str, Any] = {}  # of all nodes without any; nobody writes to a node's params


class Value:
    """The result of a node or an input of a graph: `%id`, of one aval. Python operators on it emit nodes."""

    __slots__ = ("aval", "builder", "hint", "id", "node")

    def __init__(self, builder: Builder, id: int, aval: Aval, node: Node | None) -> None:
        self.builder = builder
        self.id = id
        self.aval = aval
        self.node = node  # None for an input
        self.hint = ""  # the model's name for it, if it has one

    @property
    def shape(self) -> tuple[Size, ...]:
        return self.aval.shape

    @property
    def dtype(self) -> str:
        return self.aval.dtype

    @property
    def rank(self) -> int:
        return len(self.aval.shape)

    def __repr__(self) -> str:
        return f"%{self.id}: {self.aval}"

    def __add__(self, other: Value | Number) -> Value:
        return apply("add", self, other)

    def __radd__(self, other: Number) -> Value:
        return apply("add", other, self)

    def __sub__(self, other: Value | Number) -> Value:
        return apply("sub", self, other)

    def __rsub__(self, other: Number) -> Value:
        return apply("sub", other, self)

    def __mul__(self, other: Value | Number) -> Value:
        return apply("mul", self, other)

    def __rmul__(self, other: Number) -> Value:
        return apply("mul", other, self)

    def __truediv__(self, other: Value | Number) -> Value:
        return apply("div", self, other)

    def __rtruediv__(self, other: Number) -> Value:
        return apply("div", other, self)

    def __neg__(self) -> Value:
        return apply("neg", self)


class Role(NamedTuple):
    """What a node is for that a derivative asked for: the adjoint or the tangent of a node that applied `prim`.

    `of` is the role of that node: None where it computes a value of the model.
    """

    kind: Literal["adjoint", "tangent"]
    prim: str
    of: Role | None = None


class Node:
    """`outs = prim[params](inputs)`, the places in models that asked for it, and its role in a derivative (None: it
    computes a value of the model)."""

    __slots__ = ("inputs", "outs", "params", "prim", "role", "spans")

    def __init__(self, prim: Primitive, inputs: tuple[Value, ...], params: dict[str, Any]) -> None:
        self.prim = prim
        self.inputs = inputs
        self.params = params
        self.outs: tuple[Value, ...] = ()
        self.spans: tuple[Span, ...] = ()
        self.role: Role | None = None


@record(eq=False)
class Graph:
    """`inputs → outputs`; `nodes` in an order in which each can run. Values are numbered below `n_values`."""

    inputs: tuple[Value, ...]
    nodes: tuple[Node, ...]
    outputs: tuple[Value, ...]
    n_values: int
    names: tuple[str, ...] = ()  # of the inputs

    def __len__(self) -> int:
        return len(self.nodes)


class Builder:
    """Makes one graph. `emit` is the only way a node comes into being."""

    def __init__(self) -> None:
        self.inputs: list[Value] = []
        self.names: list[str] = []
        self.nodes: list[Node] = []
        self.n_values = 0
        self.spans: tuple[Span, ...] = ()
        self._memo: dict[Any, Node] = {}
        self._derived: dict[Any, Graph] = {}

    def input(self, aval: Aval, name: str = "") -> Value:
        value = self._value(aval, None)
        value.hint = name
        self.inputs.append(value)
        self.names.append(name)
        return value

    def emit(
        self, prim: Primitive, inputs: Sequence[Value], params: Mapping[str, Any] | None = None
    ) -> tuple[Value, ...]:
        """The results of `prim` on `inputs`; found again if they exist already.

        Raises ShapeError from the primitive's `infer` where shapes or dtypes are refused.
        """
        params = dict(params) if params else NO_PARAMS
        key: tuple[Any, ...]
        if params:
            key = (prim, *[value.id for value in inputs], *sorted(params.items()))
        else:
            key = (prim, *[value.id for value in inputs])
        node = self._memo.get(key)
        if node is None:
            node = Node(prim, tuple(inputs), params)
            avals = prim.infer(*[value.aval for value in inputs], **params)
            if len(avals) == 1:
                node.outs = (self._value(avals[0], node),)
            else:
                node.outs = tuple([self._value(aval, node) for aval in avals])
            node.spans = self.spans
            self.nodes.append(node)
            self._memo[key] = node
        elif self.spans and self.spans[0] not in node.spans and len(node.spans) < 16:
            node.spans += self.spans
        return node.outs

    def constant(self, dtype: str, shape: tuple[int, ...], data: bytes) -> Value:
        """An array known now, in native byte order, C order; told apart by dtype and bytes."""
        return self.emit(primitive("constant"), (), {"dtype": dtype, "shape": shape, "data": data})[0]

    def scalar(self, number: Number, dtype: str) -> Value:
        from gradcli.ir.constants import pack

        return self.constant(dtype, (), pack([number], dtype))

    def derived(self, region: Graph, what: tuple[Any, ...], make: Callable[[], Graph]) -> Graph:
        """What a transformation makes of the graph that a node holds: made once, so that equal nodes stay equal."""
        found = self._derived.get((region, what))
        if found is None:
            found = self._derived[region, what] = make()
        return found

    @contextmanager
    def at(self, *spans: Span) -> Iterator[None]:
        """Nodes emitted inside the block come from these places."""
        before, self.spans = self.spans, spans
        try:
            yield
        finally:
            self.spans = before

    def inline(self, graph: Graph, args: Sequence[Value]) -> tuple[Value, ...]:
        """Copy `graph` into this one with `args` for its inputs; gives its outputs."""
        env: dict[int, Value] = {i.id: arg for i, arg in zip(graph.inputs, args, strict=True)}
        self.replay(graph.nodes, env)
        return tuple(env[value.id] for value in graph.outputs)

    def replay(self, nodes: Iterable[Node], env: dict[int, Value]) -> None:
        """Emit copies of `nodes` with their own spans and roles, reading and extending `env` (old id → new value)."""
        before = self.spans
        for node in nodes:
            self.spans = node.spans
            first = len(self.nodes)
            outs = self.emit(node.prim, [env[value.id] for value in node.inputs], node.params)
            if node.role is not None:
                self.mark(first, node.role)
            for old, new in zip(node.outs, outs, strict=True):
                env[old.id] = new
                if old.hint and not new.hint:
                    new.hint = old.hint
        self.spans = before

    def mark(self, first: int, role: Role | None) -> None:
        """The nodes emitted from number `first` on have this role."""
        for node in self.nodes[first:]:
            node.role = role

    def close(self, outputs: Sequence[Value]) -> Graph:
        """`finish`, and forget what would be found again: nothing is emitted afterwards."""
        self._memo.clear()
        self._derived.clear()
        return self.finish(outputs)

    def finish(self, outputs: Sequence[Value]) -> Graph:
        return Graph(tuple(self.inputs), tuple(self.nodes), tuple(outputs), self.n_values, tuple(self.names))

    def _value(self, aval: Aval, node: Node | None) -> Value:
        value = Value(self, self.n_values, aval, node)
        self.n_values += 1
        return value


def apply(prim: Primitive | str, *args: Value | Number, **params: Any) -> Value:
    """Emit a primitive of one result; numbers become constants of the dtype of the first value among `args`."""
    outs = apply_all(prim, *args, **params)
    return outs[0]


def apply_all(prim: Primitive | str, *args: Value | Number, **params: Any) -> tuple[Value, ...]:
    """`apply` for primitives of several results."""
    if isinstance(prim, str):
        prim = primitive(prim)
    like = next(arg for arg in args if isinstance(arg, Value))
    builder = like.builder
    values = [arg if isinstance(arg, Value) else builder.scalar(arg, like.aval.dtype) for arg in args]
    return builder.emit(prim, values, params)
