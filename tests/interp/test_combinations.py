"""Every operator of the language under every pair of transformations, as the language spells them."""

from __future__ import annotations

from itertools import product

import pytest

from tests.interp.spelling import FORMS, LEFT_OUT, operators, walked

NAMES = [doc.name for doc in operators() if doc.name not in LEFT_OUT]


@pytest.mark.parametrize("name", NAMES)
def test_every_pair(name: str) -> None:
    found = walked(name)
    assert not {form: text for form, text in found.items() if text}
    assert {f"{outer} of {inner} of f" for outer, inner in product(FORMS, FORMS)} <= set(found)


def test_what_is_left_out_is_there() -> None:
    assert set(LEFT_OUT) <= {doc.name for doc in operators()}
