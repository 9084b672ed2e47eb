"""An array in a file: what its header says, and the way to its values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradcli.data.files import DataFile, listing, printable
from gradcli.record import record
from gradcli.syntax.diagnostics import ENVIRONMENT, ModelError, fail, nearest

if TYPE_CHECKING:
    import numpy as np


@record(eq=False)
class Stored:
    """`dtype` is None for weak data (csv, json: numbers without a dtype); `integral` then says that every number is
    written as a whole number that fits into i64. `note` tells of a conversion: `u8 is read as i32`.
    """

    path: Path
    key: str | None
    shape: tuple[int, ...]
    dtype: str | None
    note: str | None
    integral: bool
    file: DataFile
    fetch: Callable[[bool], np.ndarray[Any, Any]]

    @property
    def name(self) -> str:
        """As the user would write it: `d.npz:key`."""
        return self.file.name if self.key is None else f"{self.file.name}:{printable(self.key)}"

    def load(self, *, integers: bool = False) -> np.ndarray[Any, Any]:
        """The values: C-contiguous, native byte order, of exactly `dtype`.

        Weak data is f64, or i64 where it is `integral` and `integers` is asked for. Raises ModelError: DAT0xx for what
        only the values show (a cut-off or damaged file, a u64 that does not fit), exit code 3 where memory runs out.
        """
        try:
            return self.fetch(integers and self.integral)
        except MemoryError:
            raise fail(
                "DAT052", f"{self.name} does not fit into memory", self.file.span, exit_code=ENVIRONMENT
            ) from None
        except OSError as problem:
            raise self.file.fail("DAT003", f"{{}} cannot be read: {problem.strerror or problem}") from None


def pick(arrays: Mapping[str, Stored], key: str | None, file: DataFile) -> Stored:
    """The array named `key`; without a key the only one there is. Raises DAT006 and DAT007."""
    if key is not None and key in arrays:
        return arrays[key]
    if key is None and len(arrays) == 1:
        return next(iter(arrays.values()))
    names = f"it holds {listing(arrays)}" if arrays else "it holds no arrays"
    if not key:
        first = next(iter(arrays), None)
        help = f"name one of them: `{file.name}:{printable(first)}`" if first else None
        raise file.fail("DAT007", f"{{}} holds {len(arrays)} arrays, and none is named", notes=[names], help=help)
    meant = nearest(key, arrays)
    raise missing(key, file, names, meant)


def missing(key: str, file: DataFile, names: str, meant: str | None) -> ModelError:
    help = f"did you mean `{file.name}:{printable(meant)}`?" if meant else None
    return file.fail("DAT006", f"{{}} has no array named `{printable(key)}`", notes=[names], help=help)
