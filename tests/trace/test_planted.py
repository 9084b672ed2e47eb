"""Models with a planted fault, each with the whole page that `trace` prints of it, in `planted.md`.

`python -m tests.trace.test_planted` writes the pages again. Read each difference: could a stranger mend the fault?
"""

from __future__ import annotations

import io
import re
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from gradcli.cli.main import run
from tests.conftest import Cli

PAGE = Path(__file__).with_name("planted.md")
SECTION = re.compile(
    r"^## ([^\n]+)\n\n```net\n(.*?)```\n\n```console\n\$ gradcli ([^\n]+)\n(.*?)```$", re.MULTILINE | re.DOTALL
)
CLEAN = ("infinity that reaches no result", "nothing bad", "near misses", "a gradient that vanishes in a loop",
         "infinities in every turn that reach no result", "layers that explode",
         "a gradient that vanishes on its way through the turns, whatever adds up at the end")  # fmt: skip


class Planted(NamedTuple):
    title: str
    model: str
    command: str
    expected: str


def planted() -> Iterator[Planted]:
    for found in SECTION.finditer(PAGE.read_text(encoding="utf-8")):
        yield Planted(*found.groups())


PLANTED = list(planted())
by_title = pytest.mark.parametrize("case", PLANTED, ids=[case.title for case in PLANTED])


def write(case: Planted, folder: Path) -> list[str]:
    """The model as a file; the arguments of the command."""
    (folder / "model.net").write_text(case.model, encoding="utf-8")
    return shlex.split(case.command)


@by_title
def test_the_page_of_a_planted_fault(case: Planted, cli_inside: Cli, tmp_path: Path) -> None:
    ran = cli_inside(*write(case, tmp_path), cwd=tmp_path)
    assert ran.out == case.expected
    assert ran.err == ""
    assert ran.code == (0 if case.title in CLEAN else 1)
    assert max(map(len, ran.out.splitlines())) <= 80


@by_title
def test_the_mend_of_a_planted_fault_mends_it(case: Planted, cli_inside: Cli, tmp_path: Path) -> None:
    """The text that is proposed, put in its place, or the option, leaves nothing bad at that place."""
    arguments = write(case, tmp_path)
    found = cli_inside(*arguments, "--json", cwd=tmp_path).json()["found"]
    if found is None or found["mend"] is None:
        return
    mend = found["mend"]
    if mend["option"]:
        arguments += mend["option"].split()
    else:
        model = tmp_path / "model.net"
        model.write_text(mended(case.model, mend), encoding="utf-8")
    again = cli_inside(*arguments, "--json", cwd=tmp_path)
    assert again.json()["found"] is None, again.out
    assert again.code == 0


def mended(model: str, mend: dict[str, Any]) -> str:
    _, line, column = mend["place"].split(":")
    start = sum(len(text) for text in model.splitlines(keepends=True)[: int(line) - 1]) + int(column) - 1
    assert model[start:].startswith(mend["expression"])
    return model[:start] + mend["by"] + model[start + len(mend["expression"]) :]


def printed(case: Planted) -> str:
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        arguments = write(case, Path(folder))
        out = io.StringIO()
        with redirect_stdout(out), redirect_stderr(out):
            run(arguments)
        return out.getvalue()


if __name__ == "__main__":
    text = "# Planted faults, and what `trace` says of each\n"
    for case in planted():
        text += f"\n## {case.title}\n\n```net\n{case.model}```\n\n"
        text += f"```console\n$ gradcli {case.command}\n{printed(case)}```\n"
    PAGE.write_text(text, encoding="utf-8")
