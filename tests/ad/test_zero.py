"""Why a gradient is zero."""

from __future__ import annotations

from gradcli.ad.zero import why_zero
from gradcli.ir.aval import Aval
from gradcli.ir.graph import Builder, Value, apply
from gradcli.syntax.diagnostics import Source, Span
from tests.ir.graphs import build

SOURCE = Source("model.net", "".join(f"line {k}\n" for k in range(1, 20)))


def line(number: int) -> Span:
    start = SOURCE.line_starts()[number - 1]
    return Span(SOURCE, start, start + 4)


def why(make, *, outputs=None, wrt: int = 0):  # type: ignore[no-untyped-def]
    builder = Builder()
    x, y = builder.input(Aval((2,), "f64"), "x"), builder.input(Aval((2,), "f64"), "y")
    results = make(builder, x, y)
    return why_zero(builder.finish(results), wrt, outputs)


def stop(builder: Builder, x: Value, number: int) -> Value:
    with builder.at(line(number)):
        return apply("stop_gradient", x)


def test_a_path() -> None:
    assert why(lambda b, x, y: [x * y]) is None


def test_a_path_that_only_numbers_make_zero() -> None:
    assert why(lambda b, x, y: [x * 0.0]) is None


def test_no_path() -> None:
    assert why(lambda b, x, y: [y * y]) == {"reason": "no path", "at": []}
    assert why(lambda b, x, y: [x, y], outputs=[1]) == {"reason": "no path", "at": []}


def test_stopped_everywhere() -> None:
    found = why(lambda b, x, y: [stop(b, x, 12) * y, stop(b, x * x, 3) + y])
    assert found == {"reason": "stopped", "at": ["model.net:12", "model.net:3"]}


def test_stopped_on_one_path_only() -> None:
    assert why(lambda b, x, y: [stop(b, x, 12) * x]) is None


def test_a_stop_that_leads_nowhere_is_no_reason() -> None:
    def make(b: Builder, x: Value, y: Value) -> list[Value]:
        stop(b, x, 12)
        return [y]

    assert why(make) == {"reason": "no path", "at": []}


def test_flat() -> None:
    def make(b: Builder, x: Value, y: Value) -> list[Value]:
        with b.at(line(5)):
            return [apply("floor", x) * y + stop(b, x, 12)]

    also = [{"reason": "stopped", "at": ["model.net:12"]}]
    assert why(make) == {"reason": "flat", "at": ["model.net:5"], "also": also}


def test_through_an_integer_is_flat() -> None:
    def make(b: Builder, x: Value, y: Value) -> list[Value]:
        with b.at(line(7)):
            whole = apply("cast", x, dtype="i64")
        return [apply("cast", whole, dtype="f64") * y]

    assert why(make) == {"reason": "flat", "at": ["model.net:7"]}


def test_an_integer_input_of_another_graph_is_unchanged() -> None:
    graph = build(lambda x, y: x * x, "f64", "f64")
    assert why_zero(graph, 1) == {"reason": "no path", "at": []}


def test_the_prelude_is_no_place_of_a_model() -> None:
    prelude = Source("prelude.net", "net f(x) = x\n", prelude=True)

    def make(b: Builder, x: Value, y: Value) -> list[Value]:
        with b.at(Span(prelude, 4, 5), line(9)):
            return [apply("stop_gradient", x)]

    assert why(make) == {"reason": "stopped", "at": ["model.net:9"]}
