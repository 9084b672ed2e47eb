"""Opening a data file safely: regular files only, never waiting on a pipe, and every refusal a `ModelError`."""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from gradcli.record import record
from gradcli.syntax.diagnostics import ENVIRONMENT, USAGE, ModelError, Span, fail, nearest

NAMES_LOOKED_AT = 2000  # of a folder, for the name that was probably meant
NAMES_SHOWN = 12


@record
class DataFile:
    """A file as the user named it, and the place in the model (if any) that names it.

    `content` is what was read from standard input; None for a file on disk.
    """

    path: Path
    name: str
    span: Span | None = None
    content: bytes | None = None

    def fail(self, code: str, message: str, *, help: str | None = None, notes: Iterable[str] = ()) -> ModelError:
        """An error about this file; `{}` in `message` stands for its name."""
        return fail(code, message.replace("{}", self.name), self.span, help=help, notes=notes)

    def open(self) -> BinaryIO:
        """The file's bytes from the beginning; raises DAT001 to DAT003 where there is no such readable file."""
        if self.content is not None:
            return io.BytesIO(self.content)
        # Without O_NONBLOCK, opening a named pipe waits for a writer, for ever.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        try:
            descriptor = os.open(self.path, flags)
        except FileNotFoundError:
            raise self._not_found() from None
        except (OSError, ValueError) as problem:
            raise self._unreadable(problem) from None
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISREG(mode):
            return os.fdopen(descriptor, "rb")
        os.close(descriptor)
        raise self._irregular(mode)

    def size(self, stream: BinaryIO) -> int:
        """The number of bytes of the whole file behind `stream`, which is left at its beginning."""
        size = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        return size

    def read(self) -> bytes:
        """All of it, for text; raises DAT003 where the disk fails, DAT004 where there is nothing."""
        with self.open() as stream:
            try:
                content = stream.read()
            except OSError as problem:
                raise self._unreadable(problem) from None
        if not content:
            raise self.empty()
        return content

    def head(self, count: int) -> bytes:
        """At most the first `count` bytes; raises DAT004 for an empty file."""
        with self.open() as stream:
            try:
                start = stream.read(count)
            except OSError as problem:
                raise self._unreadable(problem) from None
        if not start:
            raise self.empty()
        return start

    def empty(self) -> ModelError:
        if self.content is not None:
            return self.fail("DAT004", "standard input is empty", notes=["it can be read only once in a run"])
        return self.fail("DAT004", "{} is empty")

    def changed(self) -> ModelError:
        return self.fail("DAT050", "{} changed while it was read")

    def _not_found(self) -> ModelError:
        path = self.path
        if path.is_symlink():
            return self.fail("DAT001", f"{{}} is a link to {os.readlink(path)}, which does not exist")
        folder = path.parent
        if not folder.is_dir():
            return self.fail("DAT001", f"{{}} does not exist, nor does its folder {folder}")
        try:
            with os.scandir(folder) as entries:
                names = [entry.name for entry in islice(entries, NAMES_LOOKED_AT)]
        except OSError:
            names = []
        alike = [name for name in names if os.path.splitext(name)[1] == path.suffix] or names
        stem = nearest(path.stem, [os.path.splitext(name)[0] for name in alike])
        meant = next((name for name in alike if os.path.splitext(name)[0] == stem), None)
        return self.fail(
            "DAT001", "{} does not exist", help=f"did you mean `{_sibling(self.name, meant)}`?" if meant else None
        )

    def _irregular(self, mode: int) -> ModelError:
        if stat.S_ISDIR(mode):
            if not self.name.strip():
                return self.fail("DAT001", "the path of the data is empty")
            return self.fail("DAT002", "{} is a folder, not a file")
        what = "a named pipe" if stat.S_ISFIFO(mode) else "not a regular file"
        return self.fail("DAT002", f"{{}} is {what}", help="give it as `@-`, an .npy on standard input")

    def _unreadable(self, problem: OSError | ValueError) -> ModelError:
        if isinstance(problem, IsADirectoryError):
            return self._irregular(stat.S_IFDIR)
        return self.fail("DAT003", f"{{}} cannot be read: {reason(problem)}")


def locate(name: str, base: Path, span: Span | None) -> DataFile:
    """The file that `name` means: relative to `base`, `~` being the user's home."""
    return DataFile(base / os.path.expanduser(name), printable(name), span)


def standard_input(stream: BinaryIO | None, span: Span | None) -> BinaryIO:
    """Where `@-` reads from; raises DAT051 where that is the keyboard, or closed."""
    stream = stream or getattr(sys.stdin, "buffer", None)
    if stream is None or stream.closed:
        raise fail("DAT051", "standard input is closed, so `@-` has nothing to read", span)
    if stream.isatty():
        raise fail(
            "DAT051",
            "`@-` reads an .npy from standard input, and that is the terminal",
            span,
            help="send a file into it: `gradcli … < x.npy`",
        )
    return stream


def reason(problem: OSError | ValueError) -> str:
    """Why the system refused, in words: `permission denied`."""
    if isinstance(problem, OSError):
        if problem.errno == errno.ELOOP:
            return "its symbolic links go in a circle"
        return (problem.strerror or str(problem)).lower()
    return "its name holds a NUL character" if "null" in str(problem) else str(problem)


def exit_code(problem: OSError | ValueError) -> int:
    """A full or failing disk is the environment's fault, everything else is the request's."""
    return ENVIRONMENT if getattr(problem, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EIO) else USAGE


def printable(name: str) -> str:
    """A name that a terminal shows as it is: control and undecodable characters are escaped, long ones cut."""
    shown = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in name)
    return shown if len(shown) <= 200 else f"{shown[:100]}…{shown[-80:]}"


def listing(names: Iterable[str]) -> str:
    """`a, b, c and 40 more`"""
    every = [printable(name) for name in names]
    if len(every) <= NAMES_SHOWN:
        return ", ".join(every)
    return f"{', '.join(every[:NAMES_SHOWN])} and {len(every) - NAMES_SHOWN} more"


def _sibling(name: str, other: str) -> str:
    return str(Path(name).with_name(other)) if Path(name).name else other
