"""Backward loops whose turns multiply what they carry by slopes that are known: one slope for each turn.

    c ← c + ((c · a_i) · s_i) · b          J_i = (a_i · s_i) · b, for all turns at once;  c ← c + c · J_i

What a turn makes of its carries is linear in them wherever it adds, multiplies by what does not depend on them, or
chooses. So each carry after a turn is Σ_k J_k · c_k + r, with slopes J_k and a rest r that are known before the loop,
element by element. Sums of products are added and multiplied in another order, as the chain rule allows: the result
differs by rounding, to k · eps · Σ|terms|. So this is done to derivatives alone: what a model says is computed as it
says.

A slope may overflow or underflow where the products in their own order would not. So what makes slopes is watched
(`makers`): if none of it does either, slopes and all else that the loop is given are finite, and the loop itself does
not overflow, the result is that of the chain rule. In all other cases the engine runs the loop as it was
(`Plan.otherwise`).

(Griewank & Walther, *Evaluating Derivatives*, 2nd ed. 2008, chapter 10: preaccumulation.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from gradcli.ir.dims import definite
from gradcli.ir.graph import Builder, Graph, Node, Value, apply
from gradcli.ir.live import without_dead
from gradcli.ir.region import regions
from gradcli.passes.rebuild import number_of
from gradcli.record import record

SLOPE = "slope"  # a `by_rule` of the `stop_gradient` that marks a slope; nobody differentiates a plan
MAKING = ("add", "sub", "neg", "mul", "div", "where")
Worth = Callable[[int, Sequence[int], int], bool]  # turns, bytes of each slope, bytes carried


def with_slopes(graph: Graph, worth: Worth) -> Graph:
    """The same results but for rounding; loops that are linear in what they carry use slopes. Not loops within loops,
    whose steps nobody watches."""
    bodies = {node: body for node in graph.nodes if (body := _with_slopes(node, worth)) is not None}
    if not bodies:
        return graph
    builder = Builder()
    env = {old.id: builder.input(old.aval, old.hint) for old in graph.inputs}
    builder.names[:] = graph.names
    for node in graph.nodes:
        if node not in bodies:
            builder.replay([node], env)
            continue
        builder.spans, first = node.spans, len(builder.nodes)
        outs = builder.emit(node.prim, [env[v.id] for v in node.inputs], {**node.params, "body": bodies[node]})
        builder.mark(first, node.role)
        builder.spans = ()
        env.update((old.id, new) for old, new in zip(node.outs, outs, strict=True))
    return builder.close([env[value.id] for value in graph.outputs])


def makers(graph: Graph) -> set[Node]:
    """What must be watched in a graph whose loops use slopes: the nodes that make slopes, and these loops. Nothing
    where a slope is made turn by turn, so that nobody can watch."""
    if any(_holds_slopes(inner) for node in graph.nodes for inner in regions(node).values()):
        return set()
    found: set[Node] = set()
    slopes: set[int] = set()
    for node in graph.nodes:
        if _marked(node) or (node.prim.view and not slopes.isdisjoint(value.id for value in node.inputs)):
            slopes.add(node.outs[0].id)
        elif node.prim.name == "scan" and not slopes.isdisjoint(value.id for value in node.inputs):
            found.add(node)
    queue = [node for node in graph.nodes if _marked(node)]
    while queue and found:
        for value in queue.pop().inputs:
            maker = value.node
            if maker is not None and maker not in found and (maker.prim.name in MAKING or maker.prim.view):
                found.add(maker)
                queue.append(maker)
    return {node for node in found if not node.prim.view}


def _marked(node: Node) -> bool:
    return node.prim.name == "stop_gradient" and node.params.get("by_rule") == SLOPE


def _holds_slopes(graph: Graph) -> bool:
    return any(_marked(node) or any(map(_holds_slopes, regions(node).values())) for node in graph.nodes)


def _with_slopes(node: Node, worth: Worth) -> Graph | None:
    """The body of a loop with slopes; None where that is no loop, or saves nothing."""
    params = node.params
    if node.prim.name != "scan" or params["cond"] is not None or params["counted"]:
        return None
    if not isinstance(params["turns"], int) or params["turns"] < 2:
        return None
    body: Graph = params["body"]
    first = 1 + params["consts"]
    carries = body.inputs[first : first + params["carry"]]
    moving = _moving(body, carries)
    sums = {k for k, carry in enumerate(carries) if _adds_up(body, carry, body.outputs[k])}
    left = [k for k in range(len(carries)) if k not in sums and body.outputs[k].node is not None]
    forms = _Forms(body, carries, moving)
    chosen = {k: form for k in left if (form := forms.of(body.outputs[k])) is not None and k in form.carries}
    before = len(_needed(body, [body.outputs[k] for k in left], moving))
    after = len(_needed(body, [body.outputs[k] for k in left if k not in chosen], moving))
    if after + sum(form.cost for form in chosen.values()) >= before:
        return None
    slopes = [value for form in chosen.values() for value in form.values]
    if not any(map(_computed, slopes)):
        return None
    carried = sum(definite(carries[k].aval.nbytes) for k in left)
    if not worth(params["turns"], [definite(value.aval.nbytes) for value in slopes], carried):
        return None
    return forms.emit(chosen)


def _moving(body: Graph, carries: Sequence[Value]) -> set[int]:
    """The values of a body that depend on what is carried, or cannot be made for all turns at once."""
    found = {value.id for value in carries}
    for node in body.nodes:
        alone = node.prim.batch is None and node.prim.kind != "elementwise" and node.inputs
        if alone or regions(node) or any(value.id in found for value in node.inputs):
            found.update(out.id for out in node.outs)
    return found


def _needed(body: Graph, values: Iterable[Value], moving: set[int]) -> list[Node]:
    """The nodes that run in each turn for the sake of these values."""
    wanted = {value.id for value in values}
    found = []
    for node in reversed(body.nodes):
        if any(out.id in wanted and out.id in moving for out in node.outs):
            wanted.update(value.id for value in node.inputs)
            if not node.prim.view:
                found.append(node)
    return found


def _adds_up(body: Graph, carry: Value, out: Value) -> bool:
    """Whether a carry is c ← c + g, and neither is read elsewhere: a sum, which is no part of the recurrence."""
    node = out.node
    readers = [each for each in body.nodes for value in each.inputs if value is carry or value is out]
    return node is not None and node.prim.name == "add" and readers == [node] and carry not in body.outputs


# ── Σ slope · carry + rest ──────────────────────────────────────────────────────────────────────────────────


@record(eq=False)
class Form:
    """Σ_k slopes[k] · c_k + Σ_(k in ones) c_k + rest, of values that are known before the loop; a rest of None is 0.

    A slope of 1 is not added to another: of 1 + s with a small s, as a step of an integrator has it, the last digits of
    s would be lost, in the same way in each turn.
    """

    slopes: Mapping[int, Value]
    ones: frozenset[int] = frozenset()
    rest: Value | None = None

    @property
    def carries(self) -> list[int]:
        return sorted({*self.slopes, *self.ones})

    @property
    def values(self) -> list[Value]:
        return [*self.slopes.values(), *([] if self.rest is None else [self.rest])]

    @property
    def cost(self) -> int:
        """Operators in each turn."""
        return 2 * len(self.slopes) + len(self.ones) + (self.rest is not None) - 1


def _known(value: Value) -> Form:
    return Form({}, rest=value if number_of(value) != 0 or value.dtype == "bool" else None)


class _Forms:
    """The forms of the values of a body, in a copy of it (`builder`), where all slopes are made."""

    def __init__(self, body: Graph, carries: Sequence[Value], moving: set[int]) -> None:
        self.body, self.carries, self.moving = body, carries, moving
        self.builder = Builder()
        self.env = {value.id: self.builder.input(value.aval, value.hint) for value in body.inputs}
        self.forms = {value.id: Form({}, frozenset((k,))) for k, value in enumerate(carries) if value.aval.is_float}
        for node in body.nodes:
            self.builder.replay([node], self.env)
            if node.outs[0].id in moving:
                self.add(node)

    def of(self, value: Value) -> Form | None:
        return self.forms.get(value.id)

    def add(self, node: Node) -> None:
        """The form of what a node gives, if it has one: only of derivatives, whose terms may be summed in any order."""
        if node.role is None:
            return
        operands: list[Form] = []
        for value in node.inputs:
            form = self.of(value) if value.id in self.moving else _known(self.env[value.id])
            if form is None:
                return
            operands.append(form)
        first = len(self.builder.nodes)
        with self.builder.at(*node.spans):
            made = self.made(node.prim.name, operands)
        self.builder.mark(first, node.role)
        if made is not None and all(self.carries[k].aval == node.outs[0].aval for k in made.carries):
            self.forms[node.outs[0].id] = made

    def made(self, name: str, operands: Sequence[Form]) -> Form | None:
        known = [None if form.carries else form.rest for form in operands]
        match name, operands, known:
            case "add", (a, b), _:
                return self.sum(a, b)
            case "sub", (a, b), _:
                return self.sum(a, self.each(lambda slope: -slope, b))
            case "neg", (a,), _:
                return self.each(lambda slope: -slope, a)
            case ("mul", (a, _), (_, Value() as x)) | ("mul", (_, a), (Value() as x, _)):
                return self.each(lambda slope: slope * x, a, x)
            case "div", (a, _), (_, Value() as x):
                return self.each(lambda slope: slope / x, a)
            case "where", (_, a, b), (Value() as x, _, _):
                return self.chosen(x, a, b)
        return None

    def slope(self, form: Form, k: int) -> Value:
        """All of it, as one value; 0 where there is none."""
        one = self.builder.scalar(float(k in form.ones), self.carries[k].dtype)
        if k not in form.slopes:
            return one
        return form.slopes[k] + one if k in form.ones else form.slopes[k]

    def each(self, change: Callable[[Value], Value], a: Form, of_one: Value | None = None) -> Form:
        """All slopes and the rest changed; `of_one` is what 1 becomes, where that is known."""
        slopes = {k: change(self.slope(a, k)) if k in a.slopes or of_one is None else of_one for k in a.carries}
        return Form(slopes, rest=None if a.rest is None else change(a.rest))

    def sum(self, a: Form, b: Form) -> Form:
        slopes = {**a.slopes, **b.slopes}
        slopes |= {k: a.slopes[k] + b.slopes[k] for k in a.slopes if k in b.slopes}
        for k in sorted(a.ones & b.ones):
            two = self.builder.scalar(2.0, self.carries[k].dtype)
            slopes[k] = slopes[k] + two if k in slopes else two
        rests = [rest for rest in (a.rest, b.rest) if rest is not None]
        rest = rests[0] + rests[1] if len(rests) == 2 else rests[0] if rests else None
        return Form(slopes, a.ones ^ b.ones, rest)

    def chosen(self, condition: Value, a: Form, b: Form) -> Form:
        ones = (a.ones & b.ones) - {*a.slopes, *b.slopes}
        slopes = {
            k: apply("where", condition, self.slope(a, k), self.slope(b, k))
            for k in sorted({*a.carries, *b.carries} - ones)
        }
        if a.rest is None and b.rest is None:
            return Form(slopes, ones)
        some = a.rest or b.rest
        assert some is not None
        zero = self.builder.scalar(0.0, some.dtype)
        return Form(slopes, ones, apply("where", condition, a.rest or zero, b.rest or zero))

    def emit(self, chosen: dict[int, Form]) -> Graph:
        """The body, in which the chosen carries are made by their slopes."""
        outputs = [self.env[value.id] for value in self.body.outputs]
        for k, form in chosen.items():
            node = self.body.outputs[k].node
            assert node is not None, "a carry that no turn computes costs nothing"
            first = len(self.builder.nodes)
            with self.builder.at(*node.spans):
                outputs[k] = self.total(form)
            self.builder.mark(first, node.role)
        return without_dead(self.builder.close(outputs))

    def total(self, form: Form) -> Value:
        carried = [self.env[carry.id] for carry in self.carries]
        terms = [carried[k] for k in sorted(form.ones)]
        terms += [carried[k] * _marked_as_slope(slope) for k, slope in form.slopes.items()]
        total = terms[0]
        for term in [*terms[1:], *([] if form.rest is None else [form.rest])]:
            total = total + term
        return total


def _marked_as_slope(value: Value) -> Value:
    return apply("stop_gradient", value, by_rule=SLOPE) if _computed(value) else value


def _computed(value: Value) -> bool:
    while value.node is not None and value.node.prim.view and value.node.inputs:
        value = value.node.inputs[0]
    return value.node is not None and value.node.prim.name != "constant"
