"""The page of combinations says that every pair was tried and holds, which `test_every_pair` shows of each operator."""

from __future__ import annotations

from itertools import product

from gradcli.ir.primitive import Primitive
from tests.ad import walking
from tests.interp import spelling
from tools import make_combinations
from tools.make_combinations import Walked


def test_the_page_says_what_the_walks_find() -> None:
    """Without walking a second time: what `test_every_pair` holds of one operator is written for all of them."""
    graphs = [held(prim) for prim in sorted(walking.transformed(), key=lambda prim: prim.name)]
    pairs = dict.fromkeys(product(spelling.FORMS, spelling.FORMS), "")
    language = [Walked(doc.name, {} if doc.name in spelling.LEFT_OUT else pairs, spelling.LEFT_OUT.get(doc.name, ""))
                for doc in spelling.operators()]  # fmt: skip
    written = make_combinations.PAGE.read_text(encoding="utf-8")
    assert make_combinations.page(language, graphs, walking.NAMES) == written, "run `make docs`"


def held(prim: Primitive) -> Walked:
    zeros = {each.name for each in walking.TRANSFORMATIONS if each.differentiates} if prim.flat else ()
    return Walked(prim.name, dict.fromkeys(walking.pairs(prim), ""), walking.why_not(prim), zeros)


def test_what_is_wrong_is_counted_apart() -> None:
    walks = [Walked("good", {("a", "b"): "", ("b", "a"): ""}, ""),
             Walked("bad", {("a", "b"): "no", ("b", "a"): ""}, ""),
             Walked("none", {}, "made of nothing")]  # fmt: skip
    text = make_combinations.page(walks, walks, ["a", "b"])
    assert "| `a` | 0 | 1 of 2 |" in text
    assert "| `bad` | wrong | wrong |" in text
    assert "| `none` | made of nothing | made of nothing |" in text
