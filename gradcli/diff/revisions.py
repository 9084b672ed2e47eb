"""`REV:model.net`: a model as it was at a revision of its git repository, with what it imports at that revision.

`REV` is anything git knows: a commit, a tag, `HEAD~3`. The path is that of git: from the top of the repository, or with
`./` from the current folder; where there is no such file from the top, it is looked for from here. Data that the model
loads are those of the working tree.
"""

from __future__ import annotations

from os.path import relpath
from pathlib import Path
from typing import TYPE_CHECKING

from gradcli.interp.files import decode
from gradcli.record import record
from gradcli.request import ModelFile
from gradcli.syntax.diagnostics import ENVIRONMENT, ModelError, Source, fail, nearest

if TYPE_CHECKING:
    from subprocess import CompletedProcess

SUFFIX = ".net"


@record
class Revision:
    """One revision of the repository whose top folder is `top`."""

    name: str
    top: Path

    def read(self, path: Path) -> Source:
        """The text of a file of the repository at this revision. Raises ModelError DAT110 or DAT111."""
        inside = relpath(path.resolve(), self.top).replace("\\", "/")
        shown = f"{self.name}:{inside}"
        if inside.startswith("../"):
            raise fail("DAT110", f"{path} lies outside the repository, so that it has no revision {self.name}")
        done = _git(self.top, "cat-file", "blob", f"{self.name}:{inside}")
        if done.returncode:
            raise fail("DAT110", f"there is no file {inside} at revision {self.name}", help=self._meant(inside))
        return decode(done.stdout, shown)

    def has(self, path: Path) -> bool:
        inside = relpath(path.resolve(), self.top).replace("\\", "/")
        return not _git(self.top, "cat-file", "-e", f"{self.name}:{inside}").returncode

    def _meant(self, inside: str) -> str | None:
        listed = _git(self.top, "ls-tree", "-r", "--name-only", "-z", self.name)
        names = [name for name in listed.stdout.decode("utf-8", "replace").split("\0") if name.endswith(SUFFIX)]
        guess = nearest(inside, names)
        return f"did you mean {self.name}:{guess}?" if guess else None


def at_revision(text: str) -> ModelFile | None:
    """The model that `REV:PATH` means; None for what names a file of today. Raises ModelError DAT112 or ENV004."""
    name, colon, path = text.partition(":")
    if not colon or not name or not path or Path(text).exists():
        return None
    top = _git(Path(), "rev-parse", "--show-toplevel")
    if top.returncode:
        raise fail("DAT112", f"`{text}` names a revision, but this folder is in no git repository")
    if name.startswith("-") or _git(Path(), "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").returncode:
        raise fail("DAT112", f"the repository has no revision `{name}`", help="`git log --oneline` lists them")
    revision = Revision(name, Path(top.stdout.decode().rstrip("\n")).resolve())
    target = Path(path) if path.startswith("./") else revision.top / path
    if not revision.has(target) and revision.has(Path(path)):
        target = Path(path)
    source = revision.read(target)
    return ModelFile(target, text=source.text, name=source.name, read=revision.read)


def _git(folder: Path, *arguments: str) -> CompletedProcess[bytes]:
    from subprocess import run

    try:
        return run(["git", *arguments], cwd=folder, capture_output=True, check=False)
    except FileNotFoundError:
        raise no_git() from None


def no_git() -> ModelError:
    return fail("ENV004", "git is missing, and a revision was named", exit_code=ENVIRONMENT)
