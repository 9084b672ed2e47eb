"""Abstract values: the shape and dtype of an array before there is data."""

from __future__ import annotations

from gradcli.ir.dims import Size, product
from gradcli.record import record

FLOATS = ("f16", "f32", "f64")
INTS = ("i32", "i64")
DTYPES = (*FLOATS, *INTS, "bool")
ITEMSIZE = {"f16": 2, "f32": 4, "f64": 8, "i32": 4, "i64": 8, "bool": 1}
NUMPY_NAMES = {"f16": "float16", "f32": "float32", "f64": "float64", "i32": "int32", "i64": "int64", "bool": "bool"}
EPS = {"f16": 2.0**-10, "f32": 2.0**-23, "f64": 2.0**-52}


@record
class Aval:
    """`f32[2, 3]`: sizes are integers, or polynomials in symbols while only `check` looks."""

    shape: tuple[Size, ...]
    dtype: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Aval) and self.shape == other.shape and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype))

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> Size:
        """The number of elements."""
        return product(self.shape)

    @property
    def nbytes(self) -> Size:
        return self.size * ITEMSIZE[self.dtype]

    @property
    def is_float(self) -> bool:
        return self.dtype in FLOATS

    @property
    def text(self) -> str:
        """As the language writes it: of a scalar the dtype alone."""
        return str(self) if self.shape else self.dtype

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


def is_float(dtype: str) -> bool:
    return dtype in FLOATS


def is_int(dtype: str) -> bool:
    return dtype in INTS
