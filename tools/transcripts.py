"""The sessions shown in README.md and docs/: run them, compare them, write them again.

A page is a series of fenced blocks. They share one scratch directory, which starts as a copy of `models/`:

    ```net file=bowl.net     the text is written to bowl.net
    ```console               each `$ ` line is a command (`> ` lines go on with it), what follows is its output
    ```pycon                 a doctest

Output is compared line by line; a line `…` alone stands for any lines. What differs between machines is no difference:
the number of threads at the end of a headline, the last digits of a number with a fraction (and so the blanks
that align it), a command that pipes into `jq` where there is none. A command exits 0, unless the output shown for it
speaks of an error or of something that failed.
Standard output and standard error are shown together, as a terminal does. `python tools/transcripts.py --update
[PAGE ...]` writes what the commands really print into the pages, where that is a difference.
"""

from __future__ import annotations

import doctest
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^```(?P<info>[a-z]+[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
ANYTHING = "…"
NUMBER = re.compile(r"((?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?(?![\w.]))")
MACHINE = re.compile(r", \d+ threads?$")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: `kind` is the first word after the backquotes, `start` the offset of its body in the page."""

    kind: str
    file: str | None
    body: str
    start: int
    line: int


@dataclass(frozen=True, slots=True)
class Command:
    """One command of a session, as typed, and the output shown for it."""

    shown: str
    text: str
    expected: str
    line: int


def pages() -> list[Path]:
    """Every page whose sessions are held to be true."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    for match in FENCE.finditer(page):
        kind, *rest = match["info"].split()
        file = next((word.removeprefix("file=") for word in rest if word.startswith("file=")), None)
        yield Block(kind, file, match["body"], match.start("body"), page.count("\n", 0, match.start("body")) + 1)


def commands(block: Block) -> list[Command]:
    """The commands of a console block; text before the first `$ ` is an error of the page."""
    found: list[Command] = []
    shown: list[str] = []
    expected: list[str] = []
    begin = block.line

    def close() -> None:
        if shown:
            text = "\n".join(line[2:] for line in shown)
            found.append(Command("\n".join(shown), text, "\n".join(expected), begin))

    for offset, line in enumerate(block.body.splitlines()):
        if line.startswith("$ "):
            close()
            shown, expected, begin = [line], [], block.line + offset
        elif not shown:
            raise ValueError(f"line {block.line + offset}: a console block starts with a line '$ command'")
        elif line.startswith("> ") and not expected:
            shown.append(line)
        else:
            expected.append(line)
    close()
    return found


def matches(expected: str, actual: str) -> bool:
    """Whether `actual` is what is shown: `…` alone matches any lines, and machines may differ as said above."""
    shown, printed = expected.strip("\n").splitlines(), actual.strip("\n").splitlines()
    at = here = 0
    after_any, tried = None, 0  # where the last `…` stands, and how far what it swallows reaches
    while here < len(printed):
        if at < len(shown) and shown[at] == ANYTHING:
            after_any, tried = at, here
            at += 1
        elif at < len(shown) and same_line(shown[at], printed[here]):
            at, here = at + 1, here + 1
        elif after_any is not None:
            tried += 1
            at, here = after_any + 1, tried
        else:
            return False
    return all(line == ANYTHING for line in shown[at:])


def same_line(shown: str, printed: str) -> bool:
    """Whether two lines say the same: exactly, or with numbers that agree to the digits that every machine gives."""
    if shown.rstrip() == printed.rstrip():
        return True
    one, other = (NUMBER.split(MACHINE.sub("", line)) for line in (shown, printed))
    if len(one) != len(other):
        return False
    return all(
        _close(a, b) if number else a.split() == b.split()
        for number, (a, b) in ((k % 2 == 1, pair) for k, pair in enumerate(zip(one, other, strict=True)))
    )


def _close(shown: str, printed: str) -> bool:
    if shown == printed:
        return True
    if not {*".e"} & {*shown, *printed}:
        return False  # whole numbers are sizes, lines and counts
    return math.isclose(float(shown), float(printed), rel_tol=1e-5, abs_tol=1e-6)


def can_run(command: Command) -> bool:
    """Whether this machine has what the command pipes into."""
    return not re.search(r"\| *jq\b", command.text) or shutil.which("jq") is not None


class Scratch:
    """A directory with a copy of `models/`, in which one page's blocks run; `gradcli` is this checkout's."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.bin = directory / ".bin"
        self.work = directory / "work"
        self.work.mkdir()
        if (ROOT / "models").is_dir():
            shutil.copytree(ROOT / "models", self.work / "models")
        self.bin.mkdir()
        for name, arguments in (("gradcli", "-m gradcli "), ("python", "")):
            shim = self.bin / name
            shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments}"$@"\n', encoding="utf-8")
            shim.chmod(0o755)

    def environment(self) -> dict[str, str]:
        """A terminal of 80 columns without colour or GPU, in which nothing of the user's own matters."""
        left_out = ("FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "PYTHONWARNINGS", *THREADS)
        kept = {name: value for name, value in os.environ.items() if name not in left_out}
        return kept | {
            "PATH": f"{self.bin}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "PYTHONPATH": str(ROOT),
            "PYTHONUTF8": "1",
            "COLUMNS": "80",
            "NO_COLOR": "1",
            "TERM": "dumb",
            "CUDA_VISIBLE_DEVICES": "",
        }

    def write(self, block: Block) -> None:
        """Write the text of a `file=` block."""
        assert block.file is not None
        target = self.work / block.file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(block.body, encoding="utf-8")

    def run(self, command: str) -> tuple[str, int]:
        """What the command prints, on both outputs, and its exit code."""
        ran = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=self.work,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=120,
            check=False,
        )
        return ran.stdout, ran.returncode

    def run_doctest(self, block: Block, page: str, names: dict[str, object]) -> str:
        """The report of the examples that fail, empty if none does; `names` carries over to the next block."""
        test = doctest.DocTestParser().get_doctest(block.body, names, page, page, block.line)
        report: list[str] = []
        before = Path.cwd()
        os.chdir(self.work)
        try:
            runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
            runner.run(test, out=report.append, clear_globs=False)
        finally:
            os.chdir(before)
        names.update(test.globs)
        return "".join(report)


def differences(path: Path, directory: Path) -> list[str]:
    """What the page at `path` shows otherwise than it is, one text for each command; blocks run in `directory`."""
    scratch = Scratch(directory)
    found: list[str] = []
    names: dict[str, object] = {}
    for block in blocks(path.read_text(encoding="utf-8")):
        if block.file:
            scratch.write(block)
        elif block.kind == "console":
            for command in commands(block):
                if not can_run(command):
                    continue
                actual, code = scratch.run(command.text)
                refused = "error" in command.expected or "failed" in command.expected
                if not matches(command.expected, actual) or "Traceback" in actual or (code and not refused):
                    texts = (
                        f"{path.name}:{command.line}",
                        command.shown,
                        "--- shown",
                        command.expected,
                        "--- printed",
                        actual,
                    )
                    found.append("\n".join(texts))
        elif block.kind == "pycon":
            report = scratch.run_doctest(block, path.name, names)
            if report:
                found.append(f"{path.name}:{block.line}\n{report}")
    return found


def updated(path: Path, directory: Path) -> str:
    """The page with every session as it really runs; outputs that match already (`…`) are left as they are."""
    scratch = Scratch(directory)
    page = path.read_text(encoding="utf-8")
    pieces: list[str] = []
    at = 0
    for block in blocks(page):
        if block.file:
            scratch.write(block)
        if block.kind != "console":
            continue
        lines: list[str] = []
        for command in commands(block):
            actual = scratch.run(command.text)[0] if can_run(command) else command.expected
            output = command.expected if matches(command.expected, actual) else _trimmed(actual)
            lines += [command.shown, *([output] if output else [])]
        pieces += [page[at : block.start], "\n".join(lines) + "\n"]
        at = block.start + len(block.body)
    return "".join([*pieces, page[at:]])


def _trimmed(output: str) -> str:
    return "\n".join(line.rstrip() for line in output.strip("\n").splitlines())


def main(arguments: list[str]) -> int:
    """Check the pages named (default: all), or with `--update` write them again. 1 if any differs."""
    update = "--update" in arguments
    named = [Path(argument).resolve() for argument in arguments if argument != "--update"]
    status = 0
    for path in named or pages():
        with tempfile.TemporaryDirectory() as directory:
            if update:
                text = updated(path, Path(directory))
                if text != path.read_text(encoding="utf-8"):
                    path.write_text(text, encoding="utf-8")
                    print(f"wrote {path.relative_to(ROOT)}")
            else:
                found = differences(path, Path(directory))
                print("\n\n".join(found), end="\n" if found else "")
                status |= bool(found)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
