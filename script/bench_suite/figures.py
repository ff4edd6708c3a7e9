# SPDX-License-Identifier: GPL-3.0-or-later
"""A figure with its goal, and the report that holds them."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from testbed.engine import CACHE, ROOT


def say(text: str) -> None:
    """Progress goes to stderr: stdout carries the report."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def load() -> float:
    """Load average of the last minute: what else used the machine."""
    return round(os.getloadavg()[0], 1)


def middle(values: list[float], digits: int = 3) -> dict[str, float]:
    """Median and spread of repeated measurements."""
    return {"median": round(statistics.median(values), digits), "min": round(min(values), digits), "max": round(max(values), digits)}


@dataclass
class Figure:
    """One measured value; `goal` is the value to reach, from above or from below (`at_most`)."""

    name: str
    value: float
    unit: str
    what: str
    goal: float | None = None
    at_most: bool = False
    details: dict[str, Any] = field(default_factory=dict)
    load: float = field(default_factory=load)

    @property
    def verdict(self) -> str:
        """Whether the goal is reached."""
        if self.goal is None:
            return ""
        return "reached" if (self.value <= self.goal if self.at_most else self.value >= self.goal) else "MISSED"

    def line(self) -> str:
        """The figure on one line."""
        goal = "" if self.goal is None else f"{'<=' if self.at_most else '>='} {self.goal:g}"
        return f"{self.name:28} {self.value:9.4g} {self.unit:6} {goal:8} {self.verdict:8} load {self.load:4.1f}  {self.what}"


def machine() -> dict[str, Any]:
    """This machine, as far as it matters for a figure."""
    cpu = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = next((line.split(":", 1)[1].strip() for line in cpu.splitlines() if line.startswith("model name")), platform.machine())
    memory = int(Path("/proc/meminfo").read_text(encoding="utf-8").split()[1]) // 1024
    return {"cpu": model, "cores": os.cpu_count(), "memory_mb": memory, "kernel": platform.release(), "load": [round(value, 1) for value in os.getloadavg()]}


class Report:
    """Figures of one run of script/bench."""

    def __init__(self) -> None:
        self.started = time.strftime("%Y-%m-%dT%H%MZ", time.gmtime())
        self.machine = machine()
        self.versions: dict[str, str] = {}
        self.figures: list[Figure] = []
        self.tables: dict[str, list[dict[str, Any]]] = {}

    def add(self, *figures: Figure) -> None:
        """Take figures and show them at once."""
        for figure in figures:
            self.figures.append(figure)
            say(figure.line())

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        figures = [{**asdict(figure), "verdict": figure.verdict} for figure in self.figures]
        return {"date": self.started, "machine": self.machine, "versions": self.versions, "figures": figures, "tables": self.tables}

    def text(self) -> str:
        """All of it, to read."""
        about = self.machine
        lines = [
            f"{about['cores']} cores {about['cpu']}, {about['memory_mb']} MB, Linux {about['kernel']}; load at the start {about['load']}",
            ", ".join(f"{name} {version}" for name, version in self.versions.items()),
            *(figure.line() for figure in self.figures),
        ]
        for title, rows in self.tables.items():
            lines += ["", title, *("  ".join(f"{value:>9.3f}" if isinstance(value, float) else str(value) for value in row.values()) for row in rows)]
        return "\n".join(lines)

    def save(self) -> Path:
        """Write it below .labtrack/bench."""
        path = CACHE / "bench" / f"{self.started}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.as_dict(), indent=1) + "\n", encoding="utf-8")
        return path.relative_to(ROOT)
