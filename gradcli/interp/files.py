"""Reading model files: text in UTF-8, or a diagnostic that says what the path is instead."""

from __future__ import annotations

import stat
from pathlib import Path

from gradcli.syntax.diagnostics import Source, fail, nearest

MAX_BYTES = 64 << 20


def read_source(path: Path, shown: str | None = None, *, imported: bool = False) -> Source:
    """The text of a model file; one that is imported is a regular file. Raises ModelError DAT110 or DAT111."""
    name = shown or str(path)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        guess = None
        if path.parent.is_dir():
            guess = nearest(path.stem, [p.stem for p in path.parent.iterdir() if p.suffix == ".net"])
        help_ = f"did you mean {path.with_name(guess + '.net')}?" if guess else None
        raise fail("DAT110", f"there is no file {name}", help=help_) from None
    except (OSError, ValueError) as error:
        raise fail("DAT110", f"{name} cannot be read: {_reason(error)}") from None
    if stat.S_ISDIR(mode):
        raise fail("DAT110", f"{name} is a directory, not a model", help=f"run its cases with `gradcli test {name}`")
    if imported and not stat.S_ISREG(mode):
        raise fail("DAT110", f"{name} is no regular file")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise fail("DAT110", f"{name} cannot be read: {_reason(error)}") from None
    if len(data) > MAX_BYTES:
        raise fail(
            "DAT110", f"{name} is larger than {MAX_BYTES >> 20} MiB: a model is text, data belong into .npy files"
        )
    return decode(data, name)


def decode(data: bytes, name: str) -> Source:
    """Bytes as the text of a model. Raises ModelError DAT111 for what is no UTF-8."""
    if data.startswith((b"\x93NUMPY", b"PK\x03\x04")):
        raise fail("DAT111", f"{name} holds arrays, not a model", help="give it as data: `-i x=FILE`")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise fail("DAT111", f"{name} is UTF-16 text, not UTF-8", help="save it as UTF-8")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise fail("DAT111", f"{name}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8 text") from None
    return Source(name, text)


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()
