"""What `gradcli rule CODE` prints: every diagnostic code with its meaning, a failing text and its repair.

Each room keeps the codes of its family in a `CODES` of this form; here are those of syntax. A test parses every
`broken` text and finds its code, and parses every `repaired` one.
"""

from __future__ import annotations

from gradcli.record import record


@record
class Entry:
    """One diagnostic code; `broken` shows it, `repaired` is the same text mended."""

    code: str
    title: str
    explanation: str
    broken: str
    repaired: str


_ENTRIES = (
    Entry(
        "EDN001",
        "unknown edition",
        "The first line says which edition of the language a file is written in. A file without it is edition 2026 "
        "forever.",
        "edition 2099\nnet f(x: f64) = x\n",
        "edition 2026\nnet f(x: f64) = x\n",
    ),
    Entry(
        "SYN001",
        "something else was expected",
        "The text cannot be read on from here. The message says what could stand in this place, or how the "
        "construct that has begun is written. A line that starts with an operator is a common case: a statement goes "
        "on in the next line only inside ( ) or [ ].",
        "net f(x, y) = x\n  + y\n",
        "net f(x, y) = (x\n  + y)\n",
    ),
    Entry(
        "SYN002",
        "a bracket is never closed",
        "The message points at the bracket that was opened, and names the first word that shows that the closing one "
        "is missing before it.",
        "net f(x, y) {\n  z = sum(x * y\n  return z\n}\n",
        "net f(x, y) {\n  z = sum(x * y)\n  return z\n}\n",
    ),
    Entry(
        "SYN003",
        "a bracket closes nothing, or the wrong one",
        "Every `)`, `]` and `}` closes the bracket of its kind that was opened last.",
        "net f(x) = sum(x[0)]\n",
        "net f(x) = sum(x[0])\n",
    ),
    Entry(
        "SYN004",
        "the `{` of a block is missing",
        "The statements of a net, a loop and a case stand between { and }; the { is the last character of the header's "
        "line. Indentation means nothing, and there is no `:`.",
        "net f(x):\n  y = x * x\n  return y\n",
        "net f(x) {\n  y = x * x\n  return y\n}\n",
    ),
    Entry(
        "SYN005",
        "a value is missing",
        "An operator, a `=` or a comma is followed by nothing. There is no empty tuple and no empty index.",
        "net f(x) = 2 *\n",
        "net f(x) = 2 * x\n",
    ),
    Entry(
        "SYN006",
        "a reserved word is used as a name",
        "Reserved are `net case param layer for in while return if else and or not expect true false None inf nan`. "
        "All other words of the language, as `input` and `error`, may be names.",
        "net f(layer) = layer * 2\n",
        "net f(level) = level * 2\n",
    ),
    Entry(
        "SYN007",
        "a net returns nothing",
        "A net is a function: its last statement is `return` with one or more values.",
        "net f(x) {\n  y = x * x\n}\n",
        "net f(x) {\n  y = x * x\n  return y\n}\n",
    ),
    Entry(
        "SYN008",
        "a number is written wrongly",
        "Numbers have digits on both sides of the dot (`2.0`, `0.5`), may have an exponent (`1e-3`) and single `_` "
        "between digits (`1_000`). They are decimal, and names do not start with a digit.",
        "net f(x) = 2. * x\n",
        "net f(x) = 2.0 * x\n",
    ),
    Entry(
        "SYN009",
        "a number is out of range",
        "Whole numbers are held in 64 bits, up to 9223372036854775807; floats in f64. A number beyond is refused, "
        "not rounded to infinity or zero.",
        "const big = 1e400\n",
        "const big = inf\n",
    ),
    Entry(
        "SYN010",
        "an operator of another language",
        "The operators are `+ - * / % @ **`, the comparisons `< <= > >= == !=`, and the words `and or not`. `^` means "
        "a power in some languages and exclusive-or in others, so it is neither here.",
        "net f(x) = x^2\n",
        "net f(x) = x**2\n",
    ),
    Entry(
        "SYN011",
        "comparisons do not chain",
        "`a < b < c` would compare the boolean `a < b` with `c` in some languages. Both comparisons are written out.",
        "net f(x) = 0 < x < 1\n",
        "net f(x) = 0 < x and x < 1\n",
    ),
    Entry(
        "SYN012",
        "`=` and `==` are confused",
        "`=` binds a name, `==` compares, `~=` compares within a tolerance and stands in `expect` only.",
        'case "squares" {\n  expect 2**2 = 4\n}\n',
        'case "squares" {\n  expect 2**2 == 4\n}\n',
    ),
    Entry(
        "SYN013",
        "a word of another language",
        "There is no `let`, `def`, `lambda` or `if` statement: names are bound with `=`, nets defined with `net`, and "
        "values chosen with `a if condition else b`. Loops have a bound, so that every model ends.",
        "net f(x) {\n  let y = x * x\n  return y\n}\n",
        "net f(x) {\n  y = x * x\n  return y\n}\n",
    ),
    Entry(
        "SYN014",
        "a text does not end",
        'Text stands between two `"` on one line; a quote in it is written `\\"`.',
        'case "squares {\n  expect 2**2 == 4\n}\n',
        'case "squares" {\n  expect 2**2 == 4\n}\n',
    ),
    Entry(
        "SYN015",
        "an unknown escape in a text",
        'The escapes are `\\"`, `\\\\`, `\\n` and `\\t`.',
        'input x = load("data\\xs.npy")\n',
        'input x = load("data\\\\xs.npy")\n',
    ),
    Entry(
        "SYN016",
        "a character that looks like another",
        "Text copied from a PDF or a word processor has signs that look like those of the language: `−` for `-`, `×` "
        "for `*`, curly quotes, unusual blanks. The message names the sign and what to write.",
        "net f(x) = x − 1\n",
        "net f(x) = x - 1\n",
    ),
    Entry(
        "SYN017",
        "a character without meaning",
        "The character has no place in the language. A NUL byte means that the file is not text.",
        "net f(x) = x \u00a7 2\n",
        "net f(x) = x * 2\n",
    ),
    Entry(
        "SYN018",
        "a statement in the wrong place",
        "`return`, `param` and `layer` stand in nets, `expect` in cases; `edition`, `import`, `dim`, `const`, `input` "
        "and `case` at the top of a file. Params and layers are declared outside of loops, and a loop does not return.",
        "nu = 0.01\nnet f(x) = nu * x\n",
        "const nu = 0.01\nnet f(x) = nu * x\n",
    ),
    Entry(
        "SYN019",
        "something follows `return`",
        "`return` is the last statement of a net; what follows would never run.",
        "net f(x) {\n  return x\n  y = x * x\n}\n",
        "net f(x) {\n  y = x * x\n  return y\n}\n",
    ),
    Entry(
        "SYN020",
        "arguments out of order, or one twice",
        "In a call, arguments without a name come first, and no name is given twice.",
        "net f(x) = sum(axis=0, x)\n",
        "net f(x) = sum(x, axis=0)\n",
    ),
    Entry(
        "SYN021",
        "a statement binds nothing, or what cannot be bound",
        "Left of `=` stand names, parts of arrays (`x[i, 1:3]`) and tuples of them. A value alone does nothing, as "
        "nets have no side effects. `+=` adds to a part of an array; for a name write `x = x + 1`.",
        "net f(x) {\n  x += 1\n  return x\n}\n",
        "net f(x) {\n  x = x + 1\n  return x\n}\n",
    ),
    Entry(
        "SYN022",
        "blocks stand in each other too deep",
        "Blocks may stand in each other 100 deep. Nobody writes more; a program that makes models may, and gives the "
        "inner blocks to nets of their own.",
        "net f(x) {\n" * 101 + "return x\n}\n" * 101,
        "net f(x) {\n  return x\n}\n",
    ),
    Entry(
        "SYN023",
        "two statements on one line",
        "A statement ends at the end of its line, or at a `;`. Two values side by side have no meaning: a product is "
        "written with `*`.",
        "net f(x, y) {\n  z = x y\n  return z\n}\n",
        "net f(x, y) {\n  z = x * y\n  return z\n}\n",
    ),
    Entry(
        "SYN024",
        "the edition stands elsewhere than first",
        "`edition 2026` is the first item of a file and stands there once: it says how all the rest is read.",
        "net f(x) = x\nedition 2026\n",
        "edition 2026\nnet f(x) = x\n",
    ),
    Entry(
        "SYN025",
        "a type is missing",
        "A param is declared with its type, from which its makers take their shape; after `:` and `->` stands a type.",
        "net f(x) {\n  param w = [1.0]\n  return w * x\n}\n",
        "net f(x) {\n  param w: f32[1] = [1.0]\n  return w * x\n}\n",
    ),
    Entry(
        "SYN026",
        "`=` or `,` is missing",
        "A definition has `=` between its name and its value; members of lists and calls are separated by `,`.",
        "const x = [1 2]\n",
        "const x = [1, 2]\n",
    ),
    Entry(
        "SYN027",
        "`if` without `else`",
        "`a if condition else b` chooses elementwise between two values, so both are written.",
        "net f(x) = x if x > 0\n",
        "net f(x) = x if x > 0 else 0.0\n",
    ),
)

CODES: dict[str, Entry] = {entry.code: entry for entry in _ENTRIES}
