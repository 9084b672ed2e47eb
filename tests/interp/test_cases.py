"""Cases: every kind of `expect`, tolerances, and what a failure says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interp.nets import expects, run_cases

NETS = "net f(x) = 2 * x\nnet two(x) {\n  return x, 2 * x\n}\nconst a = [1.0, 2.0, 3.0]\n"


@pytest.mark.parametrize(
    "line",
    [
        "expect f(1.0) == 2.0",
        "expect f(1.0) != 3.0",
        "expect f(1.0) < 3",
        "expect f(1.0) <= 2",
        "expect f(1.0) > 1",
        "expect f(1.0) >= 2",
        "expect f(a) ~= [2.0, 4.0, 6.0]",
        "expect f(a) > 1.5",
        "expect isfinite(f(a))",
        "expect true",
        "expect a > 0 and a < 4",
        "expect not any(a > 3)",
        "expect all(f(a) == 2 * a)",
        "expect two(1.0) ~= (1.0, 2.0)",
        "expect two(1.0) == (1.0, 2.0)",
        "expect grad(f)(1.0) ~= 2.0",
        "expect f(1.0) ~= 2.0001 within rtol=1e-4",
        "expect f(1.0) ~= 2.0001 within atol=1e-3",
        "expect f(1.0) ~= 2.0001 within rtol=0, atol=1e-3",
        "expect f(0.0) ~= 1e-9 within atol=1e-8",
        "expect f(1.0) ~= 2.0 within atol=0, rtol=0",
        "expect nan ~= nan",
        "expect [inf, 1.0] ~= [inf, 1.0]",
        "expect isnan(nan)",
        "expect f(i64(3)) == 6",
        "expect zeros([2, 2]) == 0",
        "expect a.shape[0] == 3",
        "expect size(a) == 3",
    ],
)
def test_expectations_that_hold(tmp_path: Path, line: str) -> None:
    result = expects(tmp_path, NETS, line)
    assert result.status == "passed", result.message


@pytest.mark.parametrize(
    "line",
    [
        "expect f(1.0) == 2.1",
        "expect f(1.0) != 2.0",
        "expect f(1.0) < 2",
        "expect f(a) > 2.5",
        "expect f(a) ~= [2.0, 4.0, 6.1]",
        "expect false",
        "expect a > 1",
        "expect isnan(a)",
        "expect two(1.0) ~= (1.0, 2.5)",
        "expect f(1.0) ~= 2.0001",
        "expect f(1.0) ~= 2.0001 within rtol=1e-5",
        "expect f(0.0) ~= 1e-9 within rtol=0.5",
        "expect f(0.0) ~= 1e-9 within rtol=0.9, atol=0",
        "expect nan == nan",
        "expect nan ~= 1.0",
        "expect 1.0 ~= nan",
        "expect [inf] ~= [-inf]",
        "expect 1.0 ~= inf",
        "expect inf ~= 1.0",
        "expect 1.0 ~= inf within rtol=1",
    ],
)
def test_expectations_that_do_not_hold(tmp_path: Path, line: str) -> None:
    result = expects(tmp_path, NETS, line)
    assert result.status == "failed", result.message


@pytest.mark.parametrize(
    ("dtype", "good", "bad"), [("f16", 0.9e-3, 4e-3), ("f32", 0.9e-5, 3e-5), ("f64", 0.9e-10, 3e-10)]
)
def test_default_tolerances_by_dtype(tmp_path: Path, dtype: str, good: float, bad: float) -> None:
    line = f"expect {dtype}(1) ~= {dtype}({{}})"
    assert expects(tmp_path, NETS, line.format(1 + good)).status == "passed"
    assert expects(tmp_path, NETS, line.format(1 + bad)).status == "failed"


def test_the_default_atol_is_from_the_largest_element_of_b(tmp_path: Path) -> None:
    assert expects(tmp_path, NETS, "expect [1e-9, 100.0] ~= [0.0, 100.0]").status == "passed"
    assert expects(tmp_path, NETS, "expect [1e-7, 100.0] ~= [0.0, 100.0]").status == "failed"
    assert expects(tmp_path, NETS, "expect [100.0, 1e-9] ~= [1e-9, 0.0]").status == "failed"


def test_the_tolerance_is_that_of_the_narrower_side(tmp_path: Path) -> None:
    assert expects(tmp_path, NETS, "expect f32(0.1) ~= 0.1").status == "passed"
    assert expects(tmp_path, NETS, "expect f32(0.1) + f32(0.2) ~= 0.3").status == "passed"


def test_integers_are_compared_exactly(tmp_path: Path) -> None:
    assert expects(tmp_path, NETS, "expect i64(9007199254740993) == 9007199254740993").status == "passed"
    assert expects(tmp_path, NETS, "expect i64(9007199254740993) == 9007199254740992").status == "failed"
    assert expects(tmp_path, NETS, "expect i64(9007199254740993) ~= 9007199254740992").status == "failed"


# ── what a failure says ──


def test_a_failure_names_the_worst_element_both_values_and_the_tolerance(tmp_path: Path) -> None:
    result = expects(tmp_path, NETS, "expect [[1.0, 2.0], [3.0, 4.5]] ~= [[1.0, 2.1], [3.0, 4.0]] within rtol=1e-3")
    assert result.status == "failed"
    assert "[1, 1]" in result.message
    assert "4.5" in result.message
    assert "4" in result.message
    assert "0.001" in result.message or "1e-3" in result.message
    (found,) = result.diagnostics
    assert found.code == "NUM010"
    assert found.span is not None
    assert found.span.text.startswith("expect [[1.0, 2.0]")
    assert any("2 of 4" in note for note in found.notes)


def test_a_failure_prints_the_expression_and_both_values(tmp_path: Path) -> None:
    (found,) = expects(tmp_path, NETS, "expect f(a) == [2.0, 4.0, 7.0]").diagnostics
    assert found.span is not None
    assert "f(a) == [2.0, 4.0, 7.0]" in found.span.text
    notes = " ".join(found.notes)
    assert "6" in notes
    assert "7" in notes
    assert "[2]" in found.message


def test_nan_is_the_worst_element(tmp_path: Path) -> None:
    result = expects(tmp_path, NETS, "expect [5.0, nan] ~= [1.0, 1.0]")
    assert "nan" in result.message
    assert "[1]" in result.message


def test_a_false_element_is_named(tmp_path: Path) -> None:
    assert "[1, 0]" in expects(tmp_path, NETS, "expect [[true, true], [false, true]]").message


def test_a_member_of_a_tuple_is_named(tmp_path: Path) -> None:
    assert "member 1" in expects(tmp_path, NETS, "expect two(1.0) ~= (1.0, 2.5)").message


def test_all_failures_of_a_case_are_told(tmp_path: Path) -> None:
    result = expects(tmp_path, NETS, "expect 1 == 2", "expect 1 == 1", "expect 2 == 3")
    assert len(result.diagnostics) == 2


def test_an_f32_value_is_shown_with_its_own_digits(tmp_path: Path) -> None:
    result = expects(tmp_path, NETS, "expect f32(4.51) ~= f32(4.5)")
    assert "4.51" in result.message
    assert "4.510000" not in result.message


# ── expect error ──

ERRORS = "net g(x: f64[n], y: f64[n]) = x * y\nnet m(x: f64[2, 3]) = x @ x\nnet h(x: f64) = unknown_name\n"


@pytest.mark.parametrize(
    "line",
    [
        'expect error "inner sizes" in m(ones([2, 3]))',
        'expect error "SHP201" in m(ones([2, 3]))',
        'expect error "n" in g(ones([2]), ones([3]))',
        'expect error "unknown_name" in h(1.0)',
        'expect error "there is no" in nowhere(1.0)',
        'expect error "3 is out of range" in ones([3])[3]',
        'expect error "" in m(1.0)',
        'expect error "rows" in [[1], [2, 3]]',
        'expect error "`z`" in grad(g, wrt=z)(ones([2]), ones([2]))',
    ],
)
def test_refusals_that_are_expected(tmp_path: Path, line: str) -> None:
    result = expects(tmp_path, ERRORS, line)
    assert result.status == "passed", result.message


def test_an_expected_error_that_does_not_come(tmp_path: Path) -> None:
    result = expects(tmp_path, ERRORS, 'expect error "inner sizes" in ones([2, 2]) @ ones([2, 2])')
    assert result.status == "failed"
    assert "accepted" in result.message


def test_an_expected_error_that_says_something_else(tmp_path: Path) -> None:
    result = expects(tmp_path, ERRORS, 'expect error "purple" in m(ones([2, 3]))')
    assert result.status == "failed"
    assert "inner sizes" in result.message


def test_a_case_goes_on_after_an_expected_error(tmp_path: Path) -> None:
    result = expects(
        tmp_path, ERRORS, 'expect error "inner" in m(ones([2, 3]))', "y = g(ones([2]), ones([2]))", "expect y == 1.0"
    )
    assert result.status == "passed", result.message


def test_an_expected_error_covers_only_its_own_expression(tmp_path: Path) -> None:
    result = expects(tmp_path, ERRORS, 'expect error "inner" in m(ones([2, 3]))', "expect m(ones([2, 3])) == 1")
    assert result.status == "error"


# ── statements in cases ──


def test_a_case_binds_names_of_its_own(tmp_path: Path) -> None:
    lines = [
        "x = [1.0, 2.0]",
        "x[0] = 5.0",
        "for i in 0..2 {",
        "  x[i] += 1.0",
        "}",
        "net g(y) = y * 10",
        "p, q = two(x)",
        "expect g(q) == [120.0, 60.0]",
    ]
    result = expects(tmp_path, NETS, *lines)
    assert result.status == "passed", result.message


def test_names_of_one_case_are_not_seen_in_another(tmp_path: Path) -> None:
    results = run_cases('case "a" {\n  k = 1\n  expect k == 1\n}\ncase "b" {\n  expect k == 1\n}\n', tmp_path)
    assert [r.status for r in results] == ["passed", "error"]


def test_a_case_may_hide_an_input_of_the_file(tmp_path: Path) -> None:
    assert expects(tmp_path, NETS + "input x = 1.0\n", "x = 3.0", "expect f(x) == 6.0").status == "passed"


def test_an_input_without_a_value_in_a_case_is_an_error_that_says_so(tmp_path: Path) -> None:
    result = expects(tmp_path, NETS + "input x: f64\n", "expect f(x) == 6.0")
    assert result.status == "error"
    assert "x" in result.message


def test_params_in_cases_have_their_first_values(tmp_path: Path) -> None:
    text = "net U(x) {\n  param w: f64 = 3.0\n  return w * x\n}\n"
    assert (
        expects(
            tmp_path,
            text,
            "expect U(2.0) == 6.0",
            "expect grad(U, wrt=w)(2.0) == 2.0",
            "expect grad(U, wrt=params)(2.0) == 2.0",
        ).status
        == "passed"
    )


def test_a_case_without_expectations_is_refused(tmp_path: Path) -> None:
    result = expects(tmp_path, NETS, "x = 1")
    assert result.status == "error"
    assert result.diagnostics[0].code == "NAM015"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("expect f(1.0)", "SHP103"),
        ("expect f(1.0) ~= 2.0 within tol=1", "NAM022"),
        ("expect f(1.0) ~= 2.0 within rtol=-1", "NAM022"),
        ("expect two(1.0) ~= 2.0", "SHP115"),
        ("expect a ~= [1.0, 2.0]", "SHP101"),
        ("expect a ~= [[1.0, 2.0, 3.0]]", "SHP105"),
        ("expect unknown == 1", "NAM001"),
    ],
)
def test_wrong_expectations(tmp_path: Path, line: str, code: str) -> None:
    result = expects(tmp_path, NETS, line)
    assert result.status == "error"
    assert result.diagnostics[0].code == code, result.message


def test_a_number_is_compared_with_every_element(tmp_path: Path) -> None:
    assert expects(tmp_path, NETS, "expect ones([2, 3]) ~= 1.0").status == "passed"
    assert expects(tmp_path, NETS, "expect a ~= 1.0").status == "failed"


def test_an_error_when_a_case_runs_is_an_error_of_that_case(tmp_path: Path) -> None:
    text = "net at(x: f64[3], i: i64) = x[i]\n"
    results = run_cases(
        text + 'case "a" {\n  expect at([1.0, 2.0, 3.0], i64(7)) == 1.0\n}\ncase "b" {\n  expect true\n}\n', tmp_path
    )
    assert [r.status for r in results] == ["error", "passed"]


def test_two_cases_of_one_title(tmp_path: Path) -> None:
    results = run_cases('case "a" {\n  expect true\n}\ncase "a" {\n  expect true\n}\n', tmp_path)
    assert len(results) == 2 or results[0].status == "error"


def test_an_error_in_a_net_that_no_case_uses_does_not_fail_the_cases(tmp_path: Path) -> None:
    assert expects(tmp_path, NETS + "net broken(x) = unknown\n", "expect f(1.0) == 2.0").status == "passed"


def test_a_net_inside_a_case_sees_what_the_case_sees(tmp_path: Path) -> None:
    """The inputs of the file too, at any depth; a net of the file does not."""
    text = "net f(x) = 2 * x\ninput x = 3.0\n"
    lines = ["net g(y) {", "  net h(z) = z * x", "  return h(y) + x", "}", "expect g(2.0) == 9.0",
             "expect grad(g)(2.0) == 3.0"]  # fmt: skip
    assert expects(tmp_path, text, *lines).status == "passed"
    outside = expects(tmp_path, text.replace("net f(x) = 2 * x", "net f(y) = 2 * x"), "expect f(1.0) == 6.0")
    assert outside.diagnostics[0].code == "NAM001"
