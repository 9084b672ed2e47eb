"""The tables belong to the grammar, and the walk over them accepts what Lark itself accepts."""

from __future__ import annotations

import subprocess
import sys
from hashlib import sha256

import pytest

from gradcli.syntax import _tables
from gradcli.syntax.build import Builder
from gradcli.syntax.tables import Tables, build, read_grammar, stamp, tables


@pytest.fixture(scope="module")
def fresh() -> Tables:
    return build(read_grammar())


def test_the_stored_tables_are_fresh(fresh: Tables) -> None:
    grammar = read_grammar()
    assert sha256(grammar.encode()).hexdigest() == _tables.SHA256, "run tools/make_tables.py"
    assert stamp(grammar) == _tables.STAMP
    assert fresh == tables()


def test_another_grammar_is_another_stamp() -> None:
    assert stamp(read_grammar()) != stamp(read_grammar() + " ")


def test_tables_of_another_grammar_are_made_anew(fresh: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_tables, "STAMP", stamp("another grammar"))
    monkeypatch.setattr(_tables, "RULES", ())
    assert tables.__wrapped__() == fresh


def test_every_method_of_the_grammar_exists(fresh: Tables) -> None:
    assert [method for _, _, method, _ in fresh.rules if method and not hasattr(Builder, method)] == []


def test_rules_that_compete_are_refused() -> None:
    with pytest.raises(ValueError, match="ambiguous"):
        build("module: a a -> same\na: -> x\n | a A -> y\nexpression: A\nA: /a/\n")


def test_parsing_imports_neither_lark_nor_numpy() -> None:
    code = (
        "import sys; from gradcli.syntax.parse import parse; from gradcli.syntax.diagnostics import Source\n"
        "parse(Source('a', 'net f(x) = x')); print(sorted({'lark', 'numpy', 'rich', 'hashlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
