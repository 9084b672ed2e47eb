"""What cannot fit is refused before anything is allocated."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from gradcli.ir.aval import Aval
from gradcli.ir.graph import Builder, Graph, apply
from gradcli.plan import available_memory, check_memory, human_bytes, make_plan
from gradcli.syntax.diagnostics import ModelError, Source, Span
from tests.conftest import ROOT
from tests.ir.graphs import build

SOURCE = Source("model.net", "net f(x) {\n  h = outer(x)\n  return sum(h)\n}\n")


def outer(n: int) -> Graph:
    """An n × n array in line 2."""
    builder = Builder()
    x = builder.input(Aval((n, 1), "f64"), "x")
    with builder.at(Span(SOURCE, 17, 25)):
        h = x * apply("transpose", x, axes=(1, 0))
    h.hint = "h"
    return builder.finish([apply("reduce_sum", h, axes=(0, 1))])


def refusal(graph: Graph, limit: int | None) -> ModelError:
    with pytest.raises(ModelError) as caught:
        check_memory(make_plan(graph), limit)
    assert caught.value.exit_code == (3 if limit is None else 2), "of the machine, or of what was asked for"
    return caught.value


def test_an_array_larger_than_the_machine() -> None:
    (diagnostic,) = refusal(outer(10**9), None).diagnostics
    assert diagnostic.code == "NUM001"
    assert "`h`, f64[1000000000, 1000000000] takes 8 EB" in diagnostic.message
    assert diagnostic.notes == ("the plan of the whole model takes 8 EB",)
    assert "`--memory BYTES` is another limit" in str(diagnostic.help)
    assert diagnostic.span == Span(SOURCE, 17, 25)


def test_an_array_larger_than_the_limit() -> None:
    (diagnostic,) = refusal(outer(1000), 1_000_000).diagnostics
    assert diagnostic.message.endswith("`h`, f64[1000, 1000] takes 8 MB; 1 MB are allowed by --memory")


def test_arrays_that_fit_alone_but_not_together() -> None:
    graph = build(lambda x: (apply("sin", x), apply("cos", x)), "f64[1000]")
    (diagnostic,) = refusal(graph, 20_000).diagnostics
    assert diagnostic.message == ("the model does not fit into memory: it takes 24 kB; 20 kB are allowed by --memory")
    check_memory(make_plan(graph), 24_000)


def test_what_fits_passes() -> None:
    check_memory(make_plan(outer(10)), None)
    check_memory(make_plan(outer(10)), 10_000)


def test_this_machine_says_what_it_has() -> None:
    available = available_memory()
    assert available is None or available > 1_000_000


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (1536, "1.54 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (8 * 10**9, "8 GB"),
        (10**24, "1 YB"),
        (10**400, "over 1000 YB"),
    ],
)
def test_human_bytes(size: int, text: str) -> None:
    assert human_bytes(size) == text


def test_containers_and_limits_of_the_process_say_what_they_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    files = {
        "/proc/meminfo": "MemTotal: 100 kB\nMemAvailable:   50000 kB\n",
        "/sys/fs/cgroup/memory.max": "30000000\n",
        "/sys/fs/cgroup/memory.current": "10000000\n",
        "/sys/fs/cgroup/memory.stat": "anon 1\ninactive_file 2000000\n",
    }
    monkeypatch.setattr("gradcli.plan.memory._read", lambda path: files.get(path, ""))
    assert available_memory() == 22_000_000
    files["/proc/self/statm"] = "1000 200 30\n"
    kept = (40_000_000, -1)
    monkeypatch.setattr(resource, "getrlimit", lambda which: kept)
    monkeypatch.setattr(resource, "getpagesize", lambda: 20_000)
    assert available_memory() == 20_000_000
    kept = (10_000_000, -1)
    assert available_memory() == 0  # it holds more than it may
    kept = (resource.RLIM_INFINITY, -1)
    assert available_memory() == 22_000_000
    files["/sys/fs/cgroup/memory.max"] = "max\n"
    assert available_memory() == 50000 * 1024


MODEL = (
    "-e",
    "sum(exp(sin(x)) * tanh(x) + cumsum(cos(x), axis=0))",
    "-i",
    "x=arange(20_000_000) / 7e6",
    "--threads",
    "3",
)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps to `ulimit -v`")
@pytest.mark.parametrize("limit", [450_000, 700_000])
def test_a_process_that_may_take_little(limit: int) -> None:
    """In kilobytes of addresses: what the plan knows is refused before it runs; else the run says what is missing."""
    command = f"ulimit -v {limit}; exec {sys.executable} -m gradcli eval " + " ".join(f"'{word}'" for word in MODEL)
    ran = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ran.stdout == ""
    assert "Traceback" not in ran.stderr
    assert ran.returncode == 3
    assert ran.stderr.startswith(("error[NUM001]", "error[ENV090]"))
    assert re.search(r"takes 4\d\d MB", ran.stderr)
    assert "`--memory BYTES`" in ran.stderr
