"""Planted models with the full answer that a command gives of them: each section of a page is a test.

A block `net NAME` is a file; a `console` block is a command and all that it prints. `python -m
tests.planted.test_planted` writes the answers again: read each difference, is it what one would want to be told?
"""

from __future__ import annotations

import io
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from gradcli.cli.main import run

PAGES = sorted(Path(__file__).parent.glob("*.md"))
BLOCK = re.compile(r"^```(?P<kind>\w+) ?(?P<name>\S*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def sections() -> Iterator[tuple[Path, str, str]]:
    for page in PAGES:
        for part in re.split(r"^(?=## )", page.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            yield page, part.partition("\n")[0].removeprefix("## "), part


def answered(section: str) -> str:
    """The section with what its commands print now."""
    with tempfile.TemporaryDirectory() as name, chdir(name):
        for block in BLOCK.finditer(section):
            if block["kind"] == "net":
                Path(block["name"]).write_text(block["text"], encoding="utf-8")
        return BLOCK.sub(lambda block: _ran(block) if block["kind"] == "console" else block[0], section)


def _ran(block: re.Match[str]) -> str:
    printed = []
    for line in block["text"].splitlines():
        if line.startswith("$ "):
            printed.append(f"{line}\n{_printed(line.removeprefix('$ '))}")
    return f"```console\n{''.join(printed)}```"


def _printed(command: str) -> str:
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        code = run(shlex.split(command)[1:])
    return out.getvalue() + (f"(exit {code})\n" if code else "")


SECTIONS = [pytest.param(section, id=f"{page.stem}: {title}") for page, title, section in sections()]


@pytest.mark.parametrize("section", SECTIONS)
def test_the_whole_answer(section: str) -> None:
    assert answered(section) == section


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_it_fits_into_80_columns(page: Path) -> None:
    for block in BLOCK.finditer(page.read_text(encoding="utf-8")):
        lines = [] if "--json" in block["text"] else block["text"].splitlines()
        assert [line for line in lines if len(line) > 80 and not line.startswith("$ ")] == []


def write() -> None:
    """Every page with the answers of now."""
    for page in PAGES:
        head, *parts = re.split(r"^(?=## )", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
        page.write_text(head + "".join(map(answered, parts)), encoding="utf-8")
        sys.stdout.write(f"{page.name}: {len(parts)} sections\n")


if __name__ == "__main__":
    write()
