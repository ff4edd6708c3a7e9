# Kept by labtrack.mlflow.postgresql.
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of the machine: run one, ask systemd, and let services wait in their start while their sockets take what comes."""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import time
import typing as t
from pathlib import Path

# messages of programs must be those that this program knows
LOCALE = {"LC_ALL": "C.UTF-8", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
DROP_IN = """\
# Written by an upgrade of PostgreSQL, and removed at its end: the service waits here for its database.
[Service]
ExecCondition=+/usr/bin/flock --shared {lock} /bin/true
TimeoutStartSec=infinity
"""
STOP_SECONDS = 360
UNIT = "labtrack-postgresql-upgrade.service"  # where `start` runs what changes something
POLL_SECONDS = 0.1


class UpgradeError(Exception):
    """One sentence for a person: what went wrong, and what to do."""


def say(text: str) -> None:
    """A line for the journal, at once."""
    print(text, flush=True)


def run(command: list[str], user: str = "", data: str | None = None, cwd: str = "/", env: dict[str, str] | None = None) -> str:
    """Output of a program, as another user where one is given.

    Raises:
        UpgradeError: it failed, with the end of what it said.
    """
    options: dict[str, t.Any] = {"user": user, "group": user, "extra_groups": []} if user else {}
    environment = {**os.environ, **LOCALE, **(env or {})}
    done = subprocess.run(command, input=data, capture_output=True, text=True, check=False, cwd=cwd, env=environment, **options)
    if done.returncode:
        raise UpgradeError(f"'{Path(command[0]).name}' failed ({done.returncode}): {(done.stdout + done.stderr).strip()[-1500:]}")
    return done.stdout.strip()


def systemctl(*words: str) -> str:
    """Its output."""
    return run(["systemctl", *words])


def state(unit: str) -> dict[str, str]:
    """Properties of a unit."""
    return dict(line.split("=", 1) for line in systemctl("show", "-p", "LoadState,ActiveState,SubState", unit).splitlines())


def until(condition: t.Callable[[], object], seconds: float, what: str) -> None:
    """Ask until the answer is true.

    Raises:
        UpgradeError: it is not within that many seconds.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise UpgradeError(f"{what} not within {seconds:.0f} s")
        time.sleep(POLL_SECONDS)


class Clients:
    """Services that use the database. While they are held, requests wait at their sockets; a holder that is killed holds nobody."""

    def __init__(self, units: list[str], lock: str, folder: str = "/run/systemd/system") -> None:
        self.units, self.lock, self.folder = units, lock, Path(folder)
        self.served: list[str] = []

    def drop_in(self, unit: str) -> Path:
        """Gone after a boot."""
        return self.folder / f"{unit}.d" / "labtrack-postgresql.conf"

    @contextlib.contextmanager
    def held(self) -> t.Iterator[None]:
        """Running requests end; the next start waits until this ends."""
        os.makedirs(os.path.dirname(self.lock), exist_ok=True)
        with os.fdopen(os.open(self.lock, os.O_RDWR | os.O_CREAT, 0o644), "r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                self._hold()
                yield
            finally:
                for unit in self.units:
                    self.drop_in(unit).unlink(missing_ok=True)
                systemctl("daemon-reload")

    def _hold(self) -> None:
        self.served = [unit for unit in self.units if state(unit)["ActiveState"] == "active"]
        for unit in self.units:
            self.drop_in(unit).parent.mkdir(parents=True, exist_ok=True)
            self.drop_in(unit).write_text(DROP_IN.format(lock=self.lock), encoding="utf-8")
        systemctl("daemon-reload")
        for unit in self.units:
            base = unit.removesuffix(".service")
            for other in ("restart", "standby"):  # of labtrack-mlflow-restart: a second service on the same sockets
                if state(f"{base}-{other}.service")["LoadState"] == "loaded":
                    systemctl("stop", f"{base}-{other}.service")
            run(["systemctl", "reset-failed", unit])
            systemctl("restart", "--no-block", unit)
        for unit in self.units:
            until(lambda unit=unit: state(unit)["SubState"] == "condition", STOP_SECONDS, f"{unit} does not stop:")

    def wait(self, seconds: float) -> None:
        """Until all that served before are ready again.

        Raises:
            UpgradeError: one is not in time.
        """
        for unit in self.served:
            until(lambda unit=unit: state(unit)["ActiveState"] == "active", seconds, f"{unit} is not ready:")
