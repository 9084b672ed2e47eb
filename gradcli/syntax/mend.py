"""Characters that are no token: what was probably meant, said in the error and given to the parser.

Most of these come by paste (a PDF's `−` and `“`) or by habit (`^`, `//`, `&&`, `2.`).
"""

from __future__ import annotations

from unicodedata import name as unicode_name
from unicodedata import normalize

from gradcli.syntax.lex import Problems, Token

# What people write for an operator: (the kind the parser goes on with or None, the name of it, the repair).
OPERATORS: dict[str, tuple[str | None, str, str]] = {
    "^": ("**", "a power is written `**`", "write `**`"),
    "//": ("TIMES", "there is no operator `//`", "write `floor(a / b)`"),
    "&&": ("and", "there is no operator `&&`", "write `and`"),
    "&": ("and", "there is no operator `&`", "write `and`"),
    "||": ("or", "there is no operator `||`", "write `or`"),
    "|": ("or", "there is no operator `|`", "write `or`"),
    "!": ("not", "there is no operator `!`", "write `not`"),
    "===": ("COMPARE", "there is no operator `===`", "write `==`"),
    "!==": ("COMPARE", "there is no operator `!==`", "write `!=`"),
    "<>": ("COMPARE", "there is no operator `<>`", "write `!=`"),
    ":=": ("=", "there is no operator `:=`", "write `=`"),
    "=>": (None, "there is no operator `=>`", "write `>=` to compare, `->` before a result's type"),
    "~": (None, "there is no operator `~`", "write `not` to negate, `~=` to compare within a tolerance"),
    "?": (None, "there is no operator `?`", "write `a if condition else b`"),
    "$": (None, "`$` means nothing here", "a name is written as it is"),
    "\\": (None, "a line is not continued with a backslash", "inside ( ) and [ ] newlines are free"),
    "`": (None, "a backquote means nothing here", "text stands in double quotes"),
}

# Characters that look like others: (the kind the parser goes on with or None, what to write).
LOOKALIKES: dict[str, tuple[str | None, str]] = {
    "−": ("SIGN", "-"),
    "–": ("SIGN", "-"),
    "—": ("SIGN", "-"),
    "‐": ("SIGN", "-"),
    "‑": ("SIGN", "-"),
    "＋": ("SIGN", "+"),
    "×": ("TIMES", "*"),
    "·": ("TIMES", "*"),
    "⋅": ("TIMES", "*"),
    "∗": ("TIMES", "*"),
    "•": ("TIMES", "*"),
    "÷": ("TIMES", "/"),
    "∕": ("TIMES", "/"),
    "⁄": ("TIMES", "/"),
    "≤": ("COMPARE", "<="),
    "≥": ("COMPARE", ">="),
    "≠": ("COMPARE", "!="),
    "≈": ("~=", "~="),
    "→": ("->", "->"),
    "…": ("...", "..."),
    "（": ("(", "("),
    "）": (")", ")"),
    "［": ("[", "["),
    "］": ("]", "]"),
    "｛": ("{", "{"),
    "｝": ("}", "}"),
    "，": (",", ","),
    "：": (":", ":"),
    "；": ("_END", ";"),
    "＝": ("=", "="),
    "¬": ("not", "not"),
    "∧": ("and", "and"),
    "∨": ("or", "or"),
    "∞": ("inf", "inf"),
    "√": (None, "sqrt(…)"),
    "∑": (None, "sum(…)"),
    "∏": (None, "prod(…)"),
    "∂": (None, "grad(…)"),
    "∇": (None, "grad(…)"),
    "“": (None, '"'),
    "”": (None, '"'),
    "„": (None, '"'),
    "«": (None, '"'),
    "»": (None, '"'),
    "‘": (None, '"'),
    "’": (None, '"'),
}
EXPONENTS = {"⁰": "0", "¹": "1", "²": "2", "³": "3", "⁴": "4", "⁵": "5", "⁶": "6", "⁷": "7", "⁸": "8", "⁹": "9"}


def mend(kind: str, start: int, end: int, tokens: list[Token], problems: Problems) -> None:
    """Report the characters `start` to `end` and append what was meant to `tokens`.

    `kind` is one of the grammar's `WRONG_…`, or `NAME` for a name that has letters beyond ASCII.
    """
    text = problems.source.text[start:end]
    after_name = bool(tokens) and tokens[-1].end == start and tokens[-1].kind in ("NAME", ")", "]")
    meant: str | None
    match kind:
        case "NAME":
            _name(text, start, tokens, problems)
            return
        case "WRONG_NUMBER" if after_name and text.startswith("."):
            message = "a member of an array of layers is taken with an index"
            problems.add("SYN008", message, start, end, help=f"write `[{text[1:]}]`, as in `h[0].w`")
            return
        case "WRONG_NUMBER":
            message, help = _number(text)
            problems.add("SYN008", message, start, end, help=help)
            meant = "FLOAT"
        case "WRONG_OPERATOR" | "WRONG_SIGN":
            meant = _operator(text, start, problems)
        case "WRONG_STRING":
            message = "this text does not end on its line"
            problems.add("SYN014", message, start, start + 1, label="opened here", help='close it with `"`')
            if _opens_block(text, start, problems):
                tokens += (Token("STRING", start, end - 1), Token("{", end - 1, end))
                return
            meant = "STRING"
        case "WRONG_QUOTES" if after_name:
            problems.add("SYN010", "a derivative is not written `'`", start, start + 1, help="write `grad(f)(x)`")
            return
        case "WRONG_QUOTES":
            quote, inner = text[0], text.strip("'“”„«»\"")
            help = f'write `"{inner}"`'
            problems.add("SYN016", f"text stands in plain double quotes, not in {quote}", start, end, help=help)
            meant = "STRING"
        case _:
            meant = _character(text, start, tokens, problems)
    if meant:
        tokens.append(Token(meant, start, end))


def _opens_block(text: str, start: int, problems: Problems) -> bool:
    """Whether a text that does not end has taken in the `{` of a header."""
    head = problems.source.text[:start].rpartition("\n")[2].split()
    return text.endswith("{") and (not head or head[0] in ("net", "case", "for"))


def _number(text: str) -> tuple[str, str | None]:
    """Message and help for a number that is written wrongly."""
    if text.startswith(".") and text[1:].isdigit():
        return "a number does not start with a dot", f"write `0{text}`"
    if text.endswith(".") and text[:-1].isdigit():
        return "a number does not end with a dot", f"write `{text}0`"
    digits = text.rstrip("jJ")
    if digits != text and digits.replace(".", "").isdigit():
        return "complex numbers are not in this edition", "keep the real and the imaginary part as two arrays"
    if text[:2].lower() in ("0x", "0b", "0o"):
        try:
            return "numbers are written in decimal", f"write `{int(text, 0)}`"
        except ValueError:
            return "numbers are written in decimal", None
    if "_" in text and text.replace("_", "").isdigit():
        return "`_` stands singly between digits", f"write `{text.replace('_', '')}`"
    split = next((at for at, character in enumerate(text) if character.isalpha()), len(text))
    left, right = text[:split].rstrip("."), text[split:]
    if left and right.isidentifier() and right.lower() not in ("e", "f", "d", "l"):
        return "a name does not start with a digit", f"for a product write `{left} * {right}`"
    return f"`{text}` is no number", None


def _operator(text: str, start: int, problems: Problems) -> str | None:
    """Report an operator of another language; the kind that the parser goes on with."""
    end = start + len(text)
    if text in OPERATORS:
        meant, message, help = OPERATORS[text]
        problems.add("SYN010", message, start, end, help=help)
        return meant
    sign = {"^": "**", "//": "/"}.get(text[:-1], text[:-1])
    problems.add("SYN010", f"there is no operator `{text}`", start, end, help=f"write `x = x {sign} …`")
    return "="


def _name(text: str, start: int, tokens: list[Token], problems: Problems) -> None:
    """A name with letters beyond ASCII: one spelling for what looks the same, and no exponents in names."""
    end = start + len(text)
    plain = normalize("NFKC", text)
    power = next((at for at, character in enumerate(text) if character in EXPONENTS), None)
    if power is not None:
        exponent = "".join(EXPONENTS.get(character, "") for character in text[power:])
        help = f"write `{text[:power]}**{exponent}`"
        problems.add("SYN016", "a power is written `**`", start + power, end, help=help)
        text, end = text[:power], start + power
    elif text == plain and text.isidentifier():
        pass
    elif plain.isidentifier():
        problems.add("SYN016", f"`{text}` looks like `{plain}` and is not", start, end, help=f"write `{plain}`")
    else:
        at = next((n for n in range(len(text)) if not text[: n + 1].isidentifier()), 0)
        what = unicode_name(text[at], f"U+{ord(text[at]):04X}")
        problems.add("SYN017", f"`{text[at]}` ({what}) cannot stand in a name", start + at, start + at + 1)
    if text:
        tokens.append(Token("NAME", start, end))


def _character(text: str, start: int, tokens: list[Token], problems: Problems) -> str | None:
    """Report one character that is no token; runs of them only once."""
    if problems.within(start - 1, start - 1) and (not tokens or tokens[-1].end < start):
        problems.offsets.append(start)
        return None
    if text == "'" and tokens and tokens[-1].end == start:
        problems.add("SYN010", "a derivative is not written `'`", start, start + 1, help="write `grad(f)(x)`")
        return None
    if text == "'":
        problems.add("SYN016", "text stands in double quotes, not in '", start, start + 1, help='write `"`')
        return None
    if text in LOOKALIKES:
        meant, write = LOOKALIKES[text]
        message = f"`{text}` ({unicode_name(text)}) is not an operator here"
        problems.add("SYN016", message, start, start + 1, help=f"write `{write}`")
        return meant
    what = unicode_name(text, f"U+{ord(text):04X}")
    if text.isspace() or what.startswith("ZERO WIDTH"):
        problems.add("SYN016", f"an unusual blank ({what})", start, start + 1, help="write a plain space, or nothing")
        return None
    shown = f"`{text}` ({what})" if text.isprintable() else f"the character {what}"
    problems.add("SYN017", f"{shown} has no meaning here", start, start + 1)
    return None
