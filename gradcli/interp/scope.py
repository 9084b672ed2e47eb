"""Scopes: files, frames of net calls, instances of nets, and the regions of the graph that is being built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gradcli.interp.values import ParamInfo
from gradcli.ir.dims import Name, Size, name_of, named
from gradcli.ir.graph import Builder, Value
from gradcli.record import field, record
from gradcli.syntax import ast
from gradcli.syntax.diagnostics import Diagnostic, Source, Span


@record(frozen=False, eq=False)
class Scope:
    """One file: its items by name. `prefix` is how the file that is run names it (`layers.`)."""

    source: Source
    base: Path  # where relative paths start
    prefix: str = ""
    edition: int = 2026
    nets: dict[str, ast.Net] = field(default_factory=dict)
    consts: dict[str, ast.Const] = field(default_factory=dict)
    dims: dict[str, ast.Dim] = field(default_factory=dict)
    inputs: dict[str, ast.Input] = field(default_factory=dict)
    cases: list[ast.Case] = field(default_factory=list)
    imports: dict[str, tuple[ast.Import, Scope]] = field(default_factory=dict)
    to_import: list[ast.Import] = field(default_factory=list)
    prelude: bool = False


@record(frozen=False, eq=False)
class Instance:
    """The owner of params: a net called by name, a layer, or a local net.

    `path` is absolute (`Net.l1`); `params` are the absolute paths of all params that it uses, in the order of the
    language: own ones and layers where they are declared, a net called by name at its first call.
    """

    path: str
    owner: str  # the path of the net called by name that it lies in
    outer: Instance | None = None
    params: dict[str, None] = field(default_factory=dict)

    def name(self, path: str) -> str:
        """A param's name as seen from here."""
        instance: Instance | None = self
        while instance is not None:
            if path.startswith(instance.path + "."):
                return path[len(instance.path) + 1 :]
            instance = instance.outer
        return path

    def seed_path(self, param: str) -> str:
        """The path that a seed is mixed with: below the net called by name."""
        return f"{self.path}.{param}"[len(self.owner) + 1 :]


@record(frozen=False)
class Binding:
    """A name's newest meaning, where it was bound, and what it is (`input`, `param`, `name`, `net` …)."""

    value: Any
    span: Span
    what: str = "name"
    serial: int = 0


@record(frozen=False, eq=False)
class Frame:
    """One call of a net, or the body of a case: names, named dims, and where it was called."""

    scope: Scope
    instance: Instance
    enclosing: Frame | None = None
    enclosing_limit: int = 0  # bindings of `enclosing` with a later serial were made after the net was defined
    net: ast.Net | None = None
    sees_inputs: bool = False  # the file's inputs: a case, and so the nets inside it
    names: dict[str, Binding] = field(default_factory=dict)
    dims: dict[str, tuple[Size, Span]] = field(default_factory=dict)
    renames: dict[Name, Size] = field(default_factory=dict)  # named dims of this frame → the caller's
    call_span: Span | None = None
    given: dict[str, Span] = field(default_factory=dict)  # where the inputs of the entry net get their data
    serial: int = 0
    depth: int = 0
    loop_vars: set[str] = field(default_factory=set)

    def bind(self, name: str, value: Any, span: Span, what: str = "name") -> None:
        self.serial += 1
        self.names[name] = Binding(value, span, what, self.serial)

    def bind_dim(self, name: str, size: Size, span: Span) -> Size:
        """A named dim of this frame, remembered with the size that the caller knows it by."""
        identity = Name(name)
        mine = named(size, identity)
        self.dims[name] = (mine, span)
        self.renames[identity] = size
        return mine

    def rename(self, dims: tuple[Size, ...]) -> tuple[Size, ...]:
        """The same dims as the caller names them."""
        if not self.renames:
            return dims
        return tuple(d if (name := name_of(d)) is None else self.renames.get(name, d) for d in dims)


@record(frozen=False, eq=False)
class Region:
    """A graph under construction. A transformation opens one inside another; outer values come in as inputs."""

    builder: Builder
    parent: Region | None = None
    lifted: dict[Value, Value] = field(default_factory=dict)  # value of an outer region → input here
    origins: dict[int, Value] = field(default_factory=dict)  # id of an input here → the outer value

    def lift(self, value: Value) -> Value:
        """`value` as seen in this region."""
        if value.builder is self.builder:
            return value
        chain = []
        region: Region | None = self
        seen = value
        while region is not None and region.builder is not value.builder:
            if value in region.lifted:
                seen = region.lifted[value]
                break
            chain.append(region)
            region = region.parent
        node = value.node
        for inner in reversed(chain):
            if node is not None and node.prim.name == "constant":
                seen = inner.builder.emit(node.prim, (), node.params)[0]
            else:
                seen = inner.builder.input(value.aval, value.hint)
                inner.origins[seen.id] = value
            inner.lifted[value] = seen
        return seen


@record(frozen=False, eq=False)
class Data:
    """A graph input of a run that is no input of the net: a file that a const or a case loads."""

    value: Value
    stored: Any  # gradcli.data.read.Stored


@record(frozen=False, eq=False)
class Run:
    """Everything that belongs to the elaboration of one graph: a net with its inputs, or a case."""

    region: Region
    params: dict[str, ParamInfo] = field(default_factory=dict)
    data: list[Data] = field(default_factory=list)
    consts: dict[tuple[int, str], Binding] = field(default_factory=dict)  # (id of scope, name)
    dims: dict[tuple[int, str], Size] = field(default_factory=dict)
    instances: dict[str, Instance] = field(default_factory=dict)  # nets called by name
    errors: list[Diagnostic] = field(default_factory=list)
    notes: list[Diagnostic] = field(default_factory=list)
    n_turns: int = 0  # of loops, so far
    n_calls: int = 0  # of nets, so far
    calls: list[tuple[ast.Net, Span]] = field(default_factory=list)
    param_paths: dict[Value, str] = field(default_factory=dict)
    layers: dict[str, Any] = field(default_factory=dict)  # absolute path → LayerV or LayerArrayV
    lines: dict[str, Any] = field(default_factory=dict)  # named lines of the entry net, `h`, `l1/h` → Arr
    loops: dict[Span, set[tuple[int, int]]] = field(
        default_factory=dict
    )  # first and last turn + 1, by the loop's place
    entry: str = ""  # the path of the entry net
    given: dict[str, Span] = field(default_factory=dict)  # where its inputs get their data
    input_dims: dict[str, tuple[Size, Span]] = field(default_factory=dict)
    settling: bool = False  # whether what a const refers to is being settled before it
    pending: list[str] = field(default_factory=list)  # consts and dims being evaluated, for cycles
