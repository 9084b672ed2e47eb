"""Every primitive, by family. Importing this package fills the registry; it imports no array library.

`prelude.net`, beside these modules, holds what can be composed, in the language itself.
"""

from gradcli.ops import determinant, elementwise, index, linalg, reduce, shape, solving, special, windows

__all__ = ["determinant", "elementwise", "index", "linalg", "reduce", "shape", "solving", "special", "windows"]
