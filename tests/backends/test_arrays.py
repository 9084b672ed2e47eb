"""Arrays as users have them: turned, with gaps, not aligned, of another byte order, read-only, of no elements, and of
more elements than 32 bits count."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gradcli
from gradcli.ad.reverse import reverse
from gradcli.backends import numpy as backend
from gradcli.backends.lanes import InOrder
from gradcli.ir.graph import Graph, apply
from gradcli.passes.pipeline import optimize
from gradcli.plan import Tiling, available_memory, make_plan
from tests.ir.graphs import arrays_for as normal
from tests.ir.graphs import build, graphs
from tests.plan.drawn import arrays_for, programs
from tests.plan.spied import Array, watched
from tests.plan.test_exact import LARGE, examples, large


def unaligned(x: Array) -> Array:
    """One byte past where it should begin."""
    memory = np.zeros(x.nbytes + 1, np.uint8)
    made = memory[1:].view(x.dtype).reshape(x.shape)
    made[...] = x
    return made


def gaps(x: Array) -> Array:
    made = np.zeros([2 * size for size in x.shape], x.dtype)[tuple(slice(None, None, 2) for _ in x.shape)]
    made[...] = x
    return made


def backwards(x: Array) -> Array:
    turn = tuple(slice(None, None, -1) for _ in x.shape)
    return np.ascontiguousarray(x[turn])[turn]


def mapped(x: Array) -> Array:
    """Every element the same, and there once."""
    return np.broadcast_to(x.reshape(-1)[:1].reshape(()) if x.size else x, x.shape)


def turned(x: Array) -> Array:
    return np.asfortranarray(x)


def laid(layout: str, arrays: list[Array]) -> list[Array]:
    """Arrays so laid out; a number lies as it does."""
    return [LAYOUTS[layout](array) if array.ndim else array for array in arrays]


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "turned": turned, "gaps": gaps, "backwards": backwards, "unaligned": unaligned, "one element": mapped,
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", LARGE)
def test_large_programs(name: str, layout: str) -> None:
    """Each step is held against NumPy on the same arrays, which cannot be written to."""
    graph = large(name)
    watched(graph, laid(layout, arrays_for(graph, 0)), Tiling())


@examples(25)
@given(programs(), st.integers(0, 2**16), st.sampled_from([*LAYOUTS]))
def test_random_programs(graph: Graph, seed: int, layout: str) -> None:
    for rows in (7, None):
        watched(graph, laid(layout, arrays_for(graph, seed)), Tiling(rows=rows))


@settings(max_examples=30)
@given(graphs(smooth=False), st.integers(0, 2**16))
def test_programs_on_arrays_without_elements(graph: Graph, seed: int) -> None:
    for rows in (1, 7):
        watched(graph, normal(graph, seed), Tiling(rows=rows))


@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.data())
def test_a_part_in_order(shape: list[int], data: Any) -> None:
    x = np.asfortranarray(np.arange(np.prod(shape)).reshape(shape))
    start = data.draw(st.integers(0, x.size - 1))
    stop = data.draw(st.integers(start + 1, x.size))
    np.testing.assert_array_equal(InOrder(x)[slice(start, stop),], x.reshape(-1)[start:stop])


# ── through the front door ──────────────────────────────────────────────────────────────────────────────────

MODEL = "net f(x: f64[n, m], w: f64[m], i: i64[k]) = sum(tanh(x[i]) * exp(-w), axis=1) + sum(w)"


def forms(x: Array) -> dict[str, Any]:
    masked = np.ma.MaskedArray(x)
    found = {name: layout(x) for name, layout in LAYOUTS.items() if name != "one element"}
    swapped = x.astype(x.dtype.newbyteorder())
    read_only = x.copy()
    read_only.flags.writeable = False
    return {**found, "swapped": swapped, "read-only": read_only, "masked": masked, "list": x.tolist()}


@pytest.mark.parametrize("verb", ["eval", "grad"])
def test_a_compiled_net(verb: str) -> None:
    net = gradcli.compile(MODEL)
    rng = np.random.default_rng(0)
    x, w, i = rng.normal(size=(400, 30)), rng.normal(size=30), rng.integers(0, 400, 900)
    options: dict[str, Any] = {} if verb == "eval" else {"get_all": True}
    call = net.compile(verb, threads=2, **options)
    expected = call(x=x, w=w, i=i)
    for form, given_x in forms(x).items():
        given_w, given_i = forms(w)[form], forms(i)[form]
        before = np.array(given_x)
        for _ in range(2):  # the first call of a form, and one that is known
            found = call(x=given_x, w=given_w, i=given_i)
            for name, array in expected.items():
                np.testing.assert_allclose(found[name], array, rtol=1e-13, atol=1e-13, err_msg=form)
                assert found[name].flags.writeable
        np.testing.assert_array_equal(np.array(given_x), before)


def test_a_compiled_net_in_several_threads_at_once() -> None:
    call = gradcli.compile(MODEL).compile("grad", get_all=True, threads=2)
    rng = np.random.default_rng(0)
    given = [
        {"x": rng.normal(size=(300 + k % 2, 30)), "w": rng.normal(size=30), "i": np.arange(900) % 300} for k in range(4)
    ]
    fresh = [gradcli.compile(MODEL).grad(get_all=True, threads=1, **arrays) for arrays in given]
    wrong: list[int] = []

    def work(k: int) -> None:
        for _ in range(15):
            found = call(**given[k])
            if not all(np.array_equal(found[name], array) for name, array in fresh[k].items()):
                wrong.append(k)

    callers = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(60)
    assert not any(caller.is_alive() for caller in callers)
    assert not wrong


def test_a_compiled_net_that_calls_itself_while_it_reads_an_input() -> None:
    call = gradcli.compile("net f(x: f64[n]) = sum(x ** 2)").compile("grad")

    class Lazy:
        """An input that is computed by the very net, when it is read."""

        def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
            return np.asarray(call(x=np.arange(3.0))["x"])

    np.testing.assert_array_equal(call(x=Lazy())["x"], 4 * np.arange(3.0))


# ── large ───────────────────────────────────────────────────────────────────────────────────────────────────

HUGE = 2**31 + 11
room = available_memory() or 0


def test_what_is_turned_is_not_written_out_as_a_whole() -> None:
    """16 GB, if it were."""
    wide = InOrder(np.broadcast_to(np.arange(2.0)[:, None], (2, 2**30 + 1)))
    np.testing.assert_array_equal(wide[slice(2**30 - 1, 2**30 + 3),], [0, 0, 1, 1])
    tall = InOrder(np.broadcast_to(np.arange(5.0), (2**29, 5)))
    np.testing.assert_array_equal(tall[slice(2**31 + 1, 2**31 + 8),], (np.arange(7) + 2**31 + 1) % 5)


@pytest.mark.skipif(not os.environ.get("GRADCLI_EXHAUSTIVE") or room < 6e9, reason="minutes, and gigabytes")
@pytest.mark.parametrize("turned", [False, True])
def test_sums_over_more_elements_than_32_bits_count(turned: bool) -> None:
    shape = f"{2**16}, {2**15 + 1}" if turned else f"{HUGE}"
    count = 2**16 * (2**15 + 1) if turned else HUGE
    graph = build(lambda x: apply("reduce_sum", x * x + 1.0, axes=tuple(range(x.rank))), f"f32[{shape}]")
    x = np.broadcast_to(np.float32(0.5), graph.inputs[0].shape)  # type: ignore[arg-type]  # known
    (found,) = backend.run(make_plan(graph), [x], 2)
    assert abs(float(found) / (1.25 * count) - 1) < 1e-4


@pytest.mark.skipif(not os.environ.get("GRADCLI_EXHAUSTIVE") or room < 6e9, reason="minutes, and gigabytes")
def test_results_of_more_elements_than_32_bits_count() -> None:
    """2 GB of flags, looked at near both ends."""
    graph = build(lambda x, y: apply("logical_and", apply("logical_not", x), y), f"bool[{HUGE}]", f"bool[{HUGE}]")
    x = np.zeros(HUGE, bool)
    x[-3] = True
    (found,) = backend.run(make_plan(graph), [x, np.broadcast_to(True, HUGE)], 2)
    assert found[0]
    assert not found[-3]
    assert np.count_nonzero(found) == HUGE - 1


def test_gradients_do_not_write_into_what_they_read() -> None:
    graph = build(lambda x: apply("reduce_sum", apply("exp", x) * x, axes=(0, 1)), "f64[300, 200]")
    gradient = optimize(reverse(graph, [0]))
    x = arrays_for(graph, 0)[0]
    before = x.copy()
    for workers in (1, 3):
        backend.run(make_plan(gradient), [x], workers)
        np.testing.assert_array_equal(x, before)
