"""The items of a file: edition, import, dim, const, input, and which net is the entry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gradcli
from tests.interp.nets import expects, grads, other_lines, refused, same, value, values

DOUBLE = "net double(x) = 2 * x\n"


def write(directory: Path, **files: str) -> Path:
    """Files by name without suffix; the path of `main`."""
    for name, text in files.items():
        path = directory / (name.replace("__", "/") + ".net")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory / "main.net"


def refused_file(path: Path, code: str, **inputs: Any) -> Any:
    with pytest.raises(gradcli.ModelError) as caught:
        gradcli.load(path).eval(**inputs)
    first = caught.value.diagnostics[0]
    assert first.code == code, first
    return first


# ── order and edition ──


def test_a_net_may_be_used_above_its_definition() -> None:
    same(value("net main(x: f64) = g(x) + 1\nnet g(x: f64) = 2 * x\n", x=3.0), 7.0)


def test_items_stand_in_any_order() -> None:
    text = (
        'case "c" {\n  expect main(x) == 6.0\n}\n'
        "net main(x: f64[n]) = sum(k * x)\n"
        "input x = [1.0, 2.0]\nconst k = 2.0\n"
    )
    same(value(text), 6.0)


def test_edition_2026_is_optional() -> None:
    same(value("edition 2026\nnet f(x: f64) = x\n", x=1.0), 1.0)
    same(value("# a comment\n\nedition 2026\nnet f(x: f64) = x\n", x=1.0), 1.0)
    same(value("net f(x: f64) = x\n", x=1.0), 1.0)


def test_an_unknown_edition_is_one_error_that_says_which_gradcli_is_needed() -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        gradcli.compile("edition 2031\nnet f(x) = warp x by { }\nnet g( = 1\n").eval(x=1.0)
    (only,) = caught.value.diagnostics
    assert only.code == "EDN001"
    assert only.span is not None
    assert only.span.text.endswith("2031")
    assert "gradcli" in only.message + " ".join(only.notes) + (only.help or "")


def test_recursion_shows_the_cycle() -> None:
    found = refused(
        "net f(x: f64) = g(x)\nnet g(x: f64) = h(x) + 1\nnet h(x: f64) = f(x)\n", "NAM002", "f(x)", net="f", x=1.0
    )
    assert "f → g → h → f" in found.message
    assert other_lines(found)


def test_a_net_that_calls_itself_is_recursion() -> None:
    found = refused("net f(x: f64) = f(x)\n", "NAM002", "f(x)", x=1.0)
    assert "f → f" in found.message


def test_consts_in_a_circle_are_recursion() -> None:
    found = refused("const a = b + 1\nconst b = a\nnet f(x: f64) = a * x\n", "NAM002", x=1.0)
    assert "a" in found.message
    assert "b" in found.message


def test_two_items_of_one_name_name_both_places() -> None:
    found = refused("net f(x: f64) = x\nnet f(x: f64) = 2 * x\n", "NAM004", x=1.0)
    assert found.span is not None
    assert found.span.line == 2
    assert other_lines(found) == [1]


# ── import ──


def test_import_gives_nets_consts_and_dims_under_the_alias(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        layers="const k = 3.0\ndim n = 2\nnet double(x) = 2 * x\n",
        main='import "layers.net" as lib\nnet main(x: f64[lib.n]) = lib.double(x) * lib.k\n',
    )
    same(gradcli.load(main).eval(x=[1.0, 2.0])[0], [6.0, 12.0])


def test_paths_are_relative_to_the_importing_file(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        main='import "lib/outer.net" as above\nnet main(x: f64) = above.f(x)\n',
        lib__outer='import "deep/inner.net" as inner\nimport "../side.net" as side\nnet f(x) = inner.g(x) + side.one\n',
        lib__deep__inner="net g(x) = 10 * x\n",
        side="const one = 1.0\n",
    )
    same(gradcli.load(main).eval(x=2.0)[0], 21.0)


def test_load_in_an_imported_file_is_relative_to_that_file(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    np.save(tmp_path / "lib" / "w.npy", np.array([5.0]))
    main = write(
        tmp_path,
        lib__scale='net Scale(x) {\n  param w: f64[1] = load("w.npy")\n  return x * w\n}\n',
        main='import "lib/scale.net" as s\nnet main(x: f64[1]) = s.Scale(x)\n',
    )
    net = gradcli.load(main)
    same(net.eval(x=[2.0])[0], [10.0])
    assert net.grad(x=[2.0], wrt="params").keys() == ["s.Scale.w"]


def test_import_cycles_show_the_whole_cycle(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        main='import "a.net" as a\nnet main(x: f64) = a.f(x)\n',
        a='import "b.net" as b\nnet f(x) = b.f(x)\n',
        b='import "a.net" as a\nnet f(x) = x\n',
    )
    found = refused_file(main, "NAM005", x=1.0)
    assert "a.net" in found.message
    assert "b.net" in found.message


def test_a_file_that_imports_itself_is_a_cycle(tmp_path: Path) -> None:
    refused_file(write(tmp_path, main='import "main.net" as own\nnet main(x: f64) = x\n'), "NAM005", x=1.0)


def test_a_diamond_of_imports_is_one_module_and_shares_params(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        base="net U(x) {\n  param w: f64 = 3.0\n  return w * x\n}\n",
        left='import "base.net" as base\nnet f(x) = base.U(x)\n',
        right='import "./base.net" as b\nnet f(x) = b.U(x)\n',
        main='import "left.net" as left\nimport "right.net" as right\nnet main(x: f64) = left.f(x) + right.f(x)\n',
    )
    g = gradcli.load(main).grad(x=2.0, wrt="params")
    assert len(g) == 1
    same(g[0], 4.0)


def test_a_file_imported_under_two_aliases_is_one_module(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        base="net U(x) {\n  param w: f64 = 3.0\n  return w * x\n}\n",
        main='import "base.net" as a\nimport "base.net" as b\nnet main(x: f64) = a.U(x) + b.U(x)\n',
    )
    g = gradcli.load(main).grad(x=2.0, wrt="params")
    assert len(g) == 1


def test_imports_never_bring_inputs_or_cases(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        base='net g(x: f64) = x\ninput x: f64 = 5.0\ncase "fails" {\n  expect 1 == 2\n}\n',
        main='import "base.net" as base\nnet main(x: f64) = base.g(x)\ncase "ok" {\n  expect main(1.0) == 1.0\n}\n',
    )
    refused_file(main, "DAT101")
    from gradcli import api
    from gradcli.request import Request

    assert [(r.case, r.status) for r in api.test([main], request=Request())] == [("ok", "passed")]


def test_an_import_does_not_see_the_importers_names(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        base="net g(x) = k * x\n",
        main='import "base.net" as base\nconst k = 2.0\nnet main(x: f64) = base.g(x)\n',
    )
    found = refused_file(main, "NAM001", x=1.0)
    assert found.span.source.name.endswith("base.net")


def test_a_missing_import_points_at_the_path() -> None:
    refused('import "nowhere.net" as n\nnet f(x: f64) = x\n', "NAM006", '"nowhere.net"', x=1.0)


def test_an_error_in_an_imported_file_is_shown_there(tmp_path: Path) -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        gradcli.load(write(tmp_path, base="net g(x) = x +\n", main='import "base.net" as b\nnet main(x: f64) = x\n'))
    first = caught.value.diagnostics[0]
    assert first.span is not None
    assert first.span.source.name.endswith("base.net")
    assert first.span.line == 1


def test_a_wrong_member_of_an_import_suggests_the_right_one(tmp_path: Path) -> None:
    main = write(tmp_path, base=DOUBLE, main='import "base.net" as b\nnet main(x: f64) = b.duoble(x)\n')
    found = refused_file(main, "NAM007", x=1.0)
    assert "duoble" in found.span.text
    assert "double" in (found.help or "")


# ── dim and const ──


def test_a_dim_is_a_size_in_types_and_size_gives_it() -> None:
    same(value("dim n = 3\nnet f(x: f64[n]) = sum(x) * size(n)\n", x=[1.0, 2.0, 3.0]), 18.0)


def test_a_dim_of_the_file_must_agree_with_data() -> None:
    found = refused("dim n = 3\nnet f(x: f64[n]) = x\n", "SHP106", x=[1.0, 2.0])
    assert "3" in found.message
    assert "2" in found.message


def test_const_overrides_dims_and_consts() -> None:
    net = gradcli.compile("dim n = 3\nconst k = 2.0\nnet f(x: f64[n]) = k * x\n", consts={"n": 2, "k": 5.0})
    same(net.eval(x=[1.0, 2.0])[0], [5.0, 10.0])


def test_an_overridden_const_reaches_consts_made_of_it() -> None:
    same(
        gradcli.compile("const a = 1\nconst b = 10 * a\nnet f(x: f64) = b * x\n", consts={"a": 3}).eval(x=1.0)[0], 30.0
    )


def test_overriding_a_const_that_is_not_there_is_refused() -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        gradcli.compile("const alpha = 1\nnet f(x: f64) = alpha * x\n", consts={"alhpa": 2}).eval(x=1.0)
    assert "alhpa" in str(caught.value)
    assert "alpha" in (caught.value.diagnostics[0].help or "")


def test_a_dim_may_be_an_expression_of_dims() -> None:
    same(value("dim n = 2\ndim m = 2 * n + 1\nnet f(x: f64[m]) = size(m) * x[0]\n", x=np.ones(5)), 5.0)


@pytest.mark.parametrize("text", ["dim n = 2.5\n", "dim n = -1\n", 'dim n = "a"\n'])
def test_a_dim_is_a_whole_number_of_0_or_more(text: str) -> None:
    refused(text + "net f(x: f64[n]) = x\n", "SHP110", x=[1.0, 2.0])


def test_an_untyped_const_is_weak_and_a_typed_one_is_not() -> None:
    x = np.ones(2, "float32")
    same(value("const k = 0.5\nnet f(x: f32[2]) = k * x\n", x=x), [0.5, 0.5], "f32")
    same(value("const k: f64 = 0.5\nnet f(x: f32[2]) = k * x\n", x=x), [0.5, 0.5], "f64")


def test_a_const_may_be_an_array_and_use_operators() -> None:
    same(value("const a = [1.0, 2.0]\nconst b = sum(a * a) / pi\nnet f(x: f64) = b * x * pi\n", x=1.0), 5.0, rtol=1e-15)


def test_a_const_with_a_type_is_checked() -> None:
    found = refused("const s: f32[2, 3] = [[1.0, 2.0], [3.0, 4.0]]\nnet f(x: f64) = x * s[0, 0]\n", "SHP106", x=1.0)
    assert found.span is not None
    assert found.span.line == 1


# ── input ──


def test_input_items_feed_the_entry_net() -> None:
    same(value("net f(x: f64[n], y: f64) = y * x\ninput x = [1.0, 2.0]\ninput y: f64 = 3.0\n"), [3.0, 6.0])


def test_an_input_item_hides_no_operator() -> None:
    """A case would mean the data by `mean`, and no net can have such an input."""
    found = refused("net f(x) = mean(x)\ninput x = [1.0, 2.0]\ninput mean = [3.0]\n", "NAM003", "mean")
    assert found.help == "choose another name, like `mean_`"


def test_given_data_win_over_input_items_and_defaults() -> None:
    text = "net f(x: f64 = 1.0) = x\ninput x: f64 = 2.0\n"
    same(value(text), 2.0)
    same(value(text, x=3.0), 3.0)
    same(value("net f(x: f64 = 1.0) = x\n"), 1.0)


def test_an_input_without_a_value_must_be_supplied() -> None:
    found = refused("net f(x: f64[n], y: f64) = y * x\ninput x: f64[3]\n", "DAT101", y=1.0)
    assert "x" in found.message


def test_the_type_of_an_input_item_is_checked() -> None:
    found = refused("net f(x: f64[n]) = x\ninput x: f64[3]\n", "SHP106", x=[1.0, 2.0])
    assert "3" in found.message


def test_named_dims_are_shared_by_all_inputs_of_the_file() -> None:
    text = "net f(x: f64[a], y: f64[b]) = sum(x) * sum(y)\ninput x: f64[n]\ninput y: f64[n]\n"
    same(value(text, x=[1.0, 2.0], y=[3.0, 4.0]), 21.0)
    found = refused(text, "SHP106", x=[1.0, 2.0], y=[3.0, 4.0, 5.0])
    assert "n" in found.message


def test_an_input_item_may_be_of_consts_and_operators() -> None:
    same(value("const n = 4\nnet f(x) = sum(x)\ninput x = linspace(0, 1, n) * 3\n"), 6.0)


def test_integer_literals_for_an_untyped_input_are_f64() -> None:
    same(value("net f(x) = x\ninput x = 4\n"), 4.0, "f64")
    same(value("net f(x) = x\ninput x = i64(4)\n"), 4, "i64")


def test_an_input_item_of_a_wider_float_is_not_narrowed_silently() -> None:
    found = refused("net f(x: f32) = x\ninput x = f64(2.0)\n", "DAT105")
    assert found.help is not None


# ── entry ──


def test_the_only_net_is_the_entry() -> None:
    assert gradcli.compile("net anything(x: f64) = x\n").name == "anything"


def test_main_is_the_entry_and_net_names_another() -> None:
    text = "net a(x: f64) = x\nnet main(x: f64) = 2 * x\n"
    same(value(text, x=1.0), 2.0)
    same(value(text, net="a", x=1.0), 1.0)


def test_without_an_entry_the_error_lists_the_nets() -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        gradcli.compile("net one(x: f64) = x\nnet two(x: f64) = x\n").eval(x=1.0)
    first = caught.value.diagnostics[0]
    assert first.code == "NAM008"
    words = " ".join([first.message, *first.notes, *(label.span.text for label in first.others)])
    assert "one" in words
    assert "two" in words


def test_a_net_that_is_not_there_suggests_one() -> None:
    with pytest.raises(gradcli.ModelError) as caught:
        gradcli.compile("net model(x: f64) = x\n", net="modle").eval(x=1.0)
    assert caught.value.diagnostics[0].code == "NAM009"
    assert "model" in (caught.value.diagnostics[0].help or "")


def test_an_imported_net_is_no_entry_of_its_importer(tmp_path: Path) -> None:
    main = write(tmp_path, base=DOUBLE, main='import "base.net" as b\nnet f(x: f64) = b.double(x)\n')
    same(gradcli.load(main).eval(x=2.0)[0], 4.0)


def test_cases_see_inputs_of_the_file(tmp_path: Path) -> None:
    assert (
        expects(
            tmp_path,
            "net f(x) = 2 * x\ninput x = 3.0\nconst k = 6.0\ndim n = 6",
            "expect f(x) == k",
            "expect size(n) == 6",
        ).status
        == "passed"
    )


def test_nets_do_not_see_inputs_of_the_file() -> None:
    found = refused("net f(y: f64) = x * y\ninput x = 2.0\n", "NAM001", "x", y=1.0)
    assert "input" in (found.help or "") + " ".join(found.notes) + found.message


def test_the_guides_first_page() -> None:
    text = """edition 2026
net Net(x: f32[m, k], y: f32[k, n]) -> f32[m, n] {
  param z: f32[1] = [1.0]
  x = x * z
  return matmul(x, y)
}
input x: f32[2, 3] = [[0.8, 0.6, 0.2], [1.8, 1.3, 1.1]]
input y: f32[3, 3] = [[0.11, 3.3, 1.1], [1.1, 0.2, 1.4], [1.1, 2.2, 0.3]]
"""
    s = np.array([[0.1, 0.6, 0.2], [0.8, 1.3, 1.1]], "float32")
    same(grads(text)["x"], [[4.51, 2.7, 3.6], [4.51, 2.7, 3.6]], "f32", rtol=1e-6)
    same(grads(text, wrt="params")["z"], [21.536], "f32", rtol=1e-6)
    same(grads(text, sens=s)["x"], [[2.211, 0.51, 1.49], [5.588, 2.68, 4.07]], "f32", rtol=1e-6)
    assert [v.shape for v in values(text)] == [(2, 3)]
