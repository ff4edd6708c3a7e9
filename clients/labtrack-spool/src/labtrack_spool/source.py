# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be sent: spools, SQLite stores of other people, mlruns directories, and folders full of these."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from labtrack_spool import mlruns, spool
from labtrack_spool.errors import SetupError
from labtrack_spool.places import is_local
from labtrack_spool.state import state_folder
from labtrack_spool.store import Store

ACCEPTED = "a spool, a folder of spools, an MLflow SQLite file, an mlruns directory"


class Source:
    """One store.

    Attributes:
        path: the SQLite file, or the mlruns directory.
        base: folder below which artifacts are looked for.
        known_paths: pairs (path as it was written, path here).
        server: address of the server that the spool was made for; may be empty.
    """

    def __init__(self, path: Path, known_paths: list[tuple[str, str]] | None = None, state_dir: str = "") -> None:
        self.is_mlruns = path.is_dir()
        self.path, self.base = path, path if self.is_mlruns else path.parent
        settings = {} if self.is_mlruns else spool.settings(path.parent)
        self.settings, self.server = settings, settings.get("server", "")
        self.known_paths = (known_paths or []) + [(root, str(self.base)) for root in settings.get("roots", [])]
        self.folder = state_folder(path, state_dir)
        self._store: Store | None = None

    def store(self) -> Store:
        """The store to read; an mlruns directory is copied into a SQLite file beside the state first, what is new of it."""
        if self.is_mlruns:
            mlruns.stage(self.path, self.folder / "mlruns.db")
        self.refuse_unsafe()
        if self._store is None:
            self._store = Store(self.folder / "mlruns.db" if self.is_mlruns else self.path)
        return self._store

    def close(self) -> None:
        """Close the store."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def refuse_unsafe(self) -> None:
        """A write-ahead log is shared memory of one computer: another one must not read or recover it.

        Raises:
            SetupError: the store is in that mode, on a shared file system, and was last used on another computer.
        """
        log = self.path.with_name(self.path.name + "-wal")
        if self.is_mlruns or is_local(self.base) or not log.exists() or not log.stat().st_size:
            return
        if self.settings.get("host", "") not in ("", socket.gethostname()):
            advice = f"Run the sync on {self.settings['host']}, or copy the folder when the job has ended and send the copy."
            raise SetupError(f"{self.path} has a write-ahead log and lies on a shared file system. Accepted: a store without one. {advice}")


def _is_mlruns(path: Path) -> bool:
    return any((entry / "meta.yaml").is_file() for entry in path.iterdir() if entry.is_dir())


def find(path: Path, allow_empty: bool = False) -> list[Path]:
    """SQLite files and mlruns directories that a path stands for; none where a folder holds nothing, and that is allowed.

    Raises:
        SetupError: there is nothing to send.
    """
    path = path.absolute()
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise SetupError(f"'{path}' does not exist. Accepted: {ACCEPTED}. Name another one.")
    found = _find(path, 4)
    if not found and not allow_empty:
        raise SetupError(f"'{path}' holds nothing to send. Accepted: {ACCEPTED}. Name another one.")
    return found


def _find(path: Path, depth: int) -> list[Path]:
    for name in (spool.STORE_FILE, "mlruns.db"):
        if (path / name).is_file():
            return [path / name]
    try:
        if _is_mlruns(path):
            return [path]
        folders = sorted(entry.path for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."))
    except PermissionError:
        return []
    return [each for folder in folders for each in _find(Path(folder), depth - 1)] if depth else []
