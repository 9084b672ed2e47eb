"""Text as a terminal shows it: how wide a letter is, what stands for one that must not be sent, and colours."""

from __future__ import annotations

import os
from re import sub
from typing import Literal, TextIO
from unicodedata import category, east_asian_width

Choice = Literal["auto", "always", "never"]

TAB = 4
REPLACED = "�"
CUT = "…"
LONG_WORD = r"\S{201,}"
CODES = {"error": "1;31", "warning": "1;33", "note": "1;36", "help": "1;32", "rail": "1;34", "bold": "1", "dim": "2"}


def colored(choice: str, stream: TextIO) -> bool:
    """Whether to colour what goes to `stream`: as `--color` says, else NO_COLOR, FORCE_COLOR, and the terminal."""
    if choice != "auto":
        return choice == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return os.environ.get("TERM") != "dumb" and stream.isatty()


def paint(text: str, style: str, *, color: bool) -> str:
    """`text` in a style of this module, if `color`."""
    return f"\x1b[{CODES[style]}m{text}\x1b[0m" if color and text.strip() else text


def printable(text: str) -> str:
    """`text` without what would move the cursor, turn the writing direction, or fail to be encoded; tabs are blanks."""
    if text.isprintable():
        return text
    return "".join(letter if letter == "\n" else " " if letter == "\t" else shown(letter) for letter in text)


def whole_words(text: str) -> str:
    """`printable` text whose very long words, which only a mistake or malice makes, lack their middle."""
    return sub(LONG_WORD, lambda word: f"{word[0][:100]}{CUT}{word[0][-80:]}", printable(text))


def shown(letter: str) -> str:
    """What stands for one letter of a model on the screen."""
    code = ord(letter)
    if code < 32:
        return chr(0x2400 + code)
    if code == 127:
        return "␡"
    kind = category(letter)
    joiner = letter in "\u200c\u200d\ufe0f"  # inside words of some scripts, and inside emoji
    return REPLACED if kind in ("Cc", "Cs", "Zl", "Zp") or (kind == "Cf" and not joiner) else letter


def columns(text: str) -> int:
    """The columns that a text takes."""
    return len(text) if text.isascii() else sum(map(width, text))


def padded(text: str, size: int) -> str:
    """`text` with blanks behind it, `size` columns wide at least."""
    return text + " " * (size - columns(text))


def width(letter: str) -> int:
    """The columns that one letter takes: 0 for combining marks, 2 for wide letters."""
    if letter < "\x7f":
        return 1
    if category(letter) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if east_asian_width(letter) in "WF" else 1
