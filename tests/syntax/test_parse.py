"""What a text means: trees and spans."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradcli.syntax import ast
from gradcli.syntax.diagnostics import ModelError, Source
from gradcli.syntax.parse import parse, parse_expression
from gradcli.syntax.show import expression, render

GUIDE = """\
edition 2026                                     # optional

# z scales the input before the product
net Net(x: f32[m, k], y: f32[k, n]) -> f32[m, n] {
  param z: f32[1] = [1.0]
  x = x * z
  return matmul(x, y)                            # or: x @ y
}

import "layers.net" as layers
dim batch = 128
const nu = 0.01 / pi
input x: f32[2, 3] = [[0.8, 0.6, 0.2],
                      [1.8, 1.3, 1.1]]
input y
net Dense[i, o](x: f32[..., i], scale = 1.0,) -> (f32[..., 2 * o], f32) {
  layer h[4] = Dense[50, 50]
  layer l1 = Dense[2, 16]
  for i in 0..4 { x[i, 1:3] = h[i](x); x[idx] += 3 }
  for i in 0..1000 while abs(r) > 1e-12 { r = r / 2 }
  v, (gx, gy) = value_and_grad(l1, wrt=(x, l1.w))(x)
  q: f32[batch, 50] = x.T[None, ..., ::2, -1]
  net k(a) = a, v
  return h[0].w, ([1, 2], "a\\"\\n", true, None,)
}
case "title" {
  expect grad(Net)(x, y) ~= 1.0 within rtol=1e-6, atol=0
  expect a == b
  expect error "sizes" in Net(x)
}
"""

TREE = """\
module model.net
  edition 2026  1:1
  net Net -> f32[m n]  4:1
    input x: f32[m k]  4:9
    input y: f32[k n]  4:23
    param z: f32[1] = [1.0]  5:3
    assign x = (* x z)  6:3
    return (call matmul x y)  7:3
  import "layers.net" as layers  10:1
  dim batch = 128  11:1
  const nu = (/ 0.01 pi)  12:1
  input x: f32[2 3] = [[0.8 0.6 0.2] [1.8 1.3 1.1]]  13:1
  input y  15:1
  net Dense[i, o] -> f32[... (* 2 o)], f32  16:1
    input x: f32[... i]  16:17
    input scale = 1.0  16:33
    layer h[4] = (index Dense 50 50)  17:3
    layer l1 = (index Dense 2 16)  18:3
    for i in 0 .. 4  19:3
      assign (index x i (: 1 3 _)) = (call (index h i) x)  19:19
      assign (index x idx) += 3  19:40
    for i in 0 .. 1000 while (> (call abs r) 1e-12)  20:3
      assign r = (/ r 2)  20:43
    assign (tuple v (tuple gx gy)) = (call (call value_and_grad l1 wrt=(tuple x (. l1 w))) x)  21:3
    assign q: f32[batch 50] = (index (. x T) None ... (: _ _ 2) (- 1))  22:3
    net k  23:3
      input a  23:9
      return a, v  23:14
    return (. (index h 0) w), (tuple [1 2] "a\\"\\n" true None)  24:3
  case "title"  26:1
    expect (call (call grad Net) x y) ~= 1.0 within rtol=1e-06 atol=0  27:3
    expect (== a b)  28:3
    expect error "sizes" in (call Net x)  29:3
"""


def shown(text: str) -> str:
    return expression(parse_expression(Source("<expression>", text)))


def test_a_file_with_everything() -> None:
    module = parse(Source("model.net", GUIDE))
    assert render(module) == TREE
    assert [comment.text for comment in module.comments] == [
        "# optional",
        "# z scales the input before the product",
        "# or: x @ y",
    ]


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("-x**2", "(- (** x 2))"),
        ("2**-x**y", "(** 2 (- (** x y)))"),
        ("2**3**4", "(** 2 (** 3 4))"),
        ("-x * y", "(* (- x) y)"),
        ("-x @ y % z", "(% (@ (- x) y) z)"),
        ("a - b - c + d", "(+ (- (- a b) c) d)"),
        ("a + b < c * d", "(< (+ a b) (* c d))"),
        ("not a == b and c or d", "(or (and (not (== a b)) c) d)"),
        ("a if c else b if d else e", "(if c a (if d b e))"),
        ("x.T[0](1)(a=2)", "(call (call (index (. x T) 0) 1) a=2)"),
        ("(a < b) == (c < d)", "(== (< a b) (< c d))"),
        ("a, b", "(tuple a b)"),
        ("(a,)", "a"),
        ("[]", "[]"),
        ("f(\n  x,\n  y,\n)\n", "(call f x y)"),
        ("a\n+ b", "(+ a b)"),
        ("1_000 + 1.5e-3 + 1e3 + inf", "(+ (+ (+ 1000 0.0015) 1000.0) inf)"),
        ("x[1:, :2, ::-1, ..., None, a:b:c]", "(index x (: 1 _ _) (: _ 2 _) (: _ _ (- 1)) ... None (: a b c))"),
        ("input(error=within, as=dim)", "(call input error=within as=dim)"),
        ("ν * θ", "(* ν θ)"),
        ("not not a", "(not (not a))"),
        ("--+a", "(- (- (+ a)))"),
    ],
)
def test_precedence_and_forms(text: str, tree: str) -> None:
    assert shown(text) == tree


def test_whole_literals_are_int_and_all_others_float() -> None:
    for text, kind in (("1_000", int), ("9223372036854775807", int), ("1.0", float), ("1e3", float), ("nan", float)):
        number = parse_expression(Source("<expression>", text))
        assert isinstance(number, ast.Number)
        assert type(number.value) is kind


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment", "\ufeff", "\t \r\n"])
def test_an_empty_file_has_no_items(text: str) -> None:
    assert parse(Source("empty.net", text)).items == ()


@pytest.mark.parametrize("newline", ["\n", "\r\n", ";", " ; # c\n\n"])
def test_what_ends_a_statement(newline: str) -> None:
    text = (
        newline.join(["net f(x) {", "y = x", "return y", "}", ""])
        if newline != ";"
        else "net f(x) { y = x; return y; }"
    )
    net = parse(Source("a.net", text)).items[0]
    assert isinstance(net, ast.Net)
    assert [type(each) for each in net.body] == [ast.Assign, ast.Return]


def test_spans_are_exact_in_code_points() -> None:
    text = "const θ = (alpha + β) * f(γ)[0]  # ∂\n"
    const = parse(Source("a.net", text)).items[0]
    assert isinstance(const, ast.Const)
    product = const.value
    assert isinstance(product, ast.Binary)
    assert isinstance(product.right, ast.Index)
    assert const.span.text == text.partition("  #")[0]
    assert product.span.text == "(alpha + β) * f(γ)[0]"
    assert product.left.span.text == "alpha + β"
    assert product.right.span.text == "f(γ)[0]"
    assert product.right.value.span.text == "f(γ)"
    assert (product.right.span.line, product.right.span.column) == (1, 25)


def test_every_node_lies_in_its_parent_and_reads_as_itself() -> None:
    module = parse(Source("model.net", GUIDE))
    waiting: list[ast.Node] = list(module.items)
    for node in waiting:
        assert not isinstance(node, ast.Module)
        if isinstance(node, ast.Name):
            assert node.span.text == node.id
        for child in ast.children(node):
            assert not isinstance(child, ast.Module)
            assert node.span.start <= child.span.start <= child.span.end <= node.span.end
            waiting.append(child)


WORDS = ("edition", "import", "as", "input", "const", "dim", "error", "within", "all", "params", "pi", "e")


@pytest.mark.parametrize("word", WORDS)
def test_soft_words_are_names_elsewhere(word: str) -> None:
    text = f"""\
input {word}: f32
const {word} = 1
dim {word} = 2
import "a.net" as {word}
net {word}({word}: f32[{word}] = 1) {{
  {word} = {word}[{word}]({word}={word}).{word}
  {word}[0] = 1
  {word}, b = 2
  param {word}: f32 = 1
  for {word} in 0..{word} {{ {word} = 1 }}
  return {word}
}}
case "a" {{
  expect {word} < 3
  expect {word} ~= {word} within {word}=1
  expect error "text" in {word}
}}
"""
    assert len(parse(Source("a.net", text)).items) == 6


NAMES = st.sampled_from(["x", "y", "error", "θ", "Net"])
ATOMS = st.one_of(
    NAMES, st.integers(0, 2**63 - 1).map(str), st.floats(1e-300, 1e300).map(repr).filter(lambda text: "e+" not in text)
)


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "%", "@", "**", "<", "==", "and", "or"]), inner)
    return st.one_of(
        pairs.map(lambda p: f"({p[0]} {p[1]} {p[2]})"),
        inner.map(lambda e: f"(-{e})"),
        st.lists(inner, max_size=3).map(lambda es: f"[{', '.join(es)}]"),
        st.tuples(NAMES, st.lists(inner, max_size=3)).map(lambda c: f"{c[0]}({', '.join(c[1])})"),
        st.tuples(NAMES, inner, inner).map(lambda i: f"{i[0]}[{i[1]}, {i[2]}:]"),
        st.tuples(inner, inner, inner).map(lambda s: f"({s[0]} if {s[1]} else {s[2]})"),
    )


@given(st.recursive(ATOMS, _grown, max_leaves=12))
def test_blanks_and_newlines_in_brackets_mean_nothing(text: str) -> None:
    spaced = text.replace("(", "(\n ").replace(",", " ,\t# note\n")
    assert shown(text) == shown(f"({spaced}\n)")


@given(st.text(max_size=40))
def test_texts_come_back(value: str) -> None:
    if "\0" in value or "\r" in value:
        return
    quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    text = parse_expression(Source("<expression>", f'"{quoted}"'))
    assert isinstance(text, ast.Text)
    assert text.value == value


def test_blocks_may_stand_a_hundred_deep_and_no_more() -> None:
    def nested(depth: int) -> Source:
        return Source(
            "a.net",
            "net f(x) {\n" + "for i in 0..2 {\n" * (depth - 1) + "y = x\n" + "}\n" * (depth - 1) + "return x }\n",
        )

    assert parse(nested(100)).items
    with pytest.raises(ModelError) as caught:
        parse(nested(101))
    assert [each.code for each in caught.value.diagnostics] == ["SYN022"]
