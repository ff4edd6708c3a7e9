# SPDX-License-Identifier: GPL-3.0-or-later
"""What every part of a sync needs: store, server, state, the map of ids, the findings."""

from __future__ import annotations

import re
import threading
import zlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import Any, Callable

from labtrack_spool.errors import ApiError
from labtrack_spool.places import PathMap
from labtrack_spool.server import Server
from labtrack_spool.state import State
from labtrack_spool.store import Store

RUN_TAG = "labtrack.spool.run_id"
MODEL_TAG = "labtrack.spool.model_id"
VERSION_TAG = "labtrack.spool.version"
IDENTITY = re.compile(r"\b(?:m-)?[0-9a-f]{32}\b")


@dataclass
class Options:
    """What a person chose; the command line explains each."""

    workers: int = 8
    restore_deleted: bool = False
    recreate: bool = False
    running_as: str = ""  # KILLED, FAILED, FINISHED, or JOB: as the batch system says; empty: left running
    experiments: list[str] = field(default_factory=list)
    rename: dict[str, str] = field(default_factory=dict)
    with_artifacts: bool = True
    with_registry: bool = True
    with_traces: bool = True
    is_watch_pass: bool = False


class Findings:
    """Counts what was sent, and keeps what a person must know. For several threads."""

    def __init__(self, progress: Callable[[str, int], None] | None = None) -> None:
        self.counts: dict[str, int] = {}
        self.problems: list[str] = []
        self.notes: list[str] = []
        self._lock = threading.Lock()
        self._progress = progress or (lambda _what, _number: None)

    def add(self, what: str, number: int = 1) -> None:
        """So much was sent."""
        with self._lock:
            self.counts[what] = self.counts.get(what, 0) + number
        self._progress(what, number)

    def problem(self, text: str) -> None:
        """Something was not sent, and should have been: the exit status is 1."""
        with self._lock:
            if text not in self.problems:
                self.problems.append(text)

    def note(self, text: str) -> None:
        """Something was left as it is, by the rules."""
        with self._lock:
            if text not in self.notes:
                self.notes.append(text)


class Ids:
    """Ids of the spool and of the server."""

    def __init__(self) -> None:
        self.experiments: dict[str, str] = {}
        self.runs: dict[str, str] = {}
        self.models: dict[str, str] = {}
        self.run_locations: dict[str, str] = {}  # source artifact location -> id of the run
        self.model_locations: dict[str, str] = {}

    def translate(self, text: str) -> str:
        """The text with every known id of a run or a logged model replaced."""
        return IDENTITY.sub(lambda match: self.runs.get(match[0]) or self.models.get(match[0]) or match[0], text)

    def tags(self, tags: dict[str, str]) -> dict[str, str]:
        """MLflow's own tags speak of runs and models by id; those of people are left as they are."""
        return {key: self.translate(value) if key.startswith("mlflow.") else value for key, value in tags.items()}


def checksum(value: Any) -> int:
    """A short mark of a value, to see whether it changed."""
    return zlib.crc32(repr(value).encode())


def as_pairs(values: dict[str, str]) -> list[dict[str, str]]:
    """As the API writes tags and parameters."""
    return [{"key": key, "value": value} for key, value in values.items()]


@dataclass
class Context:
    """One pass over one store."""

    store: Store
    server: Server
    state: State
    paths: PathMap
    options: Options
    findings: Findings
    ids: Ids = field(default_factory=Ids)

    def each(self, items: Iterable[Any], work: Callable[[Any], None], name: Callable[[Any], str]) -> None:
        """Do the work for all items, several at a time; what fails for one does not stop the others, what would fail for all does.

        Raises:
            SpoolError: the server does not answer, or refuses the login.
        """
        items = list(items)
        if not items:
            return
        with ThreadPoolExecutor(min(self.options.workers, len(items))) as pool:
            futures = {pool.submit(work, item): item for item in items}
            try:
                for future in as_completed(futures):
                    try:
                        future.result()
                    except ApiError as error:
                        if error.is_fatal:
                            raise
                        self.findings.problem(f"{name(futures[future])}: {error}")
            except BaseException:
                self.server.stop()
                pool.shutdown(wait=True, cancel_futures=True)
                raise
