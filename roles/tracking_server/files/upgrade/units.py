# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd: a service that waits in its start, while its socket takes what comes."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

POLL_SECONDS = 0.1
STOP_MARGIN_SECONDS = 60
DROP_IN = """\
# Written by an upgrade of MLflow, and removed at its end: the service waits here as long as its databases are exchanged.
[Service]
ExecCondition=+{gate}
TimeoutStartSec=infinity
"""


class UnitError(Exception):
    """A unit does not do what it should."""


def systemctl(*arguments: str) -> str:
    """Its output."""
    done = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise UnitError(f"systemctl {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def state(unit: str) -> dict[str, str]:
    """Properties of a service."""
    lines = systemctl("show", "-p", "LoadState,ActiveState,SubState,NRestarts,InvocationID,TimeoutStopUSec", f"{unit}.service").splitlines()
    return dict(line.split("=", 1) for line in lines)


def stop_if_loaded(name: str) -> None:
    """Stop a unit, where there is one of that name."""
    if "LoadState=loaded" in systemctl("show", "-p", "LoadState", name):
        systemctl("stop", name)


def last_words(unit: str) -> str:
    """The end of a service's log."""
    done = subprocess.run(["journalctl", "-u", f"{unit}.service", "-n", "15", "-o", "cat", "--no-pager"], capture_output=True, text=True, check=False)
    return " | ".join(line for line in done.stdout.splitlines() if line.strip())[-1500:]


class Service:
    """A service whose start can be held up. `gate` is the command that waits."""

    def __init__(self, unit: str, gate: str, folder: str = "/etc/systemd/system") -> None:
        self.unit, self.gate = unit, gate
        self.drop_in = Path(folder, f"{unit}.service.d", "labtrack-upgrade.conf")

    def hold(self, seconds: float) -> None:
        """Let what runs finish its requests and stop, and keep the next start waiting. What comes meanwhile waits at the socket."""
        self.drop_in.parent.mkdir(parents=True, exist_ok=True)
        self.drop_in.write_text(DROP_IN.format(gate=self.gate))
        systemctl("daemon-reload")
        for other in ("restart", "standby"):  # of labtrack-mlflow-restart: a second service on the same sockets
            stop_if_loaded(f"{self.unit}-{other}.service")
        systemctl("reset-failed", f"{self.unit}.service")
        systemctl("restart", "--no-block", f"{self.unit}.service")
        end = time.monotonic() + seconds + STOP_MARGIN_SECONDS
        while (found := state(self.unit))["SubState"] != "condition":
            if time.monotonic() > end:
                raise UnitError(f"{self.unit}.service does not stop: it is {found['ActiveState']} ({found['SubState']})")
            time.sleep(POLL_SECONDS)

    def wait(self, seconds: float) -> None:
        """Until it is ready.

        Raises:
            UnitError: it has failed, or is not ready in time.
        """
        end, restarts = time.monotonic() + seconds, state(self.unit)["NRestarts"]
        while (found := state(self.unit))["ActiveState"] != "active":
            if found["ActiveState"] in ("failed", "inactive") or found["NRestarts"] != restarts or found["SubState"].startswith("auto-restart"):
                raise UnitError(f"{self.unit}.service does not start: {last_words(self.unit)}")
            if time.monotonic() > end:
                raise UnitError(f"{self.unit}.service is not ready after {seconds:.0f} s: {last_words(self.unit)}")
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Now, its socket included where it has one; it is not to look as if it had failed."""
        for kind in ("socket", "service"):
            stop_if_loaded(f"{self.unit}.{kind}")
        if state(self.unit)["ActiveState"] == "failed":
            systemctl("reset-failed", f"{self.unit}.service")

    def start(self) -> None:
        """Without waiting for it, its socket first."""
        for kind in ("socket", "service"):
            if "LoadState=loaded" in systemctl("show", "-p", "LoadState", f"{self.unit}.{kind}"):
                systemctl("start", "--no-block", f"{self.unit}.{kind}")

    def forget(self) -> None:
        """Starts are no longer held up."""
        self.drop_in.unlink(missing_ok=True)
        systemctl("daemon-reload")
