"""docs/derivative-conventions.md says what is: its column `here` in every mode, those of JAX and PyTorch as stored.

The numbers of the others lie in conventions.json beside this file; tools/reference/conventions.py makes them.
"""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_allclose

import gradcli
from tests.conftest import ROOT
from tests.ops.modes import hold
from tools.transcripts import blocks

PAGE = (ROOT / "docs" / "derivative-conventions.md").read_text(encoding="utf-8")
STORED = {
    (row["expression"], row["at"]): row
    for row in json.loads((Path(__file__).parent / "conventions.json").read_text(encoding="utf-8"))
}
ITEMS = "".join(block.body for block in blocks(PAGE) if block.file == "overwritten.net")
ROW = re.compile(r"^\| `[^`]*` \| `[^`]*` \|.*\|$", re.MULTILINE)
NUMBER = re.compile(r"-?(?:\d+/\d+|[\d.]+(?:e-?\d+)?|inf)|nan")


class Row(NamedTuple):
    expression: str
    at: str
    here: str
    jax: str
    torch: str
    mindspore: str
    why: str


ROWS = [Row(*(cell.strip(" `") for cell in line[1:-1].split("|"))) for line in ROW.findall(PAGE)]
EACH = pytest.mark.parametrize("row", [pytest.param(row, id=f"{row.expression} at {row.at}") for row in ROWS])


def numbers(cell: str) -> list[float]:
    """`1/2` and `[0, inf]` as numbers."""
    rest = NUMBER.sub("", cell)
    assert re.fullmatch(r"|\[[, ]*\]", rest), f"neither a number nor a list of them: {cell}"
    return [float(Fraction(text)) if "/" in text else float(text) for text in NUMBER.findall(cell)]


def point(at: str) -> dict[str, Any]:
    """`x = [3, inf], y = 0` as arrays."""
    inputs = eval(f"dict({at})", {"dict": dict, "inf": np.inf})
    return {name: np.asarray(number, "f8") for name, number in inputs.items()}


@EACH
def test_what_the_page_says_of_this_program(row: Row) -> None:
    arrays = point(row.at)
    if row.here == "error":
        signature = ", ".join(f"{name}: f64[{', '.join(map(str, a.shape))}]" for name, a in arrays.items())
        with pytest.raises(gradcli.ModelError):
            gradcli.compile(f"net f({signature}) = {row.expression}").grad(**arrays)
        return
    here, _, pushed = row.here.partition(", forward ")
    large = any((abs(array[np.isfinite(array)]) > 1e30).any() for array in arrays.values())
    hold(row.expression, slope=numbers(here), pushed=numbers(pushed) if pushed else None, items=ITEMS,
         dtypes=["f64"] if large else ["f64", "f32"], **arrays)  # fmt: skip


@EACH
@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_what_the_page_says_of_others(framework: str, row: Row) -> None:
    cell, stored = getattr(row, framework), STORED[row.expression, row.at][framework]
    if "error" in (cell, stored):
        assert cell == stored
    else:
        assert_allclose(numbers(cell), stored, rtol=1e-12)


@EACH
def test_cells_are_numbers_or_say_that_nothing_is_known(row: Row) -> None:
    if row.mindspore != "—":
        assert len(numbers(row.mindspore)) == sum(array.size for array in point(row.at).values())


def test_every_point_that_is_stored_is_on_the_page_once() -> None:
    assert sorted((row.expression, row.at) for row in ROWS) == sorted(STORED)
