"""How much memory a plan takes, how much there is, and the refusal before anything is allocated."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from gradcli.ir.aval import Aval
from gradcli.ir.dims import definite
from gradcli.plan.flat import FlatPlan, span_of
from gradcli.plan.plan import Plan
from gradcli.syntax.diagnostics import ENVIRONMENT, USAGE, ModelError, Span, fail

UNITS = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB", "RB")
HELP = "a smaller model or batch, or `--dtype f32`"
MORE = f"{HELP}; `--memory BYTES` is another limit"


def check_memory(plan: Plan | FlatPlan, limit: int | None, device: int | None = None) -> None:
    """Raises ModelError NUM001 where the plan takes more than `limit` bytes, than `device` (what a GPU has left), or
    than the machine has to give.

    The first two count inputs, too; without them, inputs are taken to be loaded already.
    """
    if fits(plan, limit, device):
        return
    available, need = _available(limit, device), human_bytes(_need(plan, limit, device))
    assert available is not None
    value, largest = plan.largest, human_bytes(plan.largest_bytes)
    if value is not None and plan.largest_bytes > available:
        what = f"`{value.hint}`, " if value.hint else ""
        raise too_large(
            f"an array does not fit into memory: {what}{value.aval} takes {largest}",
            available,
            limit,
            span_of(value.node),
            device=device,
            label=f"{value.aval}: {largest}",
            notes=[f"the plan of the whole model takes {need}"],
        )
    raise too_large(
        f"the model does not fit into memory: it takes {need}",
        available,
        limit,
        span_of(plan.at_peak),
        device=device,
        label="most memory is in use here",
        notes=[] if value is None else [f"the largest array is {value.aval}: {largest}"],
    )


def check_array(aval: Aval, name: str, limit: int | None) -> None:
    """Raises ModelError NUM001 where one array that is to be made takes more than `limit`, or than there is."""
    available = available_memory() if limit is None else limit
    size = definite(aval.nbytes)
    if available is not None and size > available:
        text = f"an array does not fit into memory: `{name}`, {aval} takes {human_bytes(size)}"
        raise too_large(text, available, limit)


def too_large(
    what: str,
    available: int,
    limit: int | None,
    span: Span | None = None,
    *,
    device: int | None = None,
    label: str = "",
    notes: Sequence[str] = (),
    help: str | None = None,
) -> ModelError:
    """NUM001 on what takes more than is `available`: that is the `limit` that was asked for (exit 2), or what the
    machine has to give, or its GPU (`device`; both exit 3)."""
    words = "allowed by --memory" if available == limit else "free on the GPU" if available == device else "available"
    return fail(
        "NUM001",
        f"{what}; {human_bytes(available)} are {words}",
        span,
        label=label,
        notes=notes,
        help=help or (MORE if available not in (limit, device) else HELP),
        exit_code=USAGE if available == limit else ENVIRONMENT,
    )


def fits(plan: Plan | FlatPlan, limit: int | None, device: int | None = None) -> bool:
    """Whether a plan takes at most `limit` bytes and what `device` has left, or what the machine has to give."""
    available = _available(limit, device)
    return available is None or _need(plan, limit, device) <= available


def _available(limit: int | None, device: int | None) -> int | None:
    given = [size for size in (limit, device) if size is not None]
    return min(given) if given else available_memory()


def _need(plan: Plan | FlatPlan, limit: int | None, device: int | None) -> int:
    return plan.peak if limit is None and device is None else plan.peak + plan.input_bytes


def available_memory() -> int | None:
    """Bytes that can be taken without swapping, within the limits of the container and the process; None where nobody
    tells."""
    found = [size for size in (_of_the_machine(), _of_the_container(), _of_the_process()) if size is not None]
    return min(found, default=None)


def human_bytes(size: int) -> str:
    """`1.5 GB`: powers of 1000, three digits."""
    if size < 1000:
        return f"{size} B"
    if size >= 10**27:
        return "over 1000 YB"
    number, unit = float(size), 0
    while number >= 999.5:
        number, unit = number / 1000, unit + 1
    return f"{number:.3g} {UNITS[unit]}"


def _of_the_machine() -> int | None:
    for line in _read("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _of_the_container() -> int | None:
    """What the control group still allows: its limit less what it holds, but for files that can be dropped."""
    for folder, most, used in (
        ("/sys/fs/cgroup", "memory.max", "memory.current"),
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        limit, taken = _read(f"{folder}/{most}").strip(), _read(f"{folder}/{used}").strip()
        if limit.isdigit() and taken.isdigit():
            files = [line for line in _read(f"{folder}/memory.stat").splitlines() if line.startswith("inactive_file ")]
            return max(0, int(limit) - int(taken) + sum(int(line.split()[1]) for line in files))
    return None


def _of_the_process() -> int | None:
    """What `ulimit -v` still allows."""
    pages = _read("/proc/self/statm").split()
    if not pages:
        return None
    import resource  # where there is such a file, there is this module

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if limit == resource.RLIM_INFINITY else max(0, limit - int(pages[0]) * resource.getpagesize())


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""
