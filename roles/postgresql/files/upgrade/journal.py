# Kept by labtrack.mlflow.postgresql.
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is under way, on disk before it is done, and what was done: journal.json is there only as long as something is under way."""

from __future__ import annotations

import json
import sys
import time
import typing as t
from pathlib import Path

from system import say

sys.path.append("/usr/local/lib/labtrack")

from labtrack_files import write


def now() -> str:
    """The time in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def read(path: Path) -> dict[str, t.Any]:
    """A JSON file; empty where there is none."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


class Journal:
    """The step that was begun last, with the request that it belongs to."""

    def __init__(self, folder: Path) -> None:
        self.path, self.place = folder / "journal.json", folder / "record.json"
        self.data = read(self.path)

    @property
    def step(self) -> str:
        """Empty when nothing is under way."""
        return self.data.get("step", "")

    def enter(self, step: str, **more: t.Any) -> None:
        """Say what comes next."""
        say(f"step: {step}")
        self.data = {**self.data, **more, "step": step, "since": now()}
        write(self.path, json.dumps(self.data), 0o600)

    def end(self) -> None:
        """Nothing is under way any more."""
        self.path.unlink(missing_ok=True)
        self.data = {}

    def record(self, **found: t.Any) -> dict[str, t.Any]:
        """What the newest upgrade has done and keeps."""
        kept = {**read(self.place), **found}
        write(self.place, json.dumps(kept, indent=1), 0o600)
        return kept
