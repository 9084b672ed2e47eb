"""What a user asks of a model, and what comes back: plain values between the command line, the API and reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gradcli.record import field, record
from gradcli.syntax.diagnostics import Diagnostic, Source, Span

if TYPE_CHECKING:
    import numpy as np

Verb = Literal["grad", "eval", "jvp", "jac", "hess"]


@record
class Request:
    """One run of a model. Texts are as typed on the command line (`-i x=…` gives `("x", "…")`)."""

    verb: Verb = "grad"
    net: str | None = None
    inputs: tuple[tuple[str, str], ...] = ()  # NAME, VALUE: an expression or a file reference
    arrays: Mapping[str, Any] = field(default_factory=dict)  # inputs given as arrays (Python API); they win
    inputs_file: str | None = None
    params_file: str | None = None
    param_arrays: Mapping[str, Any] = field(default_factory=dict)
    partial: bool = False
    consts: tuple[tuple[str, str], ...] = ()
    dtype: str | None = None
    backend: Literal["auto", "numpy", "cupy"] = "auto"
    device: int = 0
    threads: int | None = None
    memory: int | None = None  # bytes
    fast_math: bool = False
    get_all: bool = False
    get_by_list: bool = False
    wrt: str | None = None  # `x,l1.w`, `all`, `params`
    sens: tuple[str, ...] = ()  # VALUE or NAME=VALUE, each as typed
    sens_arrays: Any = None  # Python API: an array, or a mapping/tuple of arrays
    along: tuple[str, ...] = ()  # `--tangent` of jvp, `--vec` of hess, as typed
    along_arrays: Any = None
    sparse: bool = False
    order: int = 1
    value: bool = False
    at: str | None = None
    why: tuple[str, ...] = ()  # gradients whose zero elements are explained


@record
class Entry:
    """One array of a result.

    `name` is what it is stored under (`x`, `l1.w`, `x,y` for order 2, `out/x` for a block, `value/out`); `wrt` the
    names that it is a derivative by, `output` what it is the derivative of; `kind` of the last of `wrt`. The first
    `rows` dims of a block are those of what is differentiated. `zero` and `zeros` are found when they are first asked
    for. `makers` are the places of the operators that the array came out of.
    """

    name: str
    kind: Literal["input", "param", "value", "at", "tangent"]
    array: np.ndarray[Any, Any]
    dtype: str
    wrt: tuple[str, ...] = ()
    reason: dict[str, Any] | Callable[[], dict[str, Any]] | None = None
    output: str | None = None
    rows: int = 0
    matrix: SparseMatrix | None = None  # of a sparse block; `array` holds its elements
    elements: Callable[[], list[dict[str, Any]]] | None = None
    makers: tuple[Span, ...] = ()

    @property
    def zero(self) -> dict[str, Any] | None:
        """Why it is all zero: `{"reason": …, "at": [places]}`; None where it is not."""
        return self.reason() if callable(self.reason) else self.reason

    @property
    def zeros(self) -> list[dict[str, Any]] | None:
        """Of each reason, which elements are zero by it: `zero`, with `indices`. None where that was not asked for."""
        return None if self.elements is None else self.elements()

    @property
    def sides(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Of a block: the dims of what is differentiated, and those of what by."""
        if self.matrix is not None:
            return self.matrix.output, self.matrix.input
        return self.array.shape[: self.rows], self.array.shape[self.rows :]


@record
class Result:
    """What one run gave, ready to be drawn, written or compared."""

    verb: Verb
    model: str
    net: str
    edition: int
    backend: str  # "numpy" or "cupy"
    threads: int  # of BLAS; 0 on a GPU
    sens: tuple[
        dict[str, Any], ...
    ]  # {"output", "kind": "ones"|"file"|"expression"|"random"|"basis"|"array", "source"}
    values: tuple[Entry, ...] | None
    grads: tuple[Entry, ...]
    notes: tuple[Diagnostic, ...]
    why_backend: str = ""  # what `auto` chose and why
    along: tuple[dict[str, Any], ...] | None = None  # tangents of jvp, vectors of hess: {"wrt", "kind", "source"}
    tangents: tuple[Entry, ...] = ()  # of jvp
    blocks: tuple[Entry, ...] | None = None  # of jac, and of hess without vectors
    products: tuple[Entry, ...] | None = None  # of hess with vectors
    mode: str = ""  # how a matrix was found: `forward, 3 passes (…)`
    origins: Mapping[str, Span] = field(default_factory=dict)  # where inputs and params are declared

    @property
    def ran_on(self) -> str:
        """`numpy, 2 threads`"""
        return f"{self.backend}, {self.threads} thread{'s' * (self.threads != 1)}" if self.threads else self.backend

    @property
    def derivatives(self) -> tuple[Entry, ...]:
        return (*self.grads, *self.tangents, *(self.blocks or ()), *(self.products or ()))

    @property
    def arrays(self) -> tuple[Entry, ...]:
        """Everything, in the order in which it is printed and stored."""
        return (*(self.values or ()), *self.derivatives)


@record
class CaseResult:
    """One case of a model file: `message` is empty when it passed."""

    file: str
    case: str
    status: Literal["passed", "failed", "error"]
    message: str
    seconds: float
    diagnostics: tuple[Diagnostic, ...] = ()


@record
class CheckResult:
    """`check` of one file: what is refused or doubtful, and for each net the sizes it is proved for."""

    file: str
    diagnostics: tuple[Diagnostic, ...]
    nets: tuple[CheckedNet, ...] = ()


@record
class CheckedNet:
    """`net Net(x: f32[m, k], y: f32[k, n]) -> f32[m, n]`, for all sizes under `conditions`."""

    name: str
    inputs: tuple[tuple[str, str], ...]  # name, aval as text
    params: tuple[tuple[str, str], ...]
    outputs: tuple[tuple[str, str], ...]
    conditions: tuple[str, ...]
    skipped: str = ""  # why it could not be checked alone
    lines: tuple[ShapedLine, ...] = ()


@record
class ShapedLine:
    """What a line binds, or with an empty name returns, and its type."""

    span: Span
    name: str
    type: str


@record(eq=False)
class SparseMatrix:
    """A Jacobian or Hessian in compressed rows, with how it was found.

    Row r has `data[indptr[r] : indptr[r + 1]]` in the columns `indices[…]`, sorted; an element of the pattern is kept
    where it is zero, too. Rows count the elements of the output, columns those of the input.
    """

    data: np.ndarray[Any, Any]
    indices: np.ndarray[Any, Any]
    indptr: np.ndarray[Any, Any]
    shape: tuple[int, int]
    output: tuple[int, ...]  # the shape of what is differentiated
    input: tuple[int, ...]  # the shape of what it is differentiated by
    colors: int
    mode: Literal["forward", "reverse", "star"]

    @property
    def passes(self) -> int:
        """In how many directions derivatives were taken: one for each colour."""
        return self.colors

    @property
    def nnz(self) -> int:
        return len(self.data)

    @property
    def density(self) -> float:
        """The share of elements that can be other than zero."""
        return self.nnz / max(self.shape[0] * self.shape[1], 1)


@record
class WorstElement:
    """Where a gradient and differences are farthest apart, for what both can tell. `error` is their distance over the
    largest of the gradient's elements, which is taken for no less than what shows beside the value."""

    index: tuple[int, ...]
    gradient: float
    differences: float
    error: float
    step: float  # in units of the element moved
    noise: float  # how far differences can be trusted there


Verdict = Literal["right", "wrong", "at a kink", "hidden by rounding", "not finite", "empty"]


@record
class GradientCheck:
    """One gradient held against differences: of its `size` elements `checked` were moved alone, `at_kinks` of these in
    vain; `directions` moved all at once."""

    wrt: tuple[str, ...]
    kind: str
    shape: tuple[int, ...]
    dtype: str
    verdict: Verdict
    checked: int
    at_kinks: int
    directions: int
    nonfinite: int
    worst: WorstElement | None
    at: str | None  # where it is declared: `model.net:3`
    kinks: tuple[dict[str, str | None], ...] = ()  # in the way of every step: {"operator", "at"}
    turns: tuple[str, ...] = ()  # loops that would take another number of turns: places

    @property
    def name(self) -> str:
        return ",".join(self.wrt)

    @property
    def size(self) -> int:
        return prod(self.shape)


@record
class Culprit:
    """An operator whose own derivative does not agree with differences: by which operand, and both slopes."""

    operator: str
    operand: int  # from 0
    mode: Literal["reverse", "forward"]
    found: float
    expected: float
    at: str | None
    diagnostic: Diagnostic


@record
class CheckedGradients:
    """What `gradcheck` found. `duality` is, for each order, how far forward mode is from reverse mode, relative to the
    terms that are added up; None where it is not finite."""

    model: str
    net: str
    edition: int
    dtype: str
    seed: int
    sens: tuple[dict[str, Any], ...]
    rows: tuple[GradientCheck, ...]
    duality: tuple[float | None, ...]
    duality_limit: float
    culprits: tuple[Culprit, ...]
    notes: tuple[Diagnostic, ...]

    @property
    def ok(self) -> bool:
        return not any(row.verdict == "wrong" for row in self.rows) and self.dual

    @property
    def dual(self) -> bool:
        return all(one is None or one <= self.duality_limit for one in self.duality)


Stage = Literal["ast", "graph", "grad", "optimized"]


@record
class ModelFile:
    """Where a model comes from: a path, `-` for standard input, or an expression given with `-e`.

    `text` and `read` stand for what is on disk where a revision is meant: of the model, and of what it imports.
    """

    path: Path | None = None
    text: str | None = None
    name: str = ""
    expression: bool = False
    read: Callable[[Path], Source] | None = None
