"""A profile for https://www.speedscope.app: one run as a flame graph, in its file format, of the kind `evented`.

Steps stand one after the other as the plan has them, each below its line, that below its direction; a loop's steps
below the loop, all turns together. What runs by blocks stands below these, all blocks together. The time is that of the
medians, so its sum is `stepwise`.
"""

from __future__ import annotations

import json
from typing import Any

from gradcli.facts.measure import MIXED, Profile, ProfiledStep

SCHEMA = "https://www.speedscope.app/file-format-schema.json"


class Frames:
    """What a stack is made of, each told once."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.number: dict[str, int] = {}

    def of(self, name: str, file: str = "", line: int = 0) -> int:
        frame: dict[str, Any] = {"name": name} | ({"file": file, "line": line} if line else {})
        key = json.dumps(frame)
        if key not in self.number:
            self.number[key] = len(self.told)
            self.told.append(frame)
        return self.number[key]


def document(found: Profile, version: str) -> str:
    """The file, as one line of JSON; `version` is gradcli's."""
    frames, events = Frames(), []
    texts = {(line.file, line.line): line.text for line in found.lines}
    stack: list[int] = []
    above: list[tuple[list[int], str]] = []  # of each level, the stack that its steps stand on, and their direction
    now = 0.0
    for step in found.steps:
        del above[step.deeper :]
        below, direction = above[-1] if above else ([], MIXED)
        way = [frames.of(step.direction)] if MIXED == direction != step.direction else []
        wanted = [*below, *way, *_own(step, texts, frames)]
        above.append((wanted, step.direction))
        shared = next((k for k, (a, b) in enumerate(zip(stack, wanted, strict=False)) if a != b), -1)
        shared = min(len(stack), len(wanted)) if shared < 0 else shared
        if len(wanted) <= len(stack) and shared == len(wanted):
            shared -= 1  # the same step again is another bar
        events += [{"type": "C", "frame": frame, "at": now} for frame in reversed(stack[shared:])]
        events += [{"type": "O", "frame": frame, "at": now} for frame in wanted[shared:]]
        stack = wanted
        now += step.figures.total
    events += [{"type": "C", "frame": frame, "at": now} for frame in reversed(stack)]
    profile = {
        "type": "evented", "name": f"{found.model}: one run", "unit": "seconds", "startValue": 0, "endValue": now,
        "events": events,
    }  # fmt: skip
    file = {
        "$schema": SCHEMA, "exporter": f"gradcli {version}", "name": found.model, "activeProfileIndex": 0,
        "shared": {"frames": frames.told}, "profiles": [profile],
    }  # fmt: skip
    return json.dumps(file, ensure_ascii=False) + "\n"


def _own(step: ProfiledStep, texts: dict[tuple[str, int], str], frames: Frames) -> list[int]:
    """The frames of a step below what it stands on: its line, and itself; of blocks of several lines no line."""
    calls = f" ×{step.figures.calls}" if step.figures.calls > 1 else ""
    if not step.figures.seconds:
        return [frames.of(f"{step.name}: {step.label}{calls}")]
    label = frames.of(f"{step.label}{calls}", step.file, step.line)
    if not step.line:
        return [label]
    text = texts.get((step.file, step.line), "")
    return [frames.of(f"{step.line}: {text}", step.file, step.line), label]
