"""The record of an operator's rules, and the registry of all of them.

One operator is one statement (`ops/`), which fills one `Primitive`: its shape rule, its evaluation on any array
namespace, its derivative, its cost, its documentation and the samples its tests run on. Everything else (both
modes, tests, documentation) follows from the record.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from gradcli.ir.aval import Aval
from gradcli.record import field, record

if TYPE_CHECKING:
    from gradcli.ir.graph import Node, Value

Kind = Literal["elementwise", "linear", "bilinear", "general"]


class ShapeError(Exception):
    """A shape or dtype rule refuses its operands; the elaborator adds the places.

    `operands` are the indices of the operands that disagree.
    """

    def __init__(self, code: str, message: str, operands: tuple[int, ...] = (), help: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.operands, self.help = code, message, operands, help


class DataError(Exception):
    """Raised by `eval` when the data itself is refused (an index out of range); the backend adds the place."""

    def __init__(self, code: str, message: str, help: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.help = code, message, help


@record
class Sample:
    """Operands and params on which the registry walk tests a primitive.

    An operand is a shape (filled with random floats in `low..high`, away from kinks) or nested lists of numbers.
    """

    operands: tuple[Any, ...]
    params: dict[str, Any] = field(default_factory=dict)
    low: float = -2.0
    high: float = 2.0
    differentiable: bool = True


@record(eq=False)
class Primitive:
    """One operator. `infer(*avals, **params)` gives the avals of the results (raises ShapeError); `eval(xp, *arrays,
    **params)` gives one array or a tuple; `vjp(cts, inputs, outs, **params)` gives one cotangent or None (no
    dependence) for each input, with `cts` of the results (None where no cotangent arrives). `jvp(tangents, inputs,
    outs, **params)` gives one tangent or None for each result; most operators state none, as it follows from their kind
    or from their vjp (`ad/forward.py`). `batch(args, batched, size, **params)` gives the results with one more dim in
    front, of `size`, which those args have that are `batched`; elementwise operators state none. `None` for a whole
    rule means that it is missing, which raises when it is met.

    `into(xp, *arrays, out=array, **params)` writes what `eval` gives, to the bit, into an array of exactly its shape
    and dtype, which need not be contiguous; what it gives back means nothing. An operand must not overlap `out`, but
    for those that `aliases` names: these may be the very elements of `out` (best as the same array object, which spares
    some operators a copy), alone or several at once. Stated for NumPy, where `None` says that nothing can be written
    into."""

    name: str
    kind: Kind
    infer: Callable[..., tuple[Aval, ...]]
    eval: Callable[..., Any]
    vjp: Callable[..., tuple[Value | None, ...]] | None
    flops: Callable[[Node], int]
    doc: str = ""
    ufunc: str | None = None  # the namespace function that takes `out=`, for in-place plans
    view: bool = False  # the result may share memory with the first operand
    into: Callable[..., Any] | None = None
    aliases: tuple[int, ...] | Literal["all"] = ()  # operands that `out` may be; "all" of the aval of the result
    overwrites: int | None = None  # the operand that the result may replace in place (its eval takes `out=`)
    accumulate: str | None = None  # `add(acc, this(v, *rest, shape=…))` is this primitive's `(acc, v, *rest)`, in place
    lazy: bool = False  # its eval takes `wanted`, a flag for each result, and gives None for those nobody reads
    flat: bool = False  # its derivative is zero everywhere it exists (floor, sign, comparisons)
    stops: bool = False  # no derivative flows through, by request
    samples: tuple[Sample, ...] = ()
    formula: str = ""  # the derivative as documentation writes it
    conventions: str = ""  # what holds at hard points
    jvp: Callable[..., tuple[Value | None, ...]] | None = None
    batch: Callable[..., tuple[Value, ...]] | None = None
    partials: Callable[..., tuple[Any, ...]] | None = None  # of an elementwise operator, as it states them
    workspace: Callable[[Node], int] | None = None  # bytes that a library takes for itself while `eval` runs
    branch: Callable[..., Any] | None = None  # of one with a kink: which piece each element is on, as `eval` is called

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"

    def may_alias(self, place: int, operand: Aval, out: Aval) -> bool:
        """Whether `into` may write over the operand at `place`."""
        return operand == out and (self.aliases == "all" or place in self.aliases)

    def __call__(self, *args: Any, **params: Any) -> Any:
        """Emit it: one value, or a tuple for several results. Needs a value among `args`."""
        from gradcli.ir.graph import apply_all

        outs = apply_all(self, *args, **params)
        return outs[0] if len(outs) == 1 else outs


_registry: dict[str, Primitive] = {}


def register(prim: Primitive) -> Primitive:
    """Add a primitive; registering a name twice is a bug."""
    if prim.name in _registry:
        raise ValueError(f"primitive {prim.name} is registered twice")
    _registry[prim.name] = prim
    return prim


def primitive(name: str) -> Primitive:
    return _registry[name]


def is_registered(prim: Primitive) -> bool:
    """Whether it is an operator of the table; others are made for one run, and may do more than their name says."""
    return _registry.get(prim.name) is prim


def registry() -> dict[str, Primitive]:
    """All primitives by name, in the order of registration."""
    return dict(_registry)
