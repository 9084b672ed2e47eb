"""The page of combinations says what the walks find, which ran already where these tests run with the others."""

from __future__ import annotations

from tools import make_combinations


def test_the_page_is_what_the_walks_find() -> None:
    written = make_combinations.PAGE.read_text(encoding="utf-8")
    assert make_combinations.made() == written, "run `make docs`"


def test_what_is_wrong_is_counted_apart() -> None:
    walks = [make_combinations.Walked("good", {("a", "b"): "", ("b", "a"): ""}, ""),
             make_combinations.Walked("bad", {("a", "b"): "no", ("b", "a"): ""}, ""),
             make_combinations.Walked("none", {}, "made of nothing")]  # fmt: skip
    text = make_combinations.page(walks, walks, ["a", "b"])
    assert "| `a` | 0 | 1 of 2 |" in text
    assert "| `bad` | wrong | wrong |" in text
    assert "| `none` | made of nothing | made of nothing |" in text
