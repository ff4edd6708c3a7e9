# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run at a time changes a machine: who holds its lock, and when that counts no more.

Plain Python without AnsibleModule, so that unit tests need no Ansible.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import fcntl
import json
import os
import typing as t
from pathlib import Path

# A run's SSH connection ends a minute after it was last used (ControlPersist), also when the run was killed; but it ends, too, while a run waits elsewhere.
GRACE_SECONDS = 15 * 60
# where the connection is not known
LEASE_SECONDS = 6 * 3600


class SiteLockedError(Exception):
    """Another run holds the lock; the message says who, since when, and what to do."""


@dataclasses.dataclass
class Holder:
    """A run of ansible-playbook.

    Args:
        token: names this run and no other.
        who: person and computer.
        purpose: the playbook.
        since: seconds since 1970.
        connection: process of the machine that keeps the run's SSH connection, with its start time; empty when there is none.
    """

    token: str
    who: str
    purpose: str
    since: float = 0.0
    connection: str = ""

    @classmethod
    def parse(cls, text: str) -> Holder | None:
        """What is written; None for nothing, or what a full disk left."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            return None


def start_time(pid: int, proc: Path = Path("/proc")) -> str:
    """When a process was started, in clock ticks since boot; empty when it does not exist."""
    try:
        return (proc / str(pid) / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def connection_of(pid: int, proc: Path = Path("/proc")) -> str:
    """The `sshd` above a process, which lives as long as the connection that all tasks of a run share: `pid:start time`."""
    while pid > 1:
        try:
            status = dict(line.split(":", 1) for line in (proc / str(pid) / "status").read_text(encoding="utf-8").splitlines() if ":" in line)
        except OSError:
            return ""
        if status.get("Name", "").strip().startswith("sshd"):
            return f"{pid}:{start_time(pid, proc)}"
        pid = int(status["PPid"])
    return ""


def is_open(connection: str, proc: Path = Path("/proc")) -> bool:
    """Whether that very process lives."""
    pid, _colon, started = connection.partition(":")
    return bool(started) and start_time(int(pid), proc) == started


def expired(holder: Holder, now: float, proc: Path = Path("/proc")) -> bool:
    """Whether a run has ended without giving its lock back, as far as the machine can know."""
    if holder.connection:
        return not is_open(holder.connection, proc) and now - holder.since > GRACE_SECONDS
    return now - holder.since > LEASE_SECONDS


def refusal(holder: Holder, now: float, proc: Path = Path("/proc")) -> str:
    """The message for the second one."""
    since = datetime.datetime.fromtimestamp(holder.since, tz=datetime.UTC).strftime("%Y-%m-%d %H:%M")
    minutes = int(now - holder.since) // 60
    alive = holder.connection and is_open(holder.connection, proc)
    ends = holder.since + (GRACE_SECONDS if holder.connection else LEASE_SECONDS)
    until = datetime.datetime.fromtimestamp(ends, tz=datetime.UTC).strftime("%H:%M")
    state = "it is connected" if alive else f"no connection of it is open, and its lock ends at {until} UTC"
    return (
        f"This machine is being changed by '{holder.purpose}' of {holder.who} since {since} UTC ({minutes} min; {state}): two runs at once would undo "
        "each other's work. Accepted: one run at a time. Wait until it has ended; if you know that it is dead, add -e site_lock_take_over=true; "
        "nothing was changed."
    )


class SiteLock:
    """A file that a reboot removes."""

    def __init__(self, path: str) -> None:
        self.path = path

    @contextlib.contextmanager
    def _file(self) -> t.Iterator[t.TextIO]:
        """The file, for this process alone."""
        os.makedirs(os.path.dirname(self.path), mode=0o755, exist_ok=True)
        with os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file

    @staticmethod
    def _write(file: t.TextIO, text: str) -> None:
        file.seek(0)
        file.truncate()
        file.write(text)

    def take(self, wanted: Holder, dead: str = "", force: bool = False) -> Holder | None:
        """Hold the lock from now on; the run that it was taken from, if any. A run may take it again.

        Args:
            dead: token of a run that has ended, as its computer knows.
            force: take it from whomever.

        Raises:
            SiteLockedError: another run has it.
        """
        with self._file() as file:
            found = Holder.parse(file.read())
            if found and found.token == wanted.token:
                return None
            if found and not (force or found.token == dead or expired(found, wanted.since)):
                raise SiteLockedError(refusal(found, wanted.since), found)
            self._write(file, json.dumps(dataclasses.asdict(wanted)))
            return found

    def give_back(self, token: str, purpose: str) -> str:
        """Free the lock where this run took it, for this purpose; a sentence when another run has taken it over meanwhile."""
        if not os.path.exists(self.path):
            return ""
        with self._file() as file:
            found = Holder.parse(file.read())
            if found and found.token != token:
                return f"'{found.purpose}' of {found.who} has taken this machine's lock over while this run was at work: run it again when that has ended."
            if found and found.purpose == purpose:
                self._write(file, "")
            return ""
