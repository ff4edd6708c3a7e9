# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role wrote down, and how this program runs others."""

from __future__ import annotations

import contextlib
import fcntl
import grp
import json
import os
import subprocess
import sys
import time
import typing as t
from pathlib import Path

sys.path.append("/usr/local/lib/labtrack")

import labtrack_files

write = labtrack_files.write
CONFIG = Path("/etc/labtrack/backup/config.json")
# messages of programs must be those that this program knows, and numbers those that a checksum can be made of
LOCALE = {"LC_ALL": "C.UTF-8"}
MIB = 1024 * 1024


class BackupError(Exception):
    """One sentence for the journal: what went wrong, and what to do."""


def say(text: str) -> None:
    """A line for the journal, at once."""
    print(text, flush=True)


def load(path: Path) -> dict[str, t.Any]:
    """The configuration.

    Raises:
        BackupError: it cannot be read.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BackupError(f"{path} cannot be read: {error}. Run site.yml, which writes it.") from error


def environment(path: Path) -> dict[str, str]:
    """NAME=value of a file, one a line. Secrets go to other programs in their environment, never on a command line."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def run(
    command: list[str], env: dict[str, str] | None = None, user: str = "", data: str | None = None, accepted: tuple[int, ...] = (0,)
) -> subprocess.CompletedProcess:
    """Run a program to its end, as another user where one is given.

    Raises:
        BackupError: its exit status is not among the accepted ones, or it does not exist.
    """
    options: dict[str, t.Any] = {"user": user, "group": user, "extra_groups": _groups(user)} if user and os.geteuid() == 0 else {}
    try:
        done = subprocess.run(command, env={**os.environ, **LOCALE, **(env or {})}, input=data, capture_output=True, text=True, check=False, cwd="/", **options)
    except OSError as error:
        raise BackupError(f"'{command[0]}' cannot be run: {error.strerror}.") from error
    if done.returncode not in accepted:
        shown = " ".join(part for part in command[:4] if not part.startswith("-"))
        raise BackupError(f"'{shown}' failed ({done.returncode}): {(done.stderr or done.stdout).strip()[-1500:]}")
    return done


def _groups(user: str) -> list[int]:
    return [each.gr_gid for each in grp.getgrall() if user in each.gr_mem]


@contextlib.contextmanager
def alone(what: str, path: Path) -> t.Iterator[None]:
    """One job of this program at a time; others wait."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{what}: waiting for another job of labtrack-backup")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def wait(condition: t.Callable[[], t.Any], seconds: float, what: str) -> t.Any:
    """Ask until the answer is true.

    Raises:
        BackupError: it is not within that many seconds.
    """
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise BackupError(f"{what} has not happened within {seconds:.0f} s.")
        time.sleep(0.3)


def free_bytes(path: Path) -> int:
    """Room on the filesystem of a path that need not exist yet."""
    while not path.exists():
        path = path.parent
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize


def fail(text: str) -> None:
    """An error for the journal, or for a person."""
    print(f"<3>labtrack-backup: {text}" if os.environ.get("JOURNAL_STREAM") else f"labtrack-backup: {text}", file=sys.stderr, flush=True)
