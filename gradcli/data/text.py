"""CSV: rows of numbers, with an optional first line of column names.

The separator is what the first line has: a semicolon, else a tab, else a comma, else spaces. Empty lines and lines that
begin with `#` are skipped. A file of one column is an `[n]` array, any other an `[n, m]` array, also for one row.
Columns of a file with names are read by name, `t.csv:price`, as `[n]` arrays. `true` and `false` alone make a bool
array.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from math import inf, isinf

from gradcli.data.files import DataFile, listing, printable
from gradcli.data.numbers import Numbers
from gradcli.data.stored import Stored, missing
from gradcli.record import record
from gradcli.syntax.diagnostics import ModelError, nearest

MISSING = ("null", "none", "na", "n/a", "nil", "missing", "?")
FLOAT_MARKS = frozenset(".eEnNiI")
BOOLS = {"true": 1, "false": 0}


def decode(file: DataFile) -> str:
    """The text of a file; raises DAT030 where it is not UTF-8, or holds a NUL."""
    content = file.read()
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise file.fail("DAT030", "{} is UTF-16 text, not UTF-8", help="save it as UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        raise file.fail("DAT030", f"{{}}:{line}: byte 0x{content[problem.start]:02x} is not UTF-8 text") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise file.fail("DAT030", f"{{}}:{line}: a NUL character: this is not a text file")
    return text


def open_csv(file: DataFile, key: str | None = None) -> Stored:
    """The whole table, or the column named `key`; raises DAT004, DAT006, DAT030 to DAT032, DAT034."""
    table = _table(file)
    if key is None:
        rows, numbers, dtype = _numbers(table, file, None)
        width = len(table.first)
        return numbers.stored(file, None, (rows,) if width == 1 else (rows, width), dtype)
    if key not in table.names:
        raise missing(key, file, _columns(table.names), nearest(key, table.names))
    rows, numbers, dtype = _numbers(table, file, table.names.index(key))
    return numbers.stored(file, key, (rows,), dtype)


def open_columns(file: DataFile) -> dict[str, Stored]:
    """Every named column as an `[n]` array; raises DAT007 where the file has no line of names."""
    names = _table(file).names
    if not names:
        raise file.fail(
            "DAT007",
            "{} has no line of column names, so its numbers have no name",
            help="write the names in its first line: `x,y`",
        )
    return {name: open_csv(file, name) for name in names}


def _columns(names: list[str]) -> str:
    return f"its columns are {listing(names)}" if names else "it has no line of column names"


@record
class _Table:
    """Lines with their numbers, not yet split; `names` is empty where the first line already holds numbers."""

    lines: list[tuple[int, str]]
    separator: str | None  # None: any run of spaces
    names: list[str]
    first: list[str]

    def cells(self, line: str) -> list[str]:
        if '"' in line:
            return next(csv.reader([line], delimiter=self.separator or " ", skipinitialspace=True, strict=True))
        return line.split(self.separator)


def _table(file: DataFile) -> _Table:
    lines = [
        (number, line)
        for number, line in enumerate(decode(file).replace("\r\n", "\n").replace("\r", "\n").split("\n"), start=1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not lines:
        raise file.fail("DAT004", "{} holds no numbers")
    separator = next((mark for mark in ";\t," if mark in lines[0][1]), None)
    first = _cells(_Table(lines, separator, [], []), file, *lines[0])
    if any(_number(cell) is not None for cell in first):
        return _Table(lines, separator, [], first)
    names = [cell.strip() for cell in first]
    for place, name in enumerate(names, start=1):
        if len(lines) == 1 or not _is_name(name):
            raise _not_a_number(file, lines[0][0], place, first[place - 1])
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise file.fail("DAT008", f"{{}} has two columns named `{printable(twice)}`")
    return _Table(lines[1:], separator, names, first)


def _numbers(table: _Table, file: DataFile, column: int | None) -> tuple[int, Numbers, str | None]:
    """How many rows, their numbers, and `bool` where all of them are true or false."""
    numbers, width, bools = Numbers.empty(), len(table.first), 0
    for line, cells in _rows(table, file):
        if len(cells) != width:
            had = "names" if table.names else "numbers"
            raise file.fail("DAT032", f"{{}}:{line}: this row has {len(cells)} numbers, the first line {width} {had}")
        if column is not None:
            cells = [cells[column]]
        row, whole, truths = _row(cells, file, line, (column or 0) + 1)
        numbers.extend(row, whole=whole)
        bools += truths
    if not bools:
        return len(table.lines), numbers, None
    if bools < len(numbers.floats):
        raise file.fail("DAT031", "{} mixes numbers with true and false")
    return len(table.lines), numbers, "bool"


def _rows(table: _Table, file: DataFile) -> Iterator[tuple[int, list[str]]]:
    for line, text in table.lines:
        yield line, _cells(table, file, line, text)


def _cells(table: _Table, file: DataFile, line: int, text: str) -> list[str]:
    try:
        return table.cells(text)
    except csv.Error:
        raise file.fail("DAT031", f"{{}}:{line}: a quote is not closed") from None


def _is_name(text: str) -> bool:
    """A column's name: what begins like a number, or says that one is missing, was meant as a number."""
    return bool(text) and text[0] not in "0123456789+-." and text.lower() not in MISSING


def _row(cells: list[str], file: DataFile, line: int, column: int) -> tuple[list[int] | list[float], bool, int]:
    """The numbers of a row, whether they are whole, and how many are true or false."""
    try:
        if all(FLOAT_MARKS.isdisjoint(cell) for cell in cells) and not any("_" in cell for cell in cells):
            row = list(map(int, cells))
            if abs(max(row, key=abs)) < 1 << 1023:
                return row, True, 0
        floats = list(map(float, cells))
        if not (inf in floats or -inf in floats or any("_" in cell for cell in cells)):
            return floats, False, 0
    except ValueError:
        pass
    values: list[float] = []
    for place, cell in enumerate(cells, start=column):
        value = _number(cell)
        if value is None:
            raise _not_a_number(file, line, place, cell)
        if isinf(value) and "inf" not in cell.lower():
            raise file.fail(
                "DAT034", f"{{}}:{line}: the number {printable(cell.strip())[:40]} in column {place} is beyond f64"
            )
        values.append(value)
    return values, False, sum(cell.strip().lower() in BOOLS for cell in cells)


def _number(cell: str) -> float | None:
    """What a cell says, 1 and 0 for true and false, or None: Python's `1_000` is not a number here."""
    text = cell.strip().lower()
    if text in BOOLS:
        return float(BOOLS[text])
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def _not_a_number(file: DataFile, line: int, column: int, cell: str) -> ModelError:
    text, help = cell.strip(), None
    if not text:
        return file.fail(
            "DAT031", f"{{}}:{line}: column {column} is empty", help="write `nan` where a number is missing"
        )
    if text.replace(",", "", 1).lstrip("+-").isdigit():
        help = f"write the decimal point: `{text.replace(',', '.')}`"
    return file.fail("DAT031", f"{{}}:{line}: `{printable(text)[:40]}` in column {column} is not a number", help=help)
