"""What a broken text gets: one message for each mistake, at the right column, and never anything but a ModelError."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradcli.syntax.codes import CODES
from gradcli.syntax.diagnostics import Diagnostic, ModelError, Source
from gradcli.syntax.parse import parse, parse_expression
from tests.syntax.test_parse import GUIDE


def errors(text: str) -> list[Diagnostic]:
    with pytest.raises(ModelError) as caught:
        parse(Source("model.net", text))
    assert caught.value.exit_code == 2
    return list(caught.value.diagnostics)


def places(text: str) -> list[tuple[str, int, int]]:
    return [(each.code, each.span.line, each.span.column) for each in errors(text) if each.span]


def in_net(*lines: str) -> str:
    """A net with these statements, from line 2, column 3."""
    return "net f(x) {\n" + "".join(f"  {line}\n" for line in lines) + "  return x\n}\n"


# The text, where the message points (line, column, the characters under the caret), code, message, help.
SLIPS: list[tuple[str, int, int, str, str, str, str | None]] = [
    (in_net("y = g(x", "z = 1"), 2, 8, "(", "SYN002", "`(` is never closed", "close it with `)`"),
    (in_net("y = g([x"), 2, 9, "[", "SYN002", "`[` is never closed", "close it with `])`"),
    ("net f(x) {\n  return x\n", 1, 10, "{", "SYN002", "`{` is never closed", "close it with `}`"),
    (in_net("y = x)"), 2, 8, ")", "SYN003", "`)` closes nothing", "remove it, or open a `(` before it"),
    (in_net("y = (x]"), 2, 9, "]", "SYN003", "`(` is closed by `]`", "write `)`"),
    ("net f(x) = x\n}\n", 2, 1, "}", "SYN003", "`}` closes nothing", "remove it, or open a `{` before it"),
    (
        "net f(x)\n  return x\n}\n",
        1,
        9,
        "",
        "SYN004",
        "the `{` of this net is missing",
        "write `{` at the end of this line",
    ),
    (
        "net f(x)\n{\n  return x\n}\n",
        1,
        9,
        "",
        "SYN004",
        "`{` stands on the line of its header",
        "move it to the end of this line",
    ),
    (in_net("y ="), 2, 6, "", "SYN005", "a value is missing after `=`", None),
    (in_net("y = x + * 2"), 2, 11, "*", "SYN005", "a value is missing after `+`", None),
    (in_net("in = 3"), 2, 3, "in", "SYN006", "`in` is a reserved word", "choose another name"),
    (in_net("param = 3"), 2, 3, "param", "SYN006", "`param` is a reserved word", "choose another name"),
    ("net f(for) = 1\n", 1, 7, "for", "SYN006", "`for` is a reserved word", "choose another name"),
    ("net f(x) {\n  return\n}\n", 2, 3, "return", "SYN007", "`return` needs a value", "write `return x`"),
    (
        "net f(x) {\n  y = x\n}\n",
        1,
        5,
        "f",
        "SYN007",
        "net `f` returns nothing",
        "let the last statement be `return …`",
    ),
    (in_net("y = 2."), 2, 7, "2.", "SYN008", "a number does not end with a dot", "write `2.0`"),
    (in_net("y = x * .5"), 2, 11, ".5", "SYN008", "a number does not start with a dot", "write `0.5`"),
    (in_net("y = 2x"), 2, 7, "2x", "SYN008", "a name does not start with a digit", "for a product write `2 * x`"),
    (
        in_net("y = h.0.w"),
        2,
        8,
        ".0",
        "SYN008",
        "a member of an array of layers is taken with an index",
        "write `[0]`, as in `h[0].w`",
    ),
    (in_net("y = 007"), 2, 7, "007", "SYN008", "a whole number does not start with 0", "write `7`"),
    (in_net("y = 1e999"), 2, 7, "1e999", "SYN009", "this number is too large for f64", "write `inf` for infinity"),
    (in_net("y = x^2"), 2, 8, "^", "SYN010", "a power is written `**`", "write `**`"),
    (in_net("y = x // 2"), 2, 9, "//", "SYN010", "there is no operator `//`", "write `floor(a / b)`"),
    (in_net("x *= 2"), 2, 5, "*=", "SYN010", "there is no operator `*=`", "write `x = x * …`"),
    (in_net("y = f'(x)"), 2, 8, "'", "SYN010", "a derivative is not written `'`", "write `grad(f)(x)`"),
    (in_net("y = 0 < x <= a + 1"), 2, 13, "<=", "SYN011", "comparisons do not chain", "write `0 < x and x <= a + 1`"),
    (in_net("y == 3"), 2, 5, "==", "SYN012", "`==` compares; to bind a name write one `=`", "write `=`"),
    (in_net("y = = 3"), 2, 7, "=", "SYN012", "there is one `=` too many", "write `==` to compare, `=` to bind"),
    (
        in_net("let y = 3"),
        2,
        3,
        "let",
        "SYN013",
        "`let` is not a word of this language",
        "a name is bound by `name = …`",
    ),
    (
        "def f(x):\n  return x\n",
        1,
        1,
        "def",
        "SYN013",
        "`def` is not a word of this language",
        "a net is defined by `net f(x) { … }`",
    ),
    (
        in_net("y = lambda a: a"),
        2,
        7,
        "lambda",
        "SYN013",
        "`lambda` is not a word of this language",
        "a small net is defined by `net f(x) = …`",
    ),
    (in_net('y = g("abc)'), 2, 9, '"', "SYN014", "this text does not end on its line", 'close it with `"`'),
    (in_net('y = "a\\qb"'), 2, 9, "\\q", "SYN015", "there is no escape `\\q`", "write `\\\\` for a backslash"),
    (in_net("y = x − 1"), 2, 9, "−", "SYN016", "`−` (MINUS SIGN) is not an operator here", "write `-`"),
    (in_net("y = 2 × x"), 2, 9, "×", "SYN016", "`×` (MULTIPLICATION SIGN) is not an operator here", "write `*`"),
    (in_net("y = “a b”"), 2, 7, "“a b”", "SYN016", "text stands in plain double quotes, not in “", 'write `"a b"`'),
    (in_net("y = x²"), 2, 8, "²", "SYN016", "a power is written `**`", "write `x**2`"),
    (
        in_net("y\u00a0= x"),
        2,
        4,
        "\u00a0",
        "SYN016",
        "an unusual blank (NO-BREAK SPACE)",
        "write a plain space, or nothing",
    ),
    ("net f(x) = x\0\n", 1, 13, "\0", "SYN017", "a NUL byte: this is no text file", None),
    (
        "x = 3\n",
        1,
        1,
        "x",
        "SYN018",
        "`x` is bound outside of any net",
        "write `const x = …`, or put it into a net or a case",
    ),
    (in_net("const c = 3"), 2, 3, "const", "SYN018", "`const` stands at the top of a file", "write `c = …`"),
    (
        "net f(x) {\n  return x\n  y = 1\n}\n",
        2,
        3,
        "return x",
        "SYN019",
        "`return` is the last statement of a net",
        "remove what follows it",
    ),
    (in_net("y = f(a=1, a=2)"), 2, 14, "a=2", "SYN020", "`a` is given twice", "remove one of them"),
    (in_net("x += 1"), 2, 5, "+=", "SYN021", "`+=` adds to a part of an array", "write `x = x + …`, or `x[…] += …`"),
    (in_net("g(x)"), 2, 4, "(", "SYN021", "a value alone does nothing", "write `y = g(…)` or `return g(…)`"),
    (in_net("g(x) = 3"), 2, 4, "(", "SYN021", "a call cannot be bound", "to define a net, write `net g(…) = …`"),
    (
        "const a = 1 const b = 2\n",
        1,
        13,
        "const",
        "SYN023",
        "the statement should end before `const`",
        "start a new line, or separate with `;`",
    ),
    (in_net("param w = zeros()"), 2, 11, "=", "SYN025", "a param needs a type", "write `param w: f32[…] = …`"),
    (in_net("y x"), 2, 5, "x", "SYN026", "`=` is missing after `y`", "write `=` here"),
    (in_net("y = g(x z)"), 2, 11, "z", "SYN026", "`,` or `)` is missing before `z`", "write `,` between members"),
    (in_net("y = a if b"), 2, 13, "", "SYN027", "`if` without `else`", "write `a if condition else b`"),
    (
        in_net("for i in range(4) {", "}"),
        2,
        21,
        "{",
        "SYN001",
        "a loop runs over a range",
        "write `for i in 0..4 { … }`, which ends at 3",
    ),
    (
        "net f(x) = x\n  + 1\n",
        2,
        3,
        "+",
        "SYN001",
        "a line does not start with `+`",
        "a value goes on in the next line only inside ( ) or [ ]",
    ),
    ("inptu x: f32\n", 1, 1, "inptu", "SYN001", "`inptu` starts no item", "did you mean `input`?"),
    (
        "import numpy as np\n",
        1,
        8,
        "numpy",
        "SYN001",
        "an import names a file and what it is called here",
        'write `import "layers.net" as layers`',
    ),
]


@pytest.mark.parametrize(
    ("text", "line", "column", "caret", "code", "message", "help"), SLIPS, ids=[s[0][:40] for s in SLIPS]
)
def test_a_slip_gets_one_message(
    text: str, line: int, column: int, caret: str, code: str, message: str, help: str | None
) -> None:
    (only,) = errors(text)
    assert only.span is not None
    assert (only.span.line, only.span.column, only.span.text) == (line, column, caret)
    assert (only.code, only.message, only.help) == (code, message, help)


def test_an_unclosed_bracket_names_the_word_that_shows_it() -> None:
    (only,) = errors("net f(x) {\n  y = (x\n  return y\n}\n")
    assert [(other.span.place, other.text) for other in only.others] == [
        ("model.net:3:3", "`)` is missing before this")
    ]


def test_a_forgotten_brace_is_seen_at_the_next_item() -> None:
    assert places('net f(x) {\n  return x\n\ncase "a" {\n  expect 1\n}\n') == [("SYN002", 1, 10)]
    assert places("net f(x) {\n  return x\n\nnet g(x) {\n  return x\n}\n") == [("SYN002", 1, 10)]


def test_independent_errors_come_together_in_the_order_of_the_text() -> None:
    text = "net f(x) {\n  y = = 1\n  z = x^2\n  w = g(x\n  return y\n}\nnet g(x {\n  a b\n  return a\n}\nconst c 3\n"
    assert places(text) == [
        ("SYN012", 2, 7),
        ("SYN010", 3, 8),
        ("SYN002", 4, 8),
        ("SYN002", 7, 6),
        ("SYN026", 8, 5),
        ("SYN026", 11, 9),
    ]


def test_the_block_under_a_broken_header_is_still_read() -> None:
    assert places("function f(x) {\n  y = = 1\n  return y\n}\n") == [("SYN013", 1, 1), ("SYN012", 2, 7)]
    assert places("case oops {\n  expect a = b\n}\n") == [("SYN001", 1, 6), ("SYN012", 2, 12)]


def test_a_block_as_in_python_costs_one_message() -> None:
    assert places("net f(x):\n  y = x\n  return y\n\nnet g(x) = x\n") == [("SYN004", 1, 9)]


def test_brackets_that_cross_cost_one_message() -> None:
    (only,) = errors("net f(x) = sum(x[0)]\n")
    assert (only.code, only.message, only.help) == ("SYN003", "`[` is closed by `)`", "write `])`")
    assert [other.text for other in only.others] == ["opened here"]


def test_a_brace_among_other_brackets_costs_one_message() -> None:
    assert places("net f(x) = where(x > 0, x}, exp(x))\n") == [("SYN003", 1, 26)]
    assert places(in_net("y = g(x, [1}, 2])")) == [("SYN003", 2, 14)]
    assert places("net f(x) { return g(x }\n") == [("SYN002", 1, 20)]


def test_a_text_without_end_does_not_take_the_bracket_that_opens_a_block() -> None:
    assert places('net f("x) {\n  y = 1\n  return y\n}\n') == [("SYN014", 1, 7)]
    assert places('"net f(x) {\n  y = 1\n  return y\n}\n') == [("SYN014", 1, 1)]
    assert places('case "squares {\n  expect 1\n}\n') == [("SYN014", 1, 6)]


def test_at_most_twenty_are_reported() -> None:
    assert len(errors(in_net(*["y = = 1"] * 50))) == 20
    assert len(errors(in_net(*["y = x^2"] * 50))) == 20
    assert len(errors(in_net(*["y = (x"] * 50))) == 20


@pytest.mark.parametrize("digits", [20, 400, 5000, 100_000])
def test_a_whole_number_of_many_digits(digits: int) -> None:
    (only,) = errors(in_net("y = " + "9" * digits))
    assert only.code == "SYN009"
    assert "does not fit into i64" in only.message
    assert len(only.message) < 100


def test_the_largest_whole_number() -> None:
    assert parse(Source("a.net", in_net("y = 9223372036854775807")))
    assert places(in_net("y = 9223372036854775808")) == [("SYN009", 2, 7)]


@pytest.mark.parametrize("text", ["", "   ", "x +", "x = 3", "x; y", "net f(x) = x", ")", "1 < 2 < 3", "(", "x\0"])
def test_an_expression_that_is_none(text: str) -> None:
    with pytest.raises(ModelError) as caught:
        parse_expression(Source("<expression>", text))
    assert all(each.code in CODES for each in caught.value.diagnostics)


@pytest.mark.parametrize(
    "text", ["(" * 10_000, "[" * 5000 + ")" * 5000, "net f(x) {" * 10_000, "}" * 10_000, '"' * 9_999, "a\u00b2" * 9_999]
)
def test_hostile_texts_are_refused_at_once(text: str) -> None:
    assert 1 <= len(errors(text)) <= 20


def refused(reader: Callable[[Source], object], text: str) -> tuple[Diagnostic, ...]:
    """The errors of `text`; anything but a ModelError fails the test."""
    try:
        reader(Source("fuzz.net", text))
    except ModelError as error:
        return error.diagnostics
    return ()


def read(text: str) -> None:
    """Reads `text`; what it is refused for is well formed."""
    for reader in (parse, parse_expression):
        found = refused(reader, text)
        assert len(found) <= 20
        starts = []
        for each in found:
            assert each.code in CODES
            assert each.span is not None
            assert 0 <= each.span.start <= each.span.end <= len(text)
            starts.append(each.span.start)
        assert starts == sorted(starts)


SNIPPETS = [
    *"(){}[]=:;,.\n#\"'^+-*/<>@",
    "net ",
    "return",
    "for ",
    "case ",
    "..",
    "->",
    "~=",
    "if ",
    " else ",
    "é",
    "²",
    "−",
    "\0",
    "1.",
    "2x",
    " ",
]


@pytest.mark.parametrize("seed", range(20))
def test_mutations_of_a_model_only_ever_give_a_model_error(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(25):
        text = GUIDE
        for _ in range(chance.randint(1, 4)):
            start = chance.randrange(len(text) + 1)
            end = min(len(text), start + chance.choice((0, 0, 1, 1, 3, 30)))
            text = text[:start] + chance.choice([*SNIPPETS, ""]) + text[end:]
        read(text)


@pytest.mark.parametrize("seed", range(5))
def test_mutated_bytes_only_ever_give_a_model_error(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(25):
        data = bytearray(GUIDE.encode())
        for _ in range(chance.randint(1, 8)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        read(data.decode("utf-8", "replace"))


@settings(max_examples=200)
@given(
    st.lists(
        st.sampled_from([*SNIPPETS, "x", "f", "3", "param ", "layer ", "expect ", "input ", "true", "None"]),
        max_size=25,
    )
)
def test_any_sequence_of_tokens(parts: list[str]) -> None:
    read("".join(parts))


@given(st.text(max_size=60))
def test_any_text(text: str) -> None:
    read(text)
