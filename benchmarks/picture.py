"""A run as a picture: for each suite a panel, ratio by size, both on logarithmic scales.

All panels have one scale of ratios, from a tenth to tenfold, so that heights compare; below the line at 1 gradcli is
ahead. A full mark meets its goal, a hollow one does not, and a short bar at its place is the goal; what lies beyond the
scale is an arrow at its edge. Colours follow the reader's light or dark scheme; the paper is drawn, too, so the picture
is right on any page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from benchmarks.engines import TITLES, YARDSTICKS
from benchmarks.goals import Verdict, verdicts
from benchmarks.measure import Outcome
from benchmarks.publish import Run
from benchmarks.suites import suite_of
from benchmarks.table import times
from benchmarks.workload import amount

ACROSS, WIDTH, HEIGHT = 4, 222, 190
LEFT, RIGHT, TOP, BOTTOM = 34, 14, 40, 34  # around the axes of a panel
HEAD = 46
TICKS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
APART = 11  # between ratios that are written one below the other

LIGHT = {
    ".paper": "fill: #ffffff", ".ahead": "fill: #edf7ee", ".ink": "fill: #1f2328", ".faint": "fill: #59636e",
    ".grid": "stroke: #d8dee4", ".one": "stroke: #1f2328",
}  # fmt: skip
DARK = {
    ".paper": "fill: #0d1117", ".ahead": "fill: #12261a", ".ink": "fill: #e6edf3", ".faint": "fill: #9198a1",
    ".grid": "stroke: #30363d", ".one": "stroke: #e6edf3",
}  # fmt: skip
COLOURS = (("#0b62d6", "#58a6ff"), ("#b35900", "#f0a04b"), ("#1a7f37", "#56d364"), ("#8250df", "#bc8cff"))


@dataclass(frozen=True, slots=True)
class Point:
    size: int
    verdict: Verdict

    @property
    def ratio(self) -> float:
        assert self.verdict.ratio is not None
        return self.verdict.ratio


Series = dict[str, list[Point]]  # by what tells them apart


def picture(run: Run) -> str:
    """The picture as SVG."""
    panels = [(name, found) for name in run.suites if (found := series(run.of(name)))]
    width, height = ACROSS * WIDTH + 8, HEAD + math.ceil(len(panels) / ACROSS) * HEIGHT + 8
    what = f"gradcli's time as a part of the best peer's, {run.threads} threads: below 1 it is ahead"
    body = [
        f'<rect class="paper" width="{width}" height="{height}" rx="6"/>',
        text(16, 22, what, "ink big"),
        text(16, 39, "● goal met   ○ missed   – goal   ▲ beyond the scale   both scales logarithmic", "faint"),
    ]
    for at, (name, found) in enumerate(panels):
        across, down = 4 + at % ACROSS * WIDTH, HEAD + at // ACROSS * HEIGHT
        body.append(f'<g transform="translate({across} {down})">')
        body += ["  " + line for line in Panel(name, found).drawn()]
        body.append("</g>")
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return "\n".join([f'{head} role="img">', f"<title>{escape(what)}</title>", *style(), *body, "</svg>", ""])


def series(outcomes: Sequence[Outcome]) -> Series:
    """Ratios of time to peers, by kind, dtype, threads and the peer that a goal names; yardsticks are no peers."""
    found: Series = {}
    several = {"dtype": len({o.dtype for o in outcomes}) > 1, "threads": len({o.threads for o in outcomes}) > 1}
    for outcome in outcomes:
        parts = [outcome.kind, outcome.dtype * several["dtype"], f"{outcome.threads} threads" * several["threads"]]
        for verdict in verdicts(outcome):
            if verdict.goal.what == "time" and verdict.ratio is not None and verdict.peer not in YARDSTICKS:
                to = "" if verdict.goal.against == "best" else f"to {TITLES[verdict.peer]}"
                name = ", ".join(part for part in (*parts, to) if part).replace("1 threads", "1 thread")
                found.setdefault(name, []).append(Point(outcome.size, verdict))
    return found


class Panel:
    """One suite's series."""

    def __init__(self, name: str, found: Series) -> None:
        self.name, self.found = name, found
        self.sizes = sorted({point.size for points in found.values() for point in points})

    def x(self, size: int) -> float:
        first, last = math.log10(max(self.sizes[0], 1)), math.log10(max(self.sizes[-1], 1))
        room = WIDTH - LEFT - RIGHT
        if first == last:
            return LEFT + room / 2
        return LEFT + 10 + (math.log10(max(size, 1)) - first) / (last - first) * (room - 34)

    def y(self, ratio: float) -> float:
        """Of what lies beyond the scale, its edge."""
        low, high = math.log10(TICKS[0]), math.log10(TICKS[-1])
        shown = min(max(math.log10(ratio), low), high)
        return TOP + (high - shown) / (high - low) * (HEIGHT - TOP - BOTTOM)

    def drawn(self) -> list[str]:
        return [text(LEFT, 14, self.name, "ink title"), *self.axes(), *self.lines()]

    def axes(self) -> list[str]:
        right, one, bottom = WIDTH - RIGHT, self.y(1), self.y(TICKS[0])
        made = [f'<rect class="ahead" x="{LEFT}" y="{one:.1f}" width="{right - LEFT}" height="{bottom - one:.1f}"/>']
        for tick in TICKS:
            y = self.y(tick)
            kind = "one" if tick == 1 else "grid"
            made.append(f'<line class="{kind}" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
            made.append(text(LEFT - 5, y + 4, f"{tick:g}", "faint", "end"))
        shown = self.sizes if len(self.sizes) <= 3 else [self.sizes[0], self.sizes[-1]]
        made += [text(self.x(size), bottom + 14, amount(size), "faint", "middle") for size in shown]
        return [*made, text(LEFT, bottom + 28, suite_of(self.name).unit, "faint")]

    def lines(self) -> list[str]:
        """Each series with its name above, its goals, its dots, and the ratio at its last size."""
        made: list[str] = []
        ends: list[tuple[float, float, float, str]] = []  # y, -ratio, x, colour
        across = float(LEFT)
        for at, (name, points) in enumerate(self.found.items()):
            shade = f"c{at % len(COLOURS)}"
            if name:
                made.append(text(across, 30, name, shade))
                across += 6.1 * len(name) + 9
            path = " ".join(f"{self.x(p.size):.1f},{self.y(p.ratio):.1f}" for p in points)
            made.append(f'<polyline class="{shade} line" points="{path}"/>')
            for p in points:
                x, goal = self.x(p.size), self.y(p.verdict.goal.most)
                made.append(
                    f'<line class="{shade} line" x1="{x - 6:.1f}" x2="{x + 6:.1f}" y1="{goal:.1f}" y2="{goal:.1f}"/>'
                )
                made.append(mark(x, self.y(p.ratio), p, shade))
            last = points[-1]
            ends.append((self.y(last.ratio) + 4, -last.ratio, self.x(last.size) + 7, shade))
        above = -math.inf
        for y, ratio, x, shade in sorted(ends):
            above = max(y, above + APART)
            made.append(text(x, above, times(-ratio), shade))
        return made


def mark(x: float, y: float, point: Point, shade: str) -> str:
    """A dot, or an arrow at the edge of the scale; hollow where the goal is missed."""
    kind = f"{shade} dot" if point.verdict.met else f"{shade} dot hollow"
    if TICKS[0] <= point.ratio <= TICKS[-1]:
        return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'
    tip = -5 if point.ratio > TICKS[-1] else 5
    corners = f"{x:.1f},{y + tip:.1f} {x - 4:.1f},{y - tip / 2:.1f} {x + 4:.1f},{y - tip / 2:.1f}"
    return f'<polygon class="{kind}" points="{corners}"/>'


def text(x: float, y: float, words: str, kind: str, anchor: str = "start") -> str:
    place = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}"{place}>{escape(words)}</text>'


def style() -> list[str]:
    """Rules for the light scheme, then those that the dark one changes."""
    base = [
        "text { font: 11px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif }",
        "text.title { font-size: 13px; font-weight: 600 } text.big { font-size: 15px; font-weight: 600 }",
        ".line { fill: none; stroke-width: 1.5 } .dot { stroke-width: 1.5 }",
    ]
    dark = ["@media (prefers-color-scheme: dark) {", *shades(DARK, 1), "}"]
    return ["<style>", *base, *shades(LIGHT, 0), *dark, "</style>"]


def shades(rules: dict[str, str], scheme: int) -> list[str]:
    """The rules of a scheme: of the paper, and of the series; a hollow dot is filled with paper."""
    made = [f"{selector} {{ {rule} }}" for selector, rule in rules.items()]
    for at, pair in enumerate(COLOURS):
        colour = pair[scheme]
        made.append(f"text.c{at}, .dot.c{at} {{ fill: {colour} }} .line.c{at}, .dot.c{at} {{ stroke: {colour} }}")
    return [*made, f".dot.hollow {{ {rules['.paper']} }}"]
