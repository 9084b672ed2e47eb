"""Every syntax code is shown by its own example, and mended by its repair."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import gradcli.syntax
from gradcli.syntax.codes import CODES, Entry
from gradcli.syntax.diagnostics import ModelError, Source
from gradcli.syntax.parse import parse

ROOM = Path(gradcli.syntax.__file__).parent


@pytest.mark.parametrize("entry", CODES.values(), ids=CODES)
def test_the_broken_text_has_exactly_this_error(entry: Entry) -> None:
    with pytest.raises(ModelError) as caught:
        parse(Source("model.net", entry.broken))
    assert {each.code for each in caught.value.diagnostics} == {entry.code}


@pytest.mark.parametrize("entry", CODES.values(), ids=CODES)
def test_the_repaired_text_is_read(entry: Entry) -> None:
    assert parse(Source("model.net", entry.repaired)).items


def test_every_code_that_is_raised_has_an_entry() -> None:
    raised = {
        code
        for path in ROOM.glob("*.py")
        if path.name != "codes.py"
        for code in re.findall(r'"((?:SYN|EDN)\d+)"', path.read_text())
    }
    assert raised == set(CODES)
