"""Numbers that text files gave: kept packed, as f64 and, while all are whole, as i64."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gradcli.data.files import DataFile
from gradcli.data.stored import Stored
from gradcli.ir.aval import NUMPY_NAMES
from gradcli.record import record

if TYPE_CHECKING:
    import numpy as np


@record(frozen=False)
class Numbers:
    """Grows row by row; `whole` is None once a number is not a whole one that fits into i64."""

    floats: array[float]
    whole: array[int] | None

    @classmethod
    def empty(cls) -> Numbers:
        return cls(array("d"), array("q"))

    def extend(self, row: Sequence[int | float], *, whole: bool) -> None:
        """`row` of ints, where `whole`, else of floats; raises OverflowError for an int beyond f64."""
        self.floats.extend(row)
        if not whole:
            self.whole = None
        if self.whole is not None:
            try:
                self.whole.extend(row)  # type: ignore[arg-type]  # ints, as the caller says
            except OverflowError:
                self.whole = None

    def stored(self, file: DataFile, key: str | None, shape: tuple[int, ...], dtype: str | None = None) -> Stored:
        """These numbers as an array: weak without a `dtype`."""

        def fetch(integers: bool) -> np.ndarray[Any, Any]:
            import numpy as np

            exact = self.whole is not None and (integers or dtype in ("i32", "i64"))
            values = np.array(self.whole if exact else self.floats, NUMPY_NAMES["i64" if exact else "f64"])
            return values.reshape(shape).astype(NUMPY_NAMES[dtype or ("i64" if exact else "f64")], copy=False)

        return Stored(file.path, key, shape, dtype, None, dtype is None and self.whole is not None, file, fetch)
