"""NumPy's .npz: a zip of .npy members, each named `key.npy`.

A zip states every size itself, so each is compared with the next: member against archive (deflate shrinks at most 1032
times), header against member, bytes against header. Checksums are verified whenever values are read.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from gradcli.data.elements import Layout, compare_size, read_values
from gradcli.data.files import DataFile, printable
from gradcli.data.npy import MAGIC, pickled, read_header
from gradcli.data.stored import Stored

if TYPE_CHECKING:
    import numpy as np

DEFLATE_LIMIT = 1032  # a deflate stream of n bytes expands to at most 1032 n
ENCRYPTED = 0x1
# What zipfile raises for broken bytes; offsets of 2**64 end as OverflowError or OSError.
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    ValueError,
    OverflowError,
    OSError,
)


def open_npz(file: DataFile) -> dict[str, Stored]:
    """Every array of the archive by its key; raises DAT008, DAT020 and what `read_header` raises."""
    stored: dict[str, Stored] = {}
    with _archive(file) as (archive, size):
        members = archive.infolist()
        if any(info.filename.endswith(".pkl") for info in members):
            raise pickled(file.name, file)
        for info in members:
            if not info.filename.endswith(".npy"):
                continue  # NumPy keeps such members as plain bytes: not arrays
            key = info.filename.removesuffix(".npy")
            if key in stored:
                raise file.fail("DAT008", f"{{}} holds two arrays named `{printable(key)}`")
            what = f"{file.name}:{printable(key)}"
            _check_member(info, size, what, file)
            with _member(archive, info, what, file) as stream:
                layout = read_header(stream, what, file)
                compare_size(layout.nbytes, info.file_size - stream.tell(), what, file)
            fetch = partial(_fetch, file, info.filename, layout, what)
            stored[key] = Stored(file.path, key, layout.shape, layout.dtype, layout.note, False, file, fetch)
    return stored


def _fetch(file: DataFile, member: str, layout: Layout, what: str, _: bool) -> np.ndarray[Any, Any]:
    with _archive(file) as (archive, size):
        try:
            info = archive.getinfo(member)
        except KeyError:
            raise file.changed() from None
        _check_member(info, size, what, file)
        with _member(archive, info, what, file) as stream:
            if read_header(stream, what, file) != layout:
                raise file.changed()
            values = read_values(stream, layout, what, file)
            if stream.read(1):  # also makes zipfile compare the checksum at the end
                raise file.changed()
            return values


@contextmanager
def _archive(file: DataFile) -> Iterator[tuple[zipfile.ZipFile, int]]:
    with file.open() as stream:
        size = file.size(stream)
        if not size:
            raise file.empty()
        start = stream.read(len(MAGIC))
        if start == MAGIC:
            raise file.fail(
                "DAT005", "{} is an .npy by its first bytes, not an npz archive", help="rename it to `.npy`"
            )
        try:
            archive = zipfile.ZipFile(stream)
        except DAMAGE:
            raise file.fail("DAT020", "{} is not an npz archive, or is cut off") from None
        with archive:
            yield archive, size


def _check_member(info: zipfile.ZipInfo, archive_size: int, what: str, file: DataFile) -> None:
    if info.flag_bits & ENCRYPTED:
        raise file.fail("DAT020", f"{what} is encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise file.fail(
            "DAT020",
            f"{what} is compressed in a way that NumPy does not write",
            help="write it again with `np.savez_compressed`",
        )
    most = info.compress_size * (DEFLATE_LIMIT if info.compress_type == zipfile.ZIP_DEFLATED else 1)
    if info.compress_size > archive_size or info.file_size > most:
        raise file.fail("DAT020", f"{what} claims {info.file_size:,} bytes, more than its archive can hold")


@contextmanager
def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, what: str, file: DataFile) -> Iterator[BinaryIO]:
    """The bytes of a member; damage of any kind is DAT020."""
    try:
        with archive.open(info) as stream:
            yield cast(BinaryIO, stream)
    except DAMAGE:
        raise file.fail("DAT020", f"{what} is damaged: it does not match its checksum or its directory") from None
