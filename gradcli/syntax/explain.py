"""Why a token cannot stand where it does: a message for each way in which people write a model wrongly.

Rules are tried in order; each is one habit or slip, and says how it is written right. The last one names what the
grammar would accept.
"""

from __future__ import annotations

from collections.abc import Callable

from gradcli.syntax.diagnostics import nearest
from gradcli.syntax.situation import Found, Situation

RESERVED = frozenset(
    (
        *("net", "case", "param", "layer", "for", "in", "while", "return", "if", "else", "and", "or", "not"),
        *("expect", "true", "false", "None", "inf", "nan"),
    )
)
SOFT = frozenset(("edition", "import", "as", "input", "const", "dim", "error", "within"))
STATEMENTS = frozenset(("param", "layer", "for", "return", "expect"))
BEGINNERS: dict[str, str] = {
    **dict.fromkeys(
        ("def", "fn", "func", "fun", "function", "class", "module", "model"), "a net is defined by `net f(x) { … }`"
    ),
    **dict.fromkeys(("let", "var", "val", "auto", "double", "float", "int", "set"), "a name is bound by `name = …`"),
    "lambda": "a small net is defined by `net f(x) = …`",
    "elif": "chain `a if c else b if d else e`",
    "assert": "a case checks with `expect …`",
    "test": 'tests stand in `case "title" { … }`',
    "from": 'another file is imported by `import "file.net" as name`',
    "use": 'another file is imported by `import "file.net" as name`',
    "do": "loops are written `for i in 0..4 { … }`",
}
KINDS = {
    "NAME": "a name",
    "INT": "a number",
    "FLOAT": "a number",
    "STRING": "a text in quotes",
    "SIGN": "an operator",
    "TIMES": "an operator",
    "COMPARE": "an operator",
    "_END": "the end of the line",
    "$END": "the end of the text",
}
STARTS_EXPRESSION = frozenset(
    ("NAME", "INT", "FLOAT", "STRING", "(", "[", "not", "true", "false", "None", "inf", "nan")
)
CLOSERS = {"(": ")", "[": "]"}


def explain(here: Situation) -> None:
    """Report the token that cannot stand."""
    found = next(found for rule in RULES if (found := rule(here)))
    token = found.at or here.token
    start, end = token.start, token.end
    if token.kind in ("_END", "$END") and not here.text(token).startswith(";"):
        start = end = here.tokens[here.position - 1].end if here.position else 0
    others = here.problems.label(*found.other) if found.other else ()
    here.problems.add(found.code, found.message, start, end, others=others, help=found.help)


def _foreign_word(here: Situation) -> Found | None:
    if here.text(here.token) == "is" and not here.begins:
        return Found("SYN013", "`is` is not a word of this language", "write `==`")
    for word in (here.before, here.token):
        text = here.text(word) if word.kind == "NAME" else ""
        follows = here.token if word is here.before else here.after
        if text in BEGINNERS and follows.kind in ("NAME", "STRING", "(") and (word is here.before or here.begins):
            return Found("SYN013", f"`{text}` is not a word of this language", BEGINNERS[text], at=word)
    return None


def _operator_first(here: Situation) -> Found | None:
    kind = here.token.kind
    follows = here.begins and here.position and here.tokens[here.position - 1].kind == "_END"
    if follows and kind in ("SIGN", "TIMES", "**", "COMPARE", "and", "or", "~=", "."):
        help = "a value goes on in the next line only inside ( ) or [ ]"
        return Found("SYN001", f"a line does not start with `{here.text(here.token)}`", help)
    return None


def _stray_brace(here: Situation) -> Found | None:
    if here.token.kind == "}" and here.level == "items" and here.begins:
        return Found("SYN003", "`}` closes nothing", "remove it, or open a `{` before it")
    return None


def _control(here: Situation) -> Found | None:
    """`if` and `while` as statements."""
    if here.level == "expression" or not here.begins:
        return None
    if here.token.kind == "if":
        return Found("SYN013", "there is no `if` statement", "choose a value: `x = a if condition else b`")
    if here.token.kind == "else":
        return Found("SYN013", "there is no `else` statement", "choose a value: `x = a if condition else b`")
    if here.token.kind == "while":
        return Found("SYN013", "a loop has a bound", "write `for i in 0..1000 while condition { … }`")
    return None


def _wrong_level(here: Situation) -> Found | None:
    """A statement among items, an item among statements."""
    kind, text = here.token.kind, here.text(here.token)
    if here.level == "items" and here.begins:
        if kind in STATEMENTS:
            where = "a case" if kind == "expect" else "a net"
            return Found("SYN018", f"`{text}` stands in {where}, not at the top of a file")
        if kind == "NAME" and here.after.kind in ("=", ":"):
            help = f"write `const {text} = …`, or put it into a net or a case"
            return Found("SYN018", f"`{text}` is bound outside of any net", help)
        if kind == "NAME" and (near := nearest(text, ("net", *SOFT - {"as", "within", "error"}, "case"))):
            return Found("SYN001", f"`{text}` starts no item", f"did you mean `{near}`?")
        if kind == "NAME":
            return Found(
                "SYN001", f"`{text}` starts no item", "a file has edition, import, dim, const, input, net and case"
            )
    if here.level == "statements":
        if kind == "case":
            return Found("SYN018", "a case stands at the top of a file", "close the block before it with `}`")
        word = here.before
        if word.kind in SOFT and word is here.first and kind in ("NAME", "STRING", "INT"):
            help = (
                f"write `{here.text(here.token)} = …`"
                if word.kind == "const" and kind == "NAME"
                else "move it out of the block"
            )
            return Found("SYN018", f"`{here.text(word)}` stands at the top of a file", help, at=word)
    return None


def _doubled_equals(here: Situation) -> Found | None:
    kind, text = here.token.kind, here.text(here.token)
    if kind == "=" and here.before.kind == "=":
        return Found("SYN012", "there is one `=` too many", "write `==` to compare, `=` to bind")
    if kind == "COMPARE" and text == "==" and "=" in here.expected and here.before.kind not in ("", *RESERVED):
        return Found("SYN012", "`==` compares; to bind a name write one `=`", "write `=`")
    if kind == "=" and ("COMPARE" in here.expected or here.first.kind == "expect"):
        if here.bracket() is None and here.first.kind != "expect" and "if" not in here.kinds:
            return Found("SYN012", "one statement binds once", "write two statements; to compare, write `==`")
        return Found("SYN012", "`=` binds; to compare write `==`", "write `==`, or `~=` for equal within a tolerance")
    if kind == "~=" and here.first.kind != "expect":
        return Found("SYN010", "`~=` stands in `expect` only", "write `abs(a - b) < tolerance`")
    return None


def _reserved_name(here: Situation) -> Found | None:
    help = "choose another name"
    kind, word = here.token.kind, here.before
    if word.kind in RESERVED - {"return"} and kind in ("=", "+=", ":", ",") and "NAME" in here.expected:
        return Found("SYN006", f"`{word.kind}` is a reserved word", help, at=word)
    if kind in RESERVED and here.begins and here.after.kind in ("=", ",", ":"):
        return Found("SYN006", f"`{kind}` is a reserved word", help)
    if kind in RESERVED and "NAME" in here.expected and not here.begins:
        if kind == "if" and here.before.kind == "=":
            return Found("SYN001", "the value comes before its condition", "write `a if condition else b`")
        if (
            kind in ("and", "or", "in", "else")
            and "NAME" in here.expected
            and here.before.kind not in ("net", "layer", "param", ".")
        ):
            return None
        return Found("SYN006", f"`{kind}` is a reserved word", help)
    return None


def _missing_value(here: Situation) -> Found | None:
    """Nothing stands where an expression should."""
    kind, before = here.token.kind, here.before
    if before.kind == "return" and kind in ("_END", "}"):
        return Found("SYN007", "`return` needs a value", "write `return x`", at=before)
    if before.kind == "(" and kind == ")" and "INT" in here.expected:
        return Found("SYN005", "a tuple has members", "write a value between ( and )")
    if before.kind == "[" and kind == "]" and "INT" in here.expected:
        return Found("SYN005", "an index is missing between [ and ]", "write `x[0]`, or `x[:]` for all")
    if "INT" not in here.expected or "NAME" not in here.expected or before.kind == "":
        return None
    after = f" after `{here.text(before)}`" if before.kind != "_END" else ""
    if kind in ("_END", "$END"):
        help = (
            "a statement goes on in the next line only inside ( ) or [ ]"
            if kind == "_END" and here.after.kind in STARTS_EXPRESSION
            else None
        )
        return Found("SYN005", f"a value is missing{after}", help)
    if kind in (")", "]", "}", ",", ":", "and", "or", "else", "if", "in", "TIMES", "COMPARE", "**", "{", ".."):
        return Found("SYN005", f"a value is missing{after}")
    return None


def _missing_brace(here: Situation) -> Found | None:
    if "{" not in here.expected:
        return None
    kind, what = here.token.kind, {"for": "loop", "case": "case"}.get(here.first.kind, "net")
    help = "write `{` at the end of this line"
    if kind == "_END" and here.after.kind == "{":
        return Found("SYN004", "`{` stands on the line of its header", "move it to the end of this line")
    if kind == "_END":
        return Found("SYN004", f"the `{{` of this {what} is missing", help, other=(here.first, f"this {what}"))
    if kind == ":":
        return Found("SYN004", f"a block stands in braces; here the {what} needs a `{{`", f"{help} instead of `:`")
    if kind in STARTS_EXPRESSION or kind in RESERVED:
        return Found("SYN004", f"the `{{` of this {what} is missing", "write `{` before this")
    return None


def _missing_type(here: Situation) -> Found | None:
    if here.first.kind == "param" and here.token.kind in ("=", "_END") and here.expected == {":"}:
        return Found("SYN025", "a param needs a type", f"write `param {here.text(here.before)}: f32[…] = …`")
    if here.before.kind in (":", "->") and "NAME" in here.expected and "INT" not in here.expected:
        return Found("SYN025", f"a type is missing after `{here.before.kind}`", "types are written `f32[2, 3]`")
    return None


def _missing_equals(here: Situation) -> Found | None:
    if "=" not in here.expected or here.bracket() or here.token.kind in ("{", "(", "+="):
        return None
    if (
        here.first.kind in ("param", "layer", "const", "dim")
        or here.token.kind in STARTS_EXPRESSION
        or ":" in here.kinds
    ):
        if here.begins or (here.before is here.first and here.token.kind not in STARTS_EXPRESSION):
            return None
        help = (
            "a param starts from a value, as `= zeros()` or `= normal(seed=1)`"
            if here.first.kind == "param"
            else "write `=` here"
        )
        return Found("SYN026", f"`=` is missing after `{here.text(here.before)}`", help)
    return None


def _not_a_target(here: Situation) -> Found | None:
    """What stands left of `=`, or is a statement without `=`, but is no name."""
    if here.level != "statements":
        return None
    kind = here.token.kind
    if kind == "+=" or (kind == "=" and "+=" in here.expected):
        name = here.text(here.before)
        return Found("SYN021", "`+=` adds to a part of an array", f"write `{name} = {name} + …`, or `{name}[…] += …`")
    value = "write `name = …` or `return …`"
    if here.begins and kind in ("INT", "FLOAT", "STRING", "SIGN", "[", "true", "false", "None", "inf", "nan", "not"):
        return Found("SYN021", "a statement does not start with a value", value)
    if kind == "[" and here.before.kind == "]" and here.first.kind in ("NAME", *SOFT):
        return Found("SYN021", "a part of an array is written with one index", "write `x[i, j] = …`")
    if here.before is not here.first or here.before.kind not in ("NAME", *SOFT):
        return None
    name = here.text(here.before)
    if kind == "(":
        closing = here.closing()
        if closing and closing.kind == "=":
            return Found("SYN021", "a call cannot be bound", f"to define a net, write `net {name}(…) = …`")
        return Found("SYN021", "a value alone does nothing", f"write `y = {name}(…)` or `return {name}(…)`")
    if kind == ".":
        return Found("SYN021", "only names and parts of arrays are bound", f"`{name}.…` can be read, not bound")
    if kind in ("_END", "}", "SIGN", "TIMES", "**", "COMPARE", "if", "and", "or"):
        return Found("SYN021", "a value alone does nothing", value, at=here.first)
    return None


def _loop(here: Situation) -> Found | None:
    if here.first.kind == "for" and here.expected & {"..", "in"}:
        return Found("SYN001", "a loop runs over a range", "write `for i in 0..4 { … }`, which ends at 3")
    if here.first.kind == "for" and here.token.kind == "(":
        return Found("SYN001", "a loop is written without parentheses", "write `for i in 0..4 { … }`")
    return None


def _header(here: Situation) -> Found | None:
    """Slips in the headers of imports, cases, editions and nets."""
    if here.first.kind == "import":
        return Found(
            "SYN001", "an import names a file and what it is called here", 'write `import "layers.net" as layers`'
        )
    if here.first.kind == "case" and here.before is here.first:
        return Found("SYN001", "a case has a title in quotes", 'write `case "what holds" { … }`')
    if here.first.kind == "edition" and here.before is here.first:
        return Found("SYN001", "an edition is a year", "write `edition 2026`")
    if here.first.kind == "net" and here.expected == {"(", "["}:
        name = here.text(here.before)
        return Found(
            "SYN001",
            "the inputs of a net stand in parentheses",
            f"write `net {name}(x) …`, or `net {name}() …` for none",
        )
    return None


def _select(here: Situation) -> Found | None:
    ends = here.token.kind in ("_END", "}", ")", "]", ",", "$END")
    if ends and "else" in here.expected and "if" in here.kinds:
        return Found("SYN027", "`if` without `else`", "write `a if condition else b`")
    return None


def _missing_comma(here: Situation) -> Found | None:
    bracket = here.bracket()
    if bracket is None or "," not in here.expected or here.token.kind not in STARTS_EXPRESSION:
        return None
    closer = CLOSERS[bracket.kind]
    other = (bracket, "opened here")
    return Found(
        "SYN026",
        f"`,` or `{closer}` is missing before {here.shown(here.token)}",
        "write `,` between members",
        other=other,
    )


def _missing_end(here: Situation) -> Found | None:
    """Two statements or two values on one line."""
    kind = here.token.kind
    starts = kind in STARTS_EXPRESSION or kind in STATEMENTS or kind in SOFT or kind == "net"
    if here.expected & {"_END"} and here.bracket() is None and starts:
        if here.before.kind == "" and here.position and here.tokens[here.position - 1].kind == "}":
            return Found("SYN023", f"{here.shown(here.token)} stands on the line of a `}}`", "start a new line")
        help = (
            "start a new line, or separate with `;`"
            if here.after.kind in ("=", "[", ":", ",") or kind not in STARTS_EXPRESSION
            else "an operator may be missing, as in `a * b`"
        )
        return Found("SYN023", f"the statement should end before {here.shown(here.token)}", help)
    return None


def _anything(here: Situation) -> Found:
    wanted = sorted(
        {KINDS.get(kind, f"`{kind}`") for kind in here.expected if kind not in SOFT or kind in ("as", "within")}
    )
    if "INT" in here.expected:
        wanted = ["a value"]
    elif len(wanted) > 4 and "an operator" in wanted:
        ends = [
            kind
            for kind in wanted
            if kind in ("`,`", "`)`", "`]`", "`{`", "`..`", "`:`", "the end of the line", "`in`", "`as`")
        ]
        wanted = ["an operator", *ends]
    elif len(wanted) > 6:
        wanted = ["a statement"] if here.level == "statements" else ["an item"]
    if here.token.kind == "$END" or (here.token.kind == "_END" and not here.text(here.token).startswith(";")):
        return Found("SYN001", f"expected {_either(wanted)}, but the line ends here")
    return Found("SYN001", f"expected {_either(wanted)}, found {here.shown(here.token)}")


def _either(words: list[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]


RULES: tuple[Callable[[Situation], Found | None], ...] = (
    _foreign_word,
    _stray_brace,
    _control,
    _operator_first,
    _wrong_level,
    _doubled_equals,
    _missing_type,
    _reserved_name,
    _loop,
    _missing_value,
    _select,
    _missing_brace,
    _header,
    _not_a_target,
    _missing_equals,
    _missing_comma,
    _missing_end,
    _anything,
)
