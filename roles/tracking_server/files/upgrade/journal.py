# SPDX-License-Identifier: GPL-3.0-or-later
"""What a switch of releases has done so far, on disk before it is done; and the lock that tells whether anybody is still at it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FINAL = ("", "done", "reverted")
START = "start"  # the one step in which the service may start although the lock is held
POLL_SECONDS = 0.1


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def write_json(path: Path, data: Any) -> None:
    """Replace a file of root as a whole, and be sure that it is on disk."""
    partial = path.with_name(f".{path.name}.partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(data, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.rename(partial, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class Journal:
    """`data["step"]` is the step that was begun last; FINAL ones need no recovery."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.json"
        self.data: dict[str, Any] = {}
        self.read()

    def read(self) -> Journal:
        """What is on disk now."""
        try:
            self.data = json.loads(self.path.read_text())
        except FileNotFoundError:
            self.data = {}
        return self

    @property
    def step(self) -> str:
        """The step that was begun last."""
        return self.data.get("step", "")

    @property
    def is_final(self) -> bool:
        """Whether nothing is under way, and nothing was left half done."""
        return self.step in FINAL

    def begin(self, data: dict[str, Any]) -> None:
        """A new switch. Nothing is changed yet."""
        self.data = {**data, "step": "", "begun": now()}

    def enter(self, step: str, **more: Any) -> None:
        """Say what comes next, on disk, before it is done."""
        self.data.update(more, step=step, since=now())
        write_json(self.path, self.data)


class Lock:
    """Held by whoever works on the instance; the kernel takes it away from a process that dies."""

    def __init__(self, path: str) -> None:
        self.path = path

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Wait for it and keep it."""
        with open(self.path, "w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @contextlib.contextmanager
    def hold_unless(self, journal: Journal, step: str) -> Iterator[bool]:
        """Wait for it, but no longer than until the holder enters the step; whether it is held."""
        with open(self.path, "w") as file:
            while True:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    journal.read()
                    yield True
                    return
                if journal.read().step == step:
                    yield False
                    return
                time.sleep(POLL_SECONDS)
