"""The sessions that README.md, CONTRIBUTING.md and docs/ show are run, and must print what is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import make_docs
from tools.transcripts import Block, blocks, commands, differences, matches, pages


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_what_a_page_shows_is_what_happens(page: Path, tmp_path: Path) -> None:
    found = differences(page, tmp_path)
    assert not found, "\n\n" + "\n\n".join(found) + "\n\nIf the new output is right: make docs"


def test_generated_pages_are_what_the_code_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert make_docs.main(["--check"]) == 0, capsys.readouterr().err


def test_readme_has_sessions() -> None:
    readme = next(page for page in pages() if page.name == "README.md").read_text(encoding="utf-8")
    assert len([block for block in blocks(readme) if block.kind == "console"]) >= 5
    assert any(block.kind == "pycon" for block in blocks(readme))


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a\nb", "a\nb\n", True),
        ("a  \nb", "a\nb   \n", True),
        ("a\nb", "a\nc\n", False),
        ("a", "a\nb\n", False),
        ("a\n…\nz", "a\nb\nc\nz\n", True),
        ("a\n…\nz", "a\nz\n", True),
        ("a\n…", "b\n", False),
        ("…\nb\n…\nb", "b\na\nb\nb\nb\n", True),
        ("…\nb\n…\nc", "b\na\nb\n", False),
        ("…", "", True),
        (" m.net · net f · numpy, 1 thread", " m.net · net f · numpy, 8 threads\n", True),
        (" m.net · net f · numpy, 1 thread", " m.net · net g · numpy, 1 thread\n", False),
        ("  x   [[1.49  2]\n       [0.5   1]]", "  x   [[1.4900001  2]\n       [0.5        1]]\n", True),
        ("  x   [1.49]", "  x   [1.48]\n", False),
        ("1 of 6 elements", "2 of 6 elements\n", False),
        ("%1 : f64[3] = tanh(%0)", "%2 : f64[3] = tanh(%0)\n", False),
        ("f32[2, 3]", "f32[2, 4]\n", False),
        ("1e-05", "1.00000001e-05\n", True),
        ("a …", "a b\n", False),
        ("", "", True),
        ("", "a\n", False),
    ],
)
def test_matching(shown: str, printed: str, same: bool) -> None:
    assert matches(shown, printed) is same


def test_a_session_is_split_at_its_prompts() -> None:
    text = "$ cat > a <<'E'\n> one\n> E\n$ cat a\none\n> not a command\n"
    first, second = commands(Block("console", None, text, 0, 10))
    assert (first.text, first.expected, first.line) == ("cat > a <<'E'\none\nE", "", 10)
    assert (second.text, second.expected, second.line) == ("cat a", "one\n> not a command", 13)


def test_a_session_starts_with_a_prompt() -> None:
    with pytest.raises(ValueError, match="line 7"):
        commands(Block("console", None, "hello\n", 0, 7))
