"""What the adjoint of one operator makes of a cotangent, and why an element of that is zero.

g = L(ct), and L is linear. L is applied once more to other cotangents, positive random numbers r, to see which terms an
element of g has that is zero:

- L(r where ct ≠ 0) ≠ 0: there are terms that are not zero. Where L(2^k ct) is not zero they are lost below the smallest
  number (`underflow`), else they add up to zero (`cancels`).
- else all terms are zero: by the ct where L(r where ct = 0) ≠ 0, and by a factor in L where a ct that is not zero is
  connected with the element all the same (`masked`, `multiplied by zero`), which L at operands of ones tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gradcli.zeros.causes import NUMERIC, Causes, distinct
from gradcli.zeros.local import MASKS

if TYPE_CHECKING:
    import numpy as np

    from gradcli.zeros.local import Pull
    from gradcli.zeros.tape import Step

    Array = np.ndarray[Any, Any]
    Settled = Sequence[tuple[Array, Array] | None]

MOST = 32  # sets of causes that one operator is asked about
SCALES = (20, 100, 400, 900)  # powers of two that bring back what was lost below the smallest number
ROUNDING = 16  # of how many units in the last place a sum is taken for zero, where rounding is allowed for


class Probes:
    """Of one operator, whose results have the cotangents and causes `settled`. `pull` is its adjoint, `reach` that at
    ones (None where this tells nothing), and `soft` tells of each operand whether its factor changes with a target."""

    def __init__(
        self, causes: Causes, random: Any, step: Step, settled: Settled, pull: Pull,
        reach: Pull | None, soft: Sequence[bool], rounding: bool,
    ) -> None:  # fmt: skip

        self._causes, self._step, self._settled = causes, step, settled
        self._pull, self._reach, self._soft, self._rounding = pull, reach, soft, rounding
        self._draws = [None if s is None else (random.random((2, *s[0].shape)) + 1).astype(s[0].dtype) for s in settled]
        self._flows = pull([None if s is None else s[0] for s in settled])
        above = [distinct(why[ct == 0]) for ct, why in filter(None, settled)]
        self._above = sorted({number for numbers in above for number in numbers if number})
        self._cache: dict[Any, list[Array | None]] = {}

    def cut_off(self, k: int) -> Array:
        """The elements of operand k that nothing would reach."""
        import numpy as np

        hit = self._hit(k, self._pull, None)
        return np.asarray(hit == 0)

    def of(self, k: int) -> tuple[Array, Array] | None:
        """The contribution to operand k and the causes of its zeros; None where none flows."""
        import numpy as np

        flow = self._flows[k]
        if flow is None:
            return None
        if self._rounding:
            flow = np.where(np.abs(flow) <= self._least(k), flow.dtype.type(0), flow)
        zero = flow == 0
        if not zero.any():
            return flow, np.zeros(flow.shape, dtype=np.int64)
        terms = self._hit(k, self._pull, 0)
        return flow, np.where(zero, np.where(terms, self._of_terms(k), self._of_none(k, flow.shape)), 0)

    def _hit(self, k: int, pull: Pull, number: int | None) -> Array:
        """Whether the adjoint connects an element with cotangents of these causes (0: those that are not zero; None:
        all)."""
        import numpy as np

        key = (pull is self._pull, number)
        if key not in self._cache:
            rows = [self._probe(pull, number, draw) for draw in range(2)]
            self._cache[key] = [
                None if a is None or b is None else (a != 0) | (b != 0) for a, b in zip(*rows, strict=True)
            ]
        found = self._cache[key][k]
        flow = self._flows[k]
        assert flow is not None
        return np.zeros(flow.shape, dtype=bool) if found is None else found

    def _probe(self, pull: Pull, number: int | None, draw: int) -> list[Array | None]:
        given: list[Array | None] = []
        for settled, draws in zip(self._settled, self._draws, strict=True):
            if settled is None or draws is None:
                given.append(None)
                continue
            ct, why = settled
            chosen = True if number is None else (ct != 0) if number == 0 else (ct == 0) & (why == number)
            given.append((draws[draw] * chosen).astype(ct.dtype))
        return pull(given)

    def _least(self, k: int) -> Array:
        """What rounding leaves of terms that add up to zero."""
        import numpy as np

        flow = self._flows[k]
        assert flow is not None
        pairs = [*zip(self._settled, self._draws, strict=True)]
        sizes = []
        for draw in range(2):
            signed = [
                None if s is None or d is None else np.copysign(s[0], d[draw] - s[0].dtype.type(1.5)) for s, d in pairs
            ]
            found = self._pull(signed)[k]
            assert found is not None
            sizes.append(np.abs(found))
        return np.asarray(ROUNDING * np.finfo(flow.dtype).eps * np.maximum(*sizes))

    def _of_terms(self, k: int) -> Array:
        """Of terms that are not zero, and whose sum is."""
        import numpy as np

        flow = self._flows[k]
        assert flow is not None
        lost = np.zeros(flow.shape, dtype=bool)
        largest = max((float(np.abs(s[0]).max(initial=0)) for s in self._settled if s is not None), default=1.0)
        room = np.finfo(flow.dtype).maxexp - 2 - np.frexp(largest)[1]
        for power in [scale for scale in SCALES if scale <= room] or [max(room, 0)]:
            scaled = self._pull([None if s is None else np.ldexp(s[0], power) for s in self._settled])[k]
            assert scaled is not None
            lost |= np.isfinite(scaled) & (scaled != 0) & (flow == 0)
        node = self._step.node
        numbers = [self._causes.at(reason, node) for reason in ("underflow", "cancels")]
        return np.where(lost, *numbers)

    def _of_none(self, k: int, shape: tuple[int, ...]) -> Array:
        """Of terms that are all zero."""
        import numpy as np

        node = self._step.node
        numeric = self._causes.number([NUMERIC])
        if len(self._above) > MOST:
            return np.full(shape, numeric)
        flags = [(number, self._hit(k, self._pull, number)) for number in self._above]
        if self._reach is None:
            found = self._causes.merged(flags, shape)
            return np.where(found != 0, found, numeric)
        masks = node.prim.name in MASKS
        number = (
            self._causes.at("masked", node, k)
            if masks
            else self._causes.at("multiplied by zero", node, soft=self._soft[k])
        )
        flags.append((number, self._hit(k, self._reach, 0)))
        found = self._causes.merged(flags, shape)
        if (found == 0).any():
            left = [(number, self._hit(k, self._reach, number)) for number in self._above]
            found = np.where(found == 0, self._causes.merged(left, shape), found)
        return found
