"""Arrays into files, by suffix: written whole or not at all.

The bytes go to a new file in the same folder, are forced to the disk, and take the target's name in one step. So a
reader sees the old file or the new one, and a run that is killed leaves the old one.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from gradcli.data.files import exit_code, listing, reason
from gradcli.data.npy import MAGIC
from gradcli.data.safetensors import ELEMENTS, METADATA
from gradcli.syntax.diagnostics import ModelError, fail

if TYPE_CHECKING:
    import numpy as np

    from gradcli.request import SparseMatrix

    Array = np.ndarray[Any, Any]

SUFFIXES = (".npz", ".safetensors", ".npy", ".json", ".csv")
CHUNK = 1 << 22  # bytes of an array written at a time
ALIGNMENT = 64  # of the data in an .npy
FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # the oldest date a zip knows, so that equal arrays give equal files


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Writes arrays of bool, ints and floats by name: npz, safetensors, npy (one array), json, csv.

    A csv takes one array of at most two axes, or several of one axis and the same length, as named columns. Raises
    ModelError: DAT040 where the file cannot be written, DAT041 where the format cannot hold these arrays; the file is
    then as it was.
    """
    import numpy as np

    check_target(path)
    native = {name: _native(np.asarray(array)) for name, array in arrays.items()}
    write = _writer(path, native)
    replace_file(path, lambda stream: write(stream, native))


def write_sparse(path: Path, matrix: SparseMatrix) -> None:
    """Writes a matrix as the compressed rows that `scipy.sparse.load_npz` reads; raises ModelError as `write_arrays`.

    Numbers of columns are i32 where they fit, f16 becomes f32, which is the narrowest float that SciPy computes with.
    """
    import numpy as np

    check_target(path)
    if path.suffix.lower() != ".npz":
        help = f"use `{path.with_suffix('.npz').name}`"
        raise fail("DAT041", f"{path} cannot hold a sparse matrix: it is written as .npz", help=help)
    index = np.int32 if max(*matrix.shape, matrix.nnz) < 1 << 31 else np.int64
    data = matrix.data.astype(np.float32) if matrix.data.itemsize == 2 else matrix.data
    arrays = {
        "indices": matrix.indices.astype(index),
        "indptr": matrix.indptr.astype(index),
        "format": np.asarray(b"csr"),
        "shape": np.asarray(matrix.shape, np.int64),
        "data": data,
    }
    replace_file(path, lambda stream: _write_npz(stream, {name: _native(array) for name, array in arrays.items()}))


def replace_file(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """The file at `path` becomes what `write` writes, in one step, or stays as it is. Raises ModelError DAT040."""
    target = Path(os.path.realpath(path))  # a link keeps being one, and what it leads to is replaced
    part = target.parent / f".gradcli-{os.getpid()}-{os.urandom(6).hex()}.part"
    try:
        with open(part, "xb") as stream:
            write(stream)
            stream.flush()
            _keep_mode(target, stream.fileno())
            os.fsync(stream.fileno())
        os.replace(part, target)
    except (OSError, ValueError) as problem:
        raise _unwritable(path, problem) from None
    finally:
        with suppress(OSError):
            os.unlink(part)


def check_target(path: Path) -> None:
    """Raises DAT040 or DAT041 for a path that cannot be written, before anything is computed."""
    if path.suffix.lower() not in SUFFIXES:
        raise fail(
            "DAT041", f"{path} has no suffix that says how to write arrays", help=f"use one of {', '.join(SUFFIXES)}"
        )
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        folder = Path(os.path.realpath(path)).parent
        if not folder.is_dir():
            raise fail("DAT040", f"{path} cannot be written: its folder {folder} does not exist") from None
    except (OSError, ValueError) as problem:
        raise _unwritable(path, problem) from None
    else:
        if not stat.S_ISREG(mode):
            raise fail(
                "DAT040", f"{path} cannot be written: it is {'a folder' if stat.S_ISDIR(mode) else 'not a file'}"
            )


def _unwritable(path: Path, problem: OSError | ValueError) -> ModelError:
    return fail("DAT040", f"{path} cannot be written: {reason(problem)}", exit_code=exit_code(problem))


def _keep_mode(target: Path, descriptor: int) -> None:
    with suppress(OSError, AttributeError):  # a new file, or a system without modes
        os.fchmod(descriptor, stat.S_IMODE(os.stat(target).st_mode))


def _native(array: Array) -> Array:
    """C-contiguous and little-endian, with its shape: `ascontiguousarray` would give a scalar an axis."""
    import numpy as np

    return np.asarray(array, array.dtype.newbyteorder("<"), order="C")


def _writer(path: Path, arrays: Mapping[str, Array]) -> Any:
    """The function that writes this format; raises DAT041 where it cannot hold `arrays`."""
    for name, array in arrays.items():
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise fail("DAT041", f"`{name}` is {array.dtype}, which is not written")
    match path.suffix.lower():
        case ".npz":
            return _write_npz
        case ".safetensors":
            if METADATA in arrays:
                raise fail("DAT041", f"a safetensors file cannot hold an array named `{METADATA}`", help="use `.npz`")
            return _write_safetensors
        case ".json":
            return _write_json
        case ".npy":
            if len(arrays) != 1:
                raise _too_many(path, arrays, "an .npy holds one array")
            return _write_npy_file
        case _:
            shapes = {array.shape for array in arrays.values()}
            if len(arrays) == 1 and len(min(shapes)) > 2:
                raise fail(
                    "DAT041",
                    f"a csv holds at most two axes, `{next(iter(arrays))}` has {len(min(shapes))}",
                    help=f"use `{path.with_suffix('.npz').name}`",
                )
            if len(arrays) != 1 and (len(shapes) != 1 or len(min(shapes)) != 1):
                raise _too_many(path, arrays, "a csv holds one array, or columns of one length")
            return _write_csv


def _too_many(path: Path, arrays: Mapping[str, Array], rule: str) -> ModelError:
    names = f" ({listing(arrays)})" if arrays else ""
    help = f"use `{path.with_suffix('.npz').name}`"
    return fail("DAT041", f"{path} cannot hold {len(arrays)} arrays{names}: {rule}", help=help)


def _write_npy_file(stream: BinaryIO, arrays: Mapping[str, Array]) -> None:
    (array,) = arrays.values()
    _write_npy(stream, array)


def _write_npy(stream: Any, array: Array) -> None:
    header = f"{{'descr': {array.dtype.str!r}, 'fortran_order': False, 'shape': {array.shape!r}, }}"
    start = len(MAGIC) + 4
    padding = -(start + len(header) + 1) % ALIGNMENT
    text = (header + " " * padding + "\n").encode("latin-1")
    stream.write(MAGIC + b"\x01\x00" + len(text).to_bytes(2, "little") + text)
    _write_bytes(stream, array)


def _write_bytes(stream: Any, array: Array) -> None:
    import numpy as np

    view = array.reshape(-1).view(np.uint8).data
    for start in range(0, len(view), CHUNK):
        stream.write(view[start : start + CHUNK])


def _write_npz(stream: BinaryIO, arrays: Mapping[str, Array]) -> None:
    import zipfile

    with zipfile.ZipFile(stream, "w") as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy", FIRST_DAY), "w", force_zip64=True) as member:
                _write_npy(member, array)


def _write_safetensors(stream: BinaryIO, arrays: Mapping[str, Array]) -> None:
    """Wide elements first, so that each array is aligned to its own element."""
    names = {element: name for name, element in ELEMENTS.items()}
    ordered = sorted(arrays.items(), key=lambda item: (-item[1].dtype.itemsize, item[0]))
    header: dict[str, Any] = {}
    end = 0
    for name, array in ordered:
        begin, end = end, end + array.nbytes
        dtype = names[f"{array.dtype.kind}{array.dtype.itemsize}"]
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % 8)
    stream.write(len(text).to_bytes(8, "little") + text)
    for _, array in ordered:
        _write_bytes(stream, array)


def _write_json(stream: BinaryIO, arrays: Mapping[str, Array]) -> None:
    """An object of nested lists, one array a line."""
    lines = (f"{json.dumps(name, ensure_ascii=False)}: {json.dumps(_numbers(array))}" for name, array in arrays.items())
    stream.write(("{" + ",\n ".join(lines) + "}\n").encode("utf-8"))


def _write_csv(stream: BinaryIO, arrays: Mapping[str, Array]) -> None:
    import csv
    import io

    import numpy as np

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [*arrays.values()]
    if len(columns) > 1:
        writer.writerow(arrays)
        rows = zip(*map(_numbers, columns), strict=True)
        writer.writerows([_cell(value) for value in row] for row in rows)
    else:
        table = columns[0] if columns[0].ndim == 2 else np.reshape(columns[0], (-1, 1))
        writer.writerows([_cell(value) for value in row] for row in _numbers(table))
    stream.write(text.getvalue().encode("utf-8"))


def _cell(value: object) -> object:
    return str(value).lower() if isinstance(value, bool) else value


def _numbers(array: Array) -> Any:
    """Nested lists whose floats have the shortest digits of the array's dtype; non-finite ones are texts."""
    import numpy as np

    if array.dtype.kind != "f":
        return array.tolist()
    # The shortest digits of an f32, read as f64, are printed with these same digits.
    values = array if array.dtype.itemsize == 8 else array.astype("U").astype(np.float64)
    if bool(np.isfinite(values).all()):
        return values.tolist()
    boxed = values.astype(object)
    for word in ("nan", "inf", "-inf"):
        boxed[np.isnan(values) if word == "nan" else values == float(word)] = word
    return boxed.tolist()
