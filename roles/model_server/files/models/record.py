# Kept by labtrack.mlflow.model_server.
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is remembered of one model: which versions served, which one was rolled back, and with which units the one that serves was started."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

sys.path.append("/usr/local/lib/labtrack")

from labtrack_files import write

LENGTH = 20
RETRY_SECONDS = 3600


@dataclass
class Record:
    """state_dir/<name>/record.json; which version serves says the link beside it."""

    path: Path
    # oldest first; the last one serves, or is about to
    history: list[int] = field(default_factory=list)
    # taken back by a person; 0: none
    refused: int = 0
    # of the units that each running version was started with
    started_with: dict[str, str] = field(default_factory=dict)
    switched: float = 0.0
    # the version that did not take over, when, and why
    failed: int = 0
    failed_at: float = 0.0
    failed_reason: str = ""

    @classmethod
    def read(cls, folder: Path) -> Record:
        """The record of a model, empty for a new one."""
        path = folder / "record.json"
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return cls(path, **found)

    def save(self) -> None:
        """Write it."""
        values = {key: value for key, value in asdict(self).items() if key != "path"}
        write(self.path, json.dumps(values, indent=1) + "\n")

    @property
    def link(self) -> Path:
        """What the proxy connects to."""
        return self.path.with_name("current.sock")

    def serving(self) -> int:
        """The version whose socket the link names; 0: none."""
        try:
            return int(Path(os.readlink(self.link)).stem)
        except (OSError, ValueError):
            return 0

    def before(self, version: int) -> int:
        """The version that served before this one; 0: none."""
        earlier = self.history[: self.history.index(version)] if version in self.history else self.history
        return earlier[-1] if earlier else 0

    def note(self, version: int) -> None:
        """The version is about to serve."""
        self.history = [*(found for found in self.history if found != version), version][-LENGTH:]
        self.save()

    def note_return(self, left: int, version: int) -> None:
        """The version is about to serve again; the one that is left counts as the oldest, so that the next rollback goes further back."""
        self.history = [left, *(found for found in self.history if found not in (left, version)), version][-LENGTH:]
        self.refused = left
        self.save()

    def note_failure(self, version: int, reason: str) -> None:
        """It did not take over."""
        self.failed, self.failed_at, self.failed_reason = version, time.time(), reason
        self.save()

    def failed_lately(self, version: int) -> str:
        """Why this version did not take over within the last hour; empty when it was not tried."""
        return self.failed_reason if self.failed == version and time.time() - self.failed_at < RETRY_SECONDS else ""

    def point_to(self, socket: str) -> None:
        """The switch: connections go to this socket from now on."""
        temporary = self.link.with_name(".current.partial")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(socket)
        temporary.rename(self.link)
        self.switched, self.failed = time.time(), 0
        self.save()
