# SPDX-License-Identifier: GPL-3.0-or-later
"""The progress bar: one line on a terminal, a line a minute elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType

WIDTH = 24


class Progress:
    """Counts what is reported, and shows it."""

    def __init__(self, is_on: bool) -> None:
        self.is_on, self.is_terminal = is_on, sys.stderr.isatty()
        self.counts: dict[str, int] = {}
        self._lock = threading.Lock()
        self._started = self._shown = time.monotonic()

    def add(self, what: str, number: int) -> None:
        """So much more; "total" are the runs of a store, before the first is sent."""
        with self._lock:
            self.counts[what] = self.counts.get(what, 0) + number
            now = time.monotonic()
            if self.is_on and now - self._shown > (0.2 if self.is_terminal else 60):
                self._shown = now
                self._show(now)

    def say(self, text: str) -> None:
        """A message between."""
        with self._lock:
            if self.is_on:
                print(("\r\033[K" if self.is_terminal else "") + f"retry    {text}", file=sys.stderr, flush=True)

    def _show(self, now: float) -> None:
        done = self.counts.get("runs looked at", 0) or self.counts.get("runs compared", 0)
        total = self.counts.get("total", 0)
        share = min(1.0, done / total) if total else 0.0
        bar = "#" * int(WIDTH * share) + "-" * (WIDTH - int(WIDTH * share))
        rate = done / max(0.001, now - self._started)
        points, files = self.counts.get("metrics", 0) or self.counts.get("points compared", 0), self.counts.get("artifacts", 0)
        megabytes = self.counts.get("bytes", 0) / 1e6
        text = f"[{bar}] {done}/{total} runs, {points:,} points, {files:,} files ({megabytes:,.1f} MB), {rate:.1f} runs/s"
        print(f"\r\033[K{text}" if self.is_terminal else text, end="" if self.is_terminal else "\n", file=sys.stderr, flush=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.is_on and self.is_terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
