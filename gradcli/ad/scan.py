"""`scan`: a loop as one node. Its body is a graph that is run turn by turn; a thousand turns are no thousand copies.

    body(i, *consts, *carry, *slices_i) → (*carry, *stacked_i)          for i = 0 … turns - 1, or backwards

Operands are the consts, the carry before the first turn, and arrays of which each turn sees its slice. Results are

- the carry after the last turn,
- for each carry its *history*: what it was before each turn, `[turns, …]`, which the adjoint reads,
- what each turn gives besides the carry, `[turns, …]`,
- with a condition, the number of turns that were taken (i64).

With `cond(i, *consts, *carry)` the loop ends before the first turn for which it is false. A `counted` loop is told by
its first operand how many turns to take: so the adjoint of a loop with a condition replays the turns that were taken.
What no turn was taken for is zero (in a batch, the history of a row that has stopped repeats its carry, which nobody
reads: the adjoint of that row has stopped, too). Nobody stores a history that nobody reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from gradcli.ad import scan_rules
from gradcli.ir.aval import NUMPY_NAMES, Aval
from gradcli.ir.cost import cost
from gradcli.ir.dims import Size, definite
from gradcli.ir.graph import Builder, Graph, Node
from gradcli.ir.primitive import Primitive, Sample, ShapeError, primitive, register
from gradcli.ir.region import runner

T = TypeVar("T")


def _infer(
    *avals: Aval, body: Graph, cond: Graph | None, turns: Size, consts: int, carry: int, reverse: bool, counted: bool
) -> tuple[Aval, ...]:
    operands = avals[1:] if counted else avals
    inner = [Aval((), "i64"), *operands[: consts + carry]]
    inner += [Aval(aval.shape[1:], aval.dtype) for aval in operands[consts + carry :]]
    state = tuple(operands[consts : consts + carry])
    if [value.aval for value in body.inputs] != inner or tuple(v.aval for v in body.outputs[:carry]) != state:
        raise ShapeError("SHP105", "the body of a loop does not fit its operands")
    stacked = [*state, *(value.aval for value in body.outputs[carry:])]
    found = [*state, *(Aval((turns, *aval.shape), aval.dtype) for aval in stacked)]
    return (*found, Aval((), "i64")) if cond is not None else tuple(found)


def _eval(
    xp: Any,
    *arrays: Any,
    body: Any,
    cond: Any,
    turns: int,
    consts: int,
    carry: int,
    reverse: bool,
    counted: bool,
    wanted: Sequence[bool] | None = None,
) -> Any:
    """All results; None for those that are not `wanted`."""
    bound = int(arrays[0]) if counted else turns
    operands = arrays[1:] if counted else arrays
    given, slices = operands[:consts], operands[consts + carry :]
    state = [xp.array(array) for array in operands[consts : consts + carry]]  # its own: the body writes into it
    avals = [value.aval for value in (*body.inputs[1 + consts : 1 + consts + carry], *body.outputs[carry:])]
    kept = [None if wanted is not None and not wanted[carry + k] else _room(xp, turns, aval)
            for k, aval in enumerate(avals)]  # fmt: skip
    histories = [(room, k) for k, room in enumerate(kept[:carry]) if room is not None]
    stacks = [(room, k) for k, room in enumerate(kept[carry:], carry) if room is not None]
    run, goes_on = runner(xp, body), None if cond is None else runner(xp, cond)
    taken = 0
    for turn in range(bound - 1, -1, -1) if reverse else range(bound):
        i = xp.asarray(turn)
        if goes_on is not None and not bool(goes_on([i, *given, *state])[0]):
            break
        for room, k in histories:
            room[turn] = state[k]
        made = run([i, *given, *state, *[array[turn, ...] for array in slices]])
        for room, k in stacks:
            room[turn] = made[k]
        state = list(made[:carry])
        taken += 1
    made = (*state, *kept) if cond is None else (*state, *kept, xp.asarray(taken, dtype="int64"))
    return made[0] if len(made) == 1 else made


def _room(xp: Any, turns: int, aval: Aval) -> Any:
    """Zeros, which take memory only when they are written to."""
    return xp.zeros((turns, *aval.shape), dtype=NUMPY_NAMES[aval.dtype])


def _flops(node: Node) -> int:
    regions = [node.params["body"], *([node.params["cond"]] if node.params["cond"] is not None else [])]
    return definite(node.params["turns"]) * sum(cost(graph) for graph in regions)


# ── samples ─────────────────────────────────────────────────────────────────────────────────────────────────


def _body() -> Graph:
    """One const c, carries h and n, one slice x: h → sin(c · h) + x, n → n + 1; it gives h · x."""
    builder = Builder()
    i = builder.input(Aval((), "i64"), "i")
    c, h = (builder.input(Aval((2,), "f64"), name) for name in "ch")
    n, x = builder.input(Aval((), "i64"), "n"), builder.input(Aval((2,), "f64"), "x")
    made = builder.emit(primitive("sin"), [c * h])[0] + x
    return builder.finish([made, n + i, h * x])


def _two() -> Graph:
    """Two carries h and k, each of which the other needs: h → h · k, k → sin(k) + h."""
    builder = Builder()
    builder.input(Aval((), "i64"), "i")
    h, k = (builder.input(Aval((2,), "f64"), name) for name in "hk")
    return builder.finish([h * k, builder.emit(primitive("sin"), [k])[0] + h])


def _cond() -> Graph:
    """n < 4"""
    builder = Builder()
    builder.input(Aval((), "i64"), "i")
    for name in "ch":
        builder.input(Aval((2,), "f64"), name)
    n = builder.input(Aval((), "i64"), "n")
    return builder.finish(builder.emit(primitive("less"), [n, builder.scalar(4, "i64")]))


def _squares() -> Graph:
    """Of each slice x its square, and nothing is carried: a loop of one result."""
    builder = Builder()
    builder.input(Aval((), "i64"), "i")
    x = builder.input(Aval((2,), "f64"), "x")
    return builder.finish([x * x])


def _samples() -> tuple[Sample, ...]:
    body = _body()
    plain = {"body": body, "cond": None, "turns": 4, "consts": 1, "carry": 2, "reverse": False, "counted": False}
    operands = ((2,), (2,), 0, (4, 2))
    return (
        Sample(operands, plain),
        Sample(operands, {**plain, "reverse": True}),
        Sample(operands, {**plain, "cond": _cond()}),
        Sample((3, *operands), {**plain, "counted": True}),
        Sample((2, *operands), {**plain, "counted": True, "reverse": True}),
        Sample(((4, 2),), {**plain, "body": _squares(), "consts": 0, "carry": 0}),
        Sample(((2,), (2,), 0, (0, 2)), {**plain, "turns": 0}),
        Sample(((2,), (2,)), {**plain, "body": _two(), "turns": 3, "consts": 0}),
    )


scan = register(
    Primitive(
        "scan", "general", _infer, _eval, scan_rules.vjp, _flops, "A loop whose body is kept once.",
        jvp=scan_rules.jvp, batch=scan_rules.batched, samples=_samples(), lazy=True,
        formula="a loop backwards over what the carry was",
        conventions="with a condition, of the turns that were taken",
    )
)  # fmt: skip
