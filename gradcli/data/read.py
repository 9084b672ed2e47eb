"""Arrays out of files: which texts name a file, and what the file holds.

A reference is a path that ends in a known suffix, with a key after a colon where the file holds several arrays:
`x.npy`, `d.npz:key`, `w.safetensors:l1.w`, `v.json`, `t.csv`. A leading `@` always means a file, whatever its suffix
(what it holds is then seen from its first bytes), and `@-` is an .npy on standard input. Headers are read at once,
values when `Stored.load` is called; only then is NumPy imported.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Literal, assert_never

from gradcli.data.files import DataFile, locate, standard_input
from gradcli.data.npy import MAGIC, is_pickle, open_npy, pickled, take_npy
from gradcli.data.stored import Stored, pick
from gradcli.syntax.diagnostics import Span

__all__ = ["Stored", "is_reference", "open_archive", "open_array"]

Format = Literal["npy", "npz", "safetensors", "csv", "json"]

SUFFIXES: dict[str, Format] = {
    ".npy": "npy", ".npz": "npz", ".safetensors": "safetensors", ".csv": "csv", ".json": "json",
}  # fmt: skip
KEYED = (".npz", ".safetensors", ".json", ".csv")


def is_reference(text: str) -> bool:
    """Whether `text` names a file; everything else is an expression of the language.

    An expression that mentions a file, `f32(load("x.npz:a"))`, has a quotation mark, which no reference with a key has.
    """
    return text.startswith("@") or text.lower().endswith(tuple(SUFFIXES)) or ('"' not in text and _colon(text) >= 0)


def open_array(
    reference: str, *, base: Path, span: Span | None = None, key: str | None = None, stdin: BinaryIO | None = None
) -> Stored:
    """The array that `reference` means; relative paths are relative to `base`.

    With `key` (from `load("w.safetensors", "l1.w")`) the reference is the path alone. `stdin` is what `@-` reads, the
    process's own by default. Raises ModelError with a DAT code, at `span` where there is one.
    """
    name = reference.removeprefix("@")
    if name == "-" and reference != name:
        return open_npy(take_npy(standard_input(stdin, span), DataFile(base, "@-", span)))
    if key is None and (colon := _colon(name)) >= 0:
        name, key = name[:colon], name[colon + 1 :]
    file = locate(name, base, span)
    match _format(file):
        case "npy":
            if key is not None:
                raise file.fail(
                    "DAT007", "{} holds one array, without a name", help=f"leave the key out: `{file.name}`"
                )
            return open_npy(file)
        case "csv":
            from gradcli.data.text import open_csv

            return open_csv(file, key)
        case "json":
            from gradcli.data.jsonfile import open_json

            return open_json(file, key)
        case "npz" | "safetensors" as kind:
            return pick(_open_archive(file, kind), key, file)
        case unknown:
            assert_never(unknown)


def open_archive(path: str, *, base: Path, span: Span | None = None) -> dict[str, Stored]:
    """Every array of a file by its name, in the file's order: npz, safetensors, a json object, a csv with column names.

    Raises ModelError with a DAT code; DAT007 for a file whose one array has no name.
    """
    file = locate(path.removeprefix("@"), base, span)
    return _open_archive(file, _format(file))


def _open_archive(file: DataFile, kind: Format) -> dict[str, Stored]:
    match kind:
        case "npy":
            raise file.fail("DAT007", "{} holds one array, without a name", help=f"name it: `-i x={file.name}`")
        case "npz":
            from gradcli.data.archive import open_npz

            return open_npz(file)
        case "safetensors":
            from gradcli.data.safetensors import open_safetensors

            return open_safetensors(file)
        case "csv":
            from gradcli.data.text import open_columns

            return open_columns(file)
        case "json":
            from gradcli.data.jsonfile import open_json_archive

            return open_json_archive(file)
        case unknown:
            assert_never(unknown)


def _colon(text: str) -> int:
    """Where the key of a reference begins: the first colon right after a suffix of a format with keys; or -1."""
    colon = text.find(":")
    while colon >= 0 and not text[:colon].lower().endswith((*KEYED, ".npy")):
        colon = text.find(":", colon + 1)
    return colon


def _format(file: DataFile) -> Format:
    """By the suffix, else by the first bytes; raises DAT005 where neither tells."""
    known = SUFFIXES.get(file.path.suffix.lower())
    if known is not None:
        return known
    if file.path.suffix == ".net":
        raise file.fail("DAT005", "{} is a model, not data",
                        help=f"`gradcli grad {file.path} -o results.npz` stores what it gives")  # fmt: skip
    start = file.head(64)
    if start.startswith(MAGIC):
        return "npy"
    if is_pickle(start):
        raise pickled(file.name, file)
    if start.startswith((b"PK\3\4", b"PK\5\6")):
        return "npz"
    if start[8:9] == b"{" and start[5:8] == b"\0\0\0":
        return "safetensors"
    if b"\0" in start:
        raise file.fail("DAT005", "{} is of no known kind", notes=["npy, npz, safetensors, csv and json are read"])
    return "json" if start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"[", b"{") else "csv"
