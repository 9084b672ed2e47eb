"""A derivation of one pass: the values of a model that are worth a line, and beside each its adjoint (its tangent).

Everything is read off the graph that reverse (forward) mode made: its primal part gives the lines of the model, the
rest the equations of the adjoints.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from gradcli.ad.reverse import Traced, meant
from gradcli.explain.formulas import ADJOINT, LONGEST, VIEWS, Letters, Reader, as_called, place, summed
from gradcli.explain.inside import block_of, model_names, result_name
from gradcli.explain.lines import Lines
from gradcli.ir.dimnames import Names, dim_names
from gradcli.ir.formula import Block, Derivation, Equation, Formula, Name, Number, Step, Term, symbols
from gradcli.ir.graph import Graph, Node, Value
from gradcli.ir.region import regions
from gradcli.passes.loops import narrowed
from gradcli.record import record, replace
from gradcli.syntax.diagnostics import Span

SHORT = 32  # bytes of a constant that is written where it is used
MARK = {"reverse": "bar", "forward": "dot", "again": "tilde"}


@record(eq=False)
class Asked:
    """What is to be derived: names of inputs by their positions, names of outputs, the values that lines bind."""

    graph: Graph
    wrt: Sequence[int]
    inputs: Sequence[str]
    outputs: Sequence[str]
    lines: Mapping[int, str]
    dims: Mapping[int, Names]
    mode: str = "reverse"
    own: bool = True  # whether it is the model's graph, or a derivative of it


@record(eq=False)
class Made:
    """A derivation, and the value of each of its names in the graph it was read off."""

    derivation: Derivation
    values: Mapping[Name, Value]
    extras: tuple[Name, ...]  # of the inputs that the graph has besides those of the model


def derive(asked: Asked, traced: Traced, of: str) -> Made:
    """The steps of `traced`, which reverse or forward mode made of `asked.graph`."""
    return _Pass(asked, traced).made(of)


class _Pass:
    """One derivation on its way: the names that were given, and the formulas that were read."""

    def __init__(self, asked: Asked, traced: Traced) -> None:
        self.asked, self.traced, self.graph, self.mark = asked, traced, traced.graph, MARK[asked.mode]
        new = traced.primal
        self.moved = {new[old].id: value for old, value in traced.moved.items()}
        self.outputs = [new[value.id] for value in asked.graph.outputs]
        self.ends = {new[old].id: name for old, name in asked.lines.items() if old in new}
        self.lines = Lines(
            traced.graph, self.outputs, {v.id for v in new.values()}, self.moved, traced.stands_for, self.ends.keys()
        )
        self.hints = {new[o.id].id: o.hint for node in asked.graph.nodes for o in node.outs if o.hint}
        own = {value.id for node in self.lines.own for value in node.outs}
        self.hints |= self.ends
        hints = [hint for value, hint in self.hints.items() if value in own]
        if asked.mode == "reverse" and any(hint.startswith(ADJOINT) for hint in hints):
            self.mark = MARK["again"]  # bars are values here
        self.letters = Letters([name for name in (*asked.inputs, *hints) if name])
        named = dim_names(asked.graph, asked.dims)
        known = {new[old].id: names for old, names in named.items() if old in new}
        known |= {ct.id: known[value] for value, ct in self.moved.items() if value in known}
        self.reader = Reader(dim_names(traced.graph, known), traced.stands_for, model_names(asked.graph))
        self.values: dict[Name, Value] = {}
        self.blocks: list[tuple[Node, Block]] = []

    def made(self, of: str) -> Made:
        found = [*self._inputs(), *self._own_lines()]
        names = {value.id: equation.name for equation, value, _ in found}
        extras = self._extras(names)
        derived = self._derivatives(names)
        forward = self.asked.mode == "forward"
        reached = self._reached()
        emitted: set[Name] = set()
        steps = []
        for equation, value, here in found if forward else found[::-1]:
            about = tuple(_with_needs(equation.name.marked(self.mark), derived, emitted))
            why = "" if value.id in self.moved else _why_none(value, reached)
            steps.append(Step(here, equation, about, self._beside(equation, value), why))
        results = tuple(self._result(position) for position in self.asked.wrt) if not forward else ()
        made = Derivation(of, self.asked.mode, (), self.weighed, tuple(steps if forward else steps[::-1]), results)
        return Made(made, self.values, extras)

    # ── the lines of the model ──────────────────────────────────────────────────────────────────────────────

    def _inputs(self) -> Iterator[tuple[Equation, Value, Span | None]]:
        wrt = {self.graph.inputs[position].id for position in self.asked.wrt}
        for hint, value in zip(self.asked.inputs, self.graph.inputs, strict=False):
            if self.lines.reads[value.id] or self.lines.residual[value.id] or value.id in wrt:
                name = self.letters.of(hint) if hint else self.letters.fresh("c")
                yield self._named(value, name, None), value, None

    def _own_lines(self) -> Iterator[tuple[Equation, Value, Span | None]]:
        for node in self.lines.own:
            here = place(node)
            if regions(node):
                block, results = self._block(node)
                before = block.results[len(block.carried) : 2 * len(block.carried)]  # of each turn: for adjoints only
                shown = [(v, name) for v, name in results if name not in before] or results
                yield from ((self._named(v, name, None, block), v, here) for v, name in shown)
                continue
            for out, formula in zip(node.outs, self.reader.read(node), strict=True):
                if self.lines.has_line(out, formula):
                    yield self._named(out, self._name(out), formula), out, here
                elif isinstance(formula, Term) and formula.op == "constant" and len(node.params["data"]) > SHORT:
                    yield self._named(out, self.letters.fresh("c"), formula), out, here

    def _name(self, value: Value) -> Name:
        hint = self.hints.get(value.id, "")
        for name, output in zip(self.asked.outputs, self.outputs, strict=True):
            if output is value and not hint and name.rstrip("0123456789") != "out":
                hint = name
        return self.letters.of(hint, plain=value.id in self.ends) if hint else self.letters.fresh("v")

    def _named(self, value: Value, name: Name, formula: Formula | None, block: Block | None = None) -> Equation:
        """The equation of a value, which goes by its name from now on."""
        call = () if formula is None else self._call(value)
        self.values[name] = value
        self.reader.name(value, name)
        over = self._undone(formula) if name.marks and formula is not None else ()
        return Equation(name, value.aval, formula, self.reader.dims.get(value.id, ()), call, over, block=block)

    def _undone(self, formula: Formula) -> tuple[str, ...]:
        """The dims of sums that undo a broadcast; those of tangents are sums of the model."""
        return () if self.asked.mode == "forward" else summed(formula)

    def _call(self, value: Value) -> tuple[str | Formula, ...]:
        """How the model writes a value that several operators make."""
        members = self.lines.call_of(value) if self.asked.own else []
        span = place(members[0]) if members else None
        if span is None:
            return ()
        inside = {out.id for node in members for out in node.outs}
        outside = {v.id: v for node in members for v in node.inputs if v.id not in inside}
        read = [(v, self.reader.of(v)) for v in outside.values()]
        return as_called(span, [(v, formula) for v, formula in read if not isinstance(formula, Number)])

    # ── derivatives ─────────────────────────────────────────────────────────────────────────────────────────

    def _extras(self, names: Mapping[int, Name]) -> tuple[Name, ...]:
        """Names of what the derivative's graph takes besides: sensitivities, or tangents of inputs. Where one is all
        of an adjoint, it has its name."""
        owner = {self._source(self.moved[v]).id: name for v, name in names.items() if v in self.moved}
        extras = self.graph.inputs[len(self.asked.graph.inputs) :]
        weighed = self.outputs if self.asked.mode == "reverse" else [self.graph.inputs[k] for k in self.asked.wrt]
        self.weighed = tuple(names[value.id] for value in weighed)
        made = []
        for k, (value, name) in enumerate(zip(extras, self.weighed, strict=True)):
            whole = owner.get(value.id) == name
            made.append(name.marked(self.mark) if whole else replace(name, base=f"{name.base}_{k}").marked(self.mark))
            self.reader.name(value, made[-1])
            self.values[made[-1]] = value
        return tuple(made)

    def _source(self, value: Value) -> Value:
        """What a stand-in stands for, one step."""
        return self.traced.stands_for.get(value.id, value)

    def _derivatives(self, names: Mapping[int, Name]) -> dict[Name, Equation]:
        """The equations of adjoints, and of what several of them share."""
        owner: dict[int, Name] = {}
        for v, name in names.items():
            if v in self.moved:
                marked = name.marked(self.mark)
                owner[self._source(self.moved[v]).id] = marked
                if self.moved[v].id in self.traced.stands_for:
                    self.reader.name(self.moved[v], marked)
        reads = self._reads(names)
        found: dict[Name, Equation] = {}
        for node in self.lines.others:
            if regions(node):
                block, results = self._block(node, owner)
                found |= {name: self._named(out, name, None, block) for out, name in results}
                continue
            for out, formula in zip(node.outs, self.reader.read(node), strict=True):
                worth = isinstance(formula, Term) and node.prim.name not in VIEWS
                if worth and (reads[out.id] > 1 or (isinstance(formula, Term) and formula.size > LONGEST)):
                    name = self.letters.fresh("t")
                    found[name] = self._named(out, name, formula)
        for v, name in names.items():
            self._adjoint(v, name.marked(self.mark), found)
        return found

    def _reads(self, names: Mapping[int, Name]) -> Counter[int]:
        """How often equations read a value of the derivative: through stand-ins of values without a line."""
        reads = Counter(self.lines.residual)
        for v, moved in reversed(self.moved.items()) if self.asked.mode == "forward" else self.moved.items():
            source = self._source(moved)
            if source is not moved:
                reads[source.id] += 1 if v in names else reads[moved.id]
        return reads

    def _adjoint(self, v: int, name: Name, found: dict[Name, Equation]) -> None:
        moved = self.moved.get(v)
        if moved is None:
            if any(self.graph.inputs[k].id == v for k in self.asked.wrt):
                value = self._zero(v)
                self.values[name] = value
                found[name] = Equation(name, value.aval, Number(0.0, value.aval))
            return
        if name in found:
            return
        source = self._source(moved)
        if source in self.graph.inputs and self.values.get(name) is source:  # what it starts from
            found[name] = Equation(name, source.aval, None, self.reader.dims.get(v, ()))
        elif [source, *meant([source], self.traced.stands_for)][-1].id in self.reader.formulas:  # else nothing needs it
            formula = self.reader.of(source)
            self.values[name] = source
            found[name] = Equation(name, source.aval, formula, self.reader.dims.get(v, ()), (), self._undone(formula))

    def _zero(self, v: int) -> Value:
        """The gradient by an input that nothing depends on."""
        k = next(k for k, position in enumerate(self.asked.wrt) if self.graph.inputs[position].id == v)
        return self.graph.outputs[len(self.outputs) + k]

    def _result(self, position: int) -> Name:
        value = self.graph.inputs[position]
        names = (name for name, v in self.values.items() if v is value and name.marks[-1:] != (self.mark,))
        return next(names).marked(self.mark)

    def _reached(self) -> set[int]:
        """What depends on what is differentiated by, in any way."""
        found = {self.graph.inputs[position].id for position in self.asked.wrt}
        for node in self.lines.own:
            if any(value.id in found for value in node.inputs):
                found.update(out.id for out in node.outs)
        return found

    # ── loops ───────────────────────────────────────────────────────────────────────────────────────────────

    def _block(self, node: Node, owner: Mapping[int, Name] | None = None) -> tuple[Block, list[tuple[Value, Name]]]:
        """A node that holds a graph, and the names of those results that are read."""
        read = {self._source(v).id for other in self.lines.nodes for v in other.inputs}
        read |= {value.id for value in (*self.graph.outputs, *self.outputs, *map(self._source, self.moved.values()))}
        whole, node = node, narrowed(node, read)  # as it runs
        block = block_of(node, self.reader)
        names = [self._result_name(k, out, block, owner) if out.id in read else None for k, out in enumerate(node.outs)]
        block = replace(block, results=tuple(names))
        found = [(out, name) for out, name in zip(node.outs, names, strict=True) if name is not None]
        for out, name in found:
            self.reader.name(out, name)
            self.values[name] = out
        self.blocks.append((whole, block))
        return block, found

    def _result_name(self, k: int, out: Value, block: Block, owner: Mapping[int, Name] | None) -> Name:
        if owner is not None:
            return owner.get(out.id) or self.letters.fresh("t")
        return result_name(k, block, self.letters, "v", self.hints.get(out.id, ""))

    def _beside(self, equation: Equation, value: Value) -> Block | None:
        """The block of the derivative that differentiates the block of a line."""
        if equation.block is None or value.node is None:
            return None
        same = [b for node, b in self.blocks if node.spans[:1] == value.node.spans[:1] and node is not value.node]
        first = next(name for name in equation.block.results if name is not None)
        return same[-1] if same and equation.name == first else None


def _with_needs(name: Name, derived: Mapping[Name, Equation], emitted: set[Name]) -> Iterator[Equation]:
    """The equation of a name, after those of what it shares with others and was not told before."""
    work = [(name, False)]
    while work:
        name, ready = work.pop()
        if name not in derived:
            continue
        if ready:
            yield derived[name]
        elif name not in emitted:
            emitted.add(name)
            work.append((name, True))
            work += [(need, False) for need in reversed(_needs(derived[name]))]


def _needs(equation: Equation) -> list[Name]:
    formulas = [equation.formula] if equation.block is None else [given.formula for given in equation.block.given]
    return [name for formula in formulas if formula is not None for name in symbols(formula)]


def _why_none(value: Value, reached: set[int]) -> str:
    """Why a value has no adjoint: nothing asked for changes it, or nothing of it gets through, or to the output."""
    if value.id not in reached:
        return "constant"
    if value.node is not None and value.node.prim.stops:
        return "stopped"
    return "no path" if value.aval.is_float else "flat"
