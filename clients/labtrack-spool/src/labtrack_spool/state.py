# SPDX-License-Identifier: GPL-3.0-or-later
"""What has been sent where. It saves work; what is true is asked of the server, so that losing this file costs time, not correctness."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from labtrack_spool.errors import SetupError
from labtrack_spool.places import is_local

SCHEMA = """
CREATE TABLE IF NOT EXISTS sent (
  server TEXT NOT NULL, kind TEXT NOT NULL, source TEXT NOT NULL,
  target TEXT NOT NULL DEFAULT '', cursor INTEGER NOT NULL DEFAULT 0, digest TEXT NOT NULL DEFAULT '', done INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (server, kind, source)) WITHOUT ROWID
"""


class Entry:
    """One thing of the spool and what the server has of it.

    Attributes:
        target: its id on the server.
        cursor: last row that arrived.
        digest: what was sent, in short.
        done: whether it had ended and was complete.
    """

    __slots__ = ("cursor", "digest", "done", "target")

    def __init__(self, target: str = "", cursor: int = 0, digest: str = "", done: int = 0) -> None:
        self.target, self.cursor, self.digest, self.done = target, cursor, digest, done


def state_folder(store: Path, chosen: str = "") -> Path:
    """Where the state of a store is kept: beside it, or below ~/.local/state where that is not allowed.

    Raises:
        SetupError: neither can be written.
    """
    identity = hashlib.sha256(str(store.resolve()).encode()).hexdigest()[:16]
    fallback = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser() / "labtrack-spool" / identity
    beside = (store if store.is_dir() else store.parent) / ".labtrack-spool" / store.name
    for folder in [Path(chosen) / identity] if chosen else [beside, fallback]:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            return folder
    raise SetupError(f"--state-dir is '{chosen}': nothing can be written there. Accepted: a folder of yours. Choose another one.")


class State:
    """The state of one store for one server; for several threads.

    A commit is not forced onto the disk: what a power failure takes away is found again on the server.
    """

    def __init__(self, folder: Path, server: str) -> None:
        self.server = server
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(folder / "state.db", timeout=60, isolation_level=None, check_same_thread=False)
        self._connection.execute(f"PRAGMA journal_mode = {'WAL' if is_local(folder) else 'DELETE'}")
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute(SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def get(self, kind: str, source: str) -> Entry:
        """What is known; an empty entry where nothing is."""
        sql = "SELECT target, cursor, digest, done FROM sent WHERE server = ? AND kind = ? AND source = ?"
        with self._lock:
            row = self._connection.execute(sql, (self.server, kind, source)).fetchone()
        return Entry(*row) if row else Entry()

    def all(self, kind: str) -> dict[str, Entry]:
        """All entries of a kind."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT source, target, cursor, digest, done FROM sent WHERE server = ? AND kind = ?", (self.server, kind)
            ).fetchall()
        return {row[0]: Entry(*row[1:]) for row in rows}

    def put(self, kind: str, source: str, entry: Entry) -> None:
        """Remember."""
        with self._lock:
            self._connection.execute(
                "INSERT OR REPLACE INTO sent (server, kind, source, target, cursor, digest, done) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (self.server, kind, source, entry.target, entry.cursor, entry.digest, entry.done),
            )

    def put_many(self, kind: str, entries: dict[str, Entry]) -> None:
        """Remember several at once."""
        with self._lock:
            self._connection.execute("BEGIN")
            self._connection.executemany(
                "INSERT OR REPLACE INTO sent (server, kind, source, target, cursor, digest, done) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [(self.server, kind, source, entry.target, entry.cursor, entry.digest, entry.done) for source, entry in entries.items()],
            )
            self._connection.execute("COMMIT")

    def forget(self, kind: str, source: str) -> None:
        """As if it had never been sent."""
        with self._lock:
            self._connection.execute("DELETE FROM sent WHERE server = ? AND kind = ? AND source = ?", (self.server, kind, source))


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[bool]:
    """Whether this process alone may send the store. The kernel gives the lock back when the process ends, however it ends."""
    with (folder / "lock").open("a+", encoding="utf-8") as stream:
        try:
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        stream.truncate(0)
        stream.write(f"{socket.gethostname()} {os.getpid()} {time.strftime('%Y-%m-%dT%H:%M:%S%z')}\n")
        stream.flush()
        yield True
