"""Convolution and pooling as PyTorch has them: layouts `[N, C, L]` and `[N, C, H, W]`, and their defaults.

Both look at an array through sliding windows (`ops/windows.py`). A convolution is one matrix product for the whole
batch: with the windows written out as `cols[c · k, n · p]` (channel, place in the kernel; item, place of the window),

    y[o, n · p] = w[o, c · k] @ cols[c · k, n · p]

A pool reduces windows that are written out with their own dims in front, where a reduction reads whole rows.
"""

from __future__ import annotations

from typing import Any

from gradcli.interp import arrays, expressions, indexing
from gradcli.interp.arranging import Pads, filled
from gradcli.interp.dtypes import WEAK_FLOAT, rank_of, settle
from gradcli.interp.signature import Site, operator, read_flag, read_numbers
from gradcli.interp.values import Arr
from gradcli.ir import dims as sizes
from gradcli.ir.dims import Poly, Size
from gradcli.ir.primitive import ShapeError, primitive
from gradcli.ops.windows import span

# ── convolution ─────────────────────────────────────────────────────────────────────────────────────────────


@operator(
    "conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1)",
    "neural",
    "The cross-correlation of `[N, C, L]` with kernels `[O, C / groups, K]`: `[N, O, L′]`. Padding is a number of "
    'zeros on both sides, "same" or "valid".',
)
def _conv1d(site: Site, *args: Any) -> Arr:
    return _conv(site, "conv1d", 1, *args)


@operator(
    "conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1)",
    "neural",
    "The cross-correlation of `[N, C, H, W]` with kernels `[O, C / groups, K, L]`: `[N, O, H′, W′]`. Stride, padding "
    'and dilation are integers or pairs; padding is also "same" or "valid".',
)
def _conv2d(site: Site, *args: Any) -> Arr:
    return _conv(site, "conv2d", 2, *args)


def _conv(
    site: Site, name: str, count: int, x: Any, w: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: Any
) -> Arr:
    operands = _floats(site, [x, w] if bias is None else [x, w, bias])
    arr, kernels = operands[:2]
    _refuse_ranks(name, arr, kernels, count)
    (parts,) = read_numbers(groups, 1, "groups", least=1)
    _refuse_channels(name, arr.dims[-1 - count], kernels, parts)
    steps = read_numbers(stride, count, "stride", least=1)
    apart = read_numbers(dilation, count, "dilation", least=1)
    kernel = _kernel(name, kernels, count)
    pads = _padding(padding, kernel, steps, apart)
    batch = arr if arr.rank == count + 2 else indexing.reshape(site.ctx, arr, (1, *arr.dims))
    padded = filled(site.ctx, batch, [(0, 0), (0, 0), *pads], 0)
    _refuse_windows(name, batch, padded, kernel, apart)
    out = _products(site, padded, kernels, parts, kernel, steps, apart)
    if padding == "same":
        kept = zip(out.dims[2:], batch.dims[2:], strict=True)
        out = Arr(out.value, (*out.dims[:2], *[sizes.named(d, sizes.name_of(old)) for d, old in kept]), out.weak)
    if bias is not None:
        out = _plus_bias(site, name, out, operands[2], count)
    return out if batch is arr else indexing.reshape(site.ctx, out, out.dims[1:])


def _products(
    site: Site, x: Arr, w: Arr, groups: int, kernel: tuple[int, ...], steps: tuple[int, ...], apart: tuple[int, ...]
) -> Arr:
    """`[N, C, *n]` and `[O, C / groups, *k]` give `[N, O, *p]`, by one matrix product for each group."""
    ctx, count = site.ctx, len(kernel)
    seen = _windows(site, x, kernel, steps, apart)
    places = seen.dims[2 : 2 + count]
    order = (1, *range(2 + count, 2 + 2 * count), 0, *range(2, 2 + count))
    cols = indexing.copy(site.ctx, indexing.transpose(ctx, seen, order))
    lead: tuple[Size, ...] = () if groups == 1 else (groups,)
    n_out, inner = w.dims[0], sizes.product(w.dims[1:])
    each = n_out if groups == 1 else sizes.divide(n_out, groups) or 0
    cols = indexing.reshape(ctx, cols, (*lead, inner, sizes.product((x.dims[0], *places))))
    rows = indexing.reshape(ctx, w, (*lead, each, inner))
    out = expressions.matmul(ctx, rows, cols)
    out = indexing.reshape(ctx, out, (n_out, x.dims[0], *places), weak=x.weak)
    return indexing.transpose(ctx, out, (1, 0, *range(2, 2 + count)))


def _plus_bias(site: Site, name: str, out: Arr, bias: Arr, count: int) -> Arr:
    if bias.rank != 1 or not sizes.equal(bias.dims[0], out.dims[1], name):
        raise ShapeError("SHP207", f"{name} has {out.dims[1]} output channels, the bias is {bias}", (1, 2))
    column = indexing.reshape(site.ctx, bias, (out.dims[1], *(1,) * count))
    made = expressions.binary(site.ctx, "+", out, column)
    return Arr(made.value, out.dims, made.weak)


def _padding(given: Any, kernel: tuple[int, ...], steps: tuple[int, ...], apart: tuple[int, ...]) -> Pads:
    """Zeros on both sides. "same" puts the odd one behind, as PyTorch does."""
    if given == "valid":
        return [(0, 0)] * len(kernel)
    if given == "same":
        if set(steps) != {1}:
            raise ShapeError("SHP110", '`padding` "same" goes with a stride of 1 only', (), "give it as a number")
        totals = [span(size, dilation) - 1 for size, dilation in zip(kernel, apart, strict=True)]
        return [(total // 2, total - total // 2) for total in totals]
    if isinstance(given, str):
        raise ShapeError("SHP110", f'`padding` is a number, "same" or "valid", not "{given}"')
    return [(pad, pad) for pad in read_numbers(given, len(kernel), "padding", least=0)]


# ── what convolution refuses ────────────────────────────────────────────────────────────────────────────────


def _refuse_ranks(name: str, x: Arr, w: Arr, count: int) -> None:
    space = ", ".join("L" if count == 1 else "HW")
    if x.rank not in (count + 1, count + 2):
        raise ShapeError("SHP107", f"the input of {name} is [N, C, {space}] or [C, {space}], not {x}", (0,))
    if w.rank != count + 2:
        raise ShapeError("SHP107", f"the weight of {name} has {count + 2} dims, [O, C / groups, K…], not {w}", (1,))


def _refuse_channels(name: str, channels: Size, w: Arr, groups: int) -> None:
    if not sizes.equal(channels, w.dims[1] * groups, name):
        of = f"in {groups} groups of {w.dims[1]}" if groups > 1 else f"for {w.dims[1]}"
        raise ShapeError("SHP206", f"{name}: the input has {channels} channels, the weight is {of}", (0, 1))
    if sizes.divide(w.dims[0], groups, name) is None:
        raise ShapeError("SHP206", f"{name}: {w.dims[0]} output channels do not make {groups} equal groups", (1,))


def _kernel(name: str, w: Arr, count: int) -> tuple[int, ...]:
    found = []
    for size in w.dims[-count:]:
        if isinstance(size, Poly):
            raise ShapeError("SHP119", f"{name}: the size {size} of the kernel is not known yet", (1,))
        if size < 1:
            raise ShapeError("SHP205", f"{name}: a kernel without elements, {w}", (1,))
        found.append(int(size))
    return tuple(found)


def _refuse_windows(name: str, x: Arr, padded: Arr, kernel: tuple[int, ...], apart: tuple[int, ...]) -> None:
    count = len(kernel)
    spans = map(span, kernel, apart)
    for n, m, reach in zip(x.dims[-count:], padded.dims[-count:], spans, strict=True):
        if not sizes.at_least(m, reach, name):
            wide = f"{n}, padded to {m}" if m != n else f"{n}"
            raise ShapeError("SHP205", f"{name}: a kernel that spans {reach} is larger than the input: {wide}", (0, 1))


# ── pooling ─────────────────────────────────────────────────────────────────────────────────────────────────


@operator(
    "max_pool2d(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=false)",
    "neural",
    "The largest element of every window over the last two dims of `[N, C, H, W]`; what is padded is -inf. The stride "
    "is the size of the kernel where none is given. Ties share the cotangent evenly.",
)
def _max_pool2d(site: Site, x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil: Any) -> Arr:
    pool = _Pool("max_pool2d", kernel_size, stride, padding, dilation, ceil)
    (arr,) = _floats(site, [x])
    return pool.reduce(site, "reduce_max", pool.padded(site, arr, -float("inf")))


@operator(
    "avg_pool2d(input, kernel_size, stride=None, padding=0, ceil_mode=false, count_include_pad=true)",
    "neural",
    "The mean of every window over the last two dims of `[N, C, H, W]`. Zeros that are padded count as elements, "
    "unless `count_include_pad` is false.",
)
def _avg_pool2d(site: Site, x: Any, kernel_size: Any, stride: Any, padding: Any, ceil: Any, include: Any) -> Arr:
    pool = _Pool("avg_pool2d", kernel_size, stride, padding, 1, ceil)
    counted = read_flag(include, "count_include_pad")
    (arr,) = _floats(site, [x])
    padded = pool.padded(site, arr, 0)
    total = pool.reduce(site, "reduce_sum", padded)
    made = expressions.binary(site.ctx, "/", total, pool.divisor(site, arr, counted))
    return Arr(made.value, total.dims, made.weak)


class _Pool:
    """The windows of a pool: what the arguments say, and how far each dim is padded."""

    def __init__(self, name: str, size: Any, stride: Any, padding: Any, dilation: Any, ceil: Any) -> None:
        self.name = name
        self.kernel = read_numbers(size, 2, "kernel_size", least=1)
        self.steps = self.kernel if stride is None else read_numbers(stride, 2, "stride", least=1)
        self.pads = read_numbers(padding, 2, "padding", least=0)
        self.apart = read_numbers(dilation, 2, "dilation", least=1)
        self.ceil = read_flag(ceil, "ceil_mode")
        for pad, size_, dilation_ in zip(self.pads, self.kernel, self.apart, strict=True):
            if 2 * pad > span(size_, dilation_):
                reach = span(size_, dilation_)
                raise ShapeError("SHP205", f"`padding` is at most half of a kernel that spans {reach}, not {pad}")

    def padded(self, site: Site, x: Arr, fill: float) -> Arr:
        """With a last window that hangs over where `ceil_mode` asks for it. Raises ShapeError SHP107, SHP205."""
        if x.rank not in (3, 4):
            raise ShapeError("SHP107", f"the input of {self.name} is [N, C, H, W] or [C, H, W], not {x}", (0,))
        behind = [pad + self.overhang(k, x.dims[k - 2]) for k, pad in enumerate(self.pads)]
        made = filled(site.ctx, x, [(0, 0)] * (x.rank - 2) + list(zip(self.pads, behind, strict=True)), fill)
        _refuse_windows(self.name, x, made, self.kernel, self.apart)
        return made

    def overhang(self, k: int, n: Size) -> int:
        """How far the last window of dim k reaches behind the padding: it begins in the input, or before it."""
        if not self.ceil or self.steps[k] == 1:
            return 0
        if isinstance(n, Poly):
            raise ShapeError("SHP119", f"where the last window of a dim of size {n} ends depends on it", (0,))
        whole = int(n) + 2 * self.pads[k]
        rest = whole - span(self.kernel[k], self.apart[k])
        last = -(-rest // self.steps[k]) * self.steps[k]
        if last >= n + self.pads[k]:
            last -= self.steps[k]
        return max(0, last - rest)

    def reduce(self, site: Site, prim: str, padded: Arr) -> Arr:
        """One number for each window."""
        seen = _windows(site, padded, self.kernel, self.steps, self.apart)
        front = (seen.rank - 2, seen.rank - 1, *range(seen.rank - 2))
        rows = indexing.copy(site.ctx, indexing.transpose(site.ctx, seen, front))
        out = arrays.emit(site.ctx, primitive(prim), [rows], {"axes": (0, 1)}, dims=seen.dims[:-2])
        return Arr(out.value, seen.dims[:-2], padded.weak)

    def divisor(self, site: Site, x: Arr, include: bool) -> Any:
        """How many elements each window has. The part of a window that hangs over the padding never counts."""
        whole = self.kernel[0] * self.kernel[1]
        hangs = any(self.overhang(k, x.dims[k - 2]) for k in (0, 1))
        if not hangs and (include or not any(self.pads)):
            return whole
        space = x.dims[-2:]
        if include:
            space = tuple(n + 2 * pad for n, pad in zip(space, self.pads, strict=True))
        one = arrays.settle_arr(site.ctx, site.arr(1.0), x.dtype, weak=x.weak)
        ones = indexing.broadcast_to(site.ctx, one, space)
        before = (0, 0) if include else self.pads
        after = [b + self.overhang(k, x.dims[k - 2]) for k, b in enumerate(before)]
        return self.reduce(site, "reduce_sum", filled(site.ctx, ones, list(zip(before, after, strict=True)), 0))


# ── shared ──────────────────────────────────────────────────────────────────────────────────────────────────


def _floats(site: Site, values: list[Any]) -> list[Arr]:
    """Operands in one float dtype."""
    found = [site.arr(value) for value in values]
    dtype, weak = settle(max([WEAK_FLOAT, *map(rank_of, found)]), site.ctx.weak_float)
    return [arrays.settle_arr(site.ctx, arr, dtype, weak=weak) for arr in found]


def _windows(site: Site, x: Arr, kernel: tuple[int, ...], steps: tuple[int, ...], apart: tuple[int, ...]) -> Arr:
    params = {"sizes": kernel, "strides": steps, "dilations": apart}
    out = arrays.emit(site.ctx, primitive("windows"), [x], params)
    lead = x.rank - len(kernel)
    return Arr(out.value, (*x.dims[:lead], *out.value.shape[lead:]), x.weak)
