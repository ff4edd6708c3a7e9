# Kept by labtrack.mlflow.tracking_server.
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restart a service behind sockets of systemd, so that no request fails and none has to wait: `labtrack-mlflow-restart UNIT`.

A second service on the same sockets (UNIT-standby) starts with what is configured now. If it cannot, the first one goes on as it was, and this
program fails. Otherwise the first one ends what it has begun (an upload may take as long as it needs), starts anew, and the second one goes.
Where there is too little memory for both, requests wait in the sockets for the time of a restart.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

POLL_SECONDS = 0.2
MEMINFO = Path("/proc/meminfo")


def systemctl(*arguments: str) -> None:
    """Raises subprocess.CalledProcessError."""
    subprocess.run(["systemctl", *arguments], check=True)


def main_pid(unit: str) -> int:
    """Process of a service that runs, starts or stops; 0 when there is none."""
    done = subprocess.run(["systemctl", "show", "--property", "MainPID", "--value", f"{unit}.service"], check=True, capture_output=True, text=True)
    return int(done.stdout or 0)


def is_active(unit: str) -> bool:
    """Whether it runs and is ready."""
    return subprocess.run(["systemctl", "is-active", "--quiet", f"{unit}.service"], check=False).returncode == 0


def available_mb() -> int:
    """Memory that programs may take without swapping."""
    values = dict(line.split(":", 1) for line in MEMINFO.read_text(encoding="ascii").splitlines())
    return int(values["MemAvailable"].split()[0]) // 1024


def drain(unit: str, seconds: float) -> bool:
    """Let the service end what it has begun; False when that takes longer."""
    pid = main_pid(unit)
    end = time.monotonic() + seconds
    if pid:
        os.kill(pid, signal.SIGTERM)
    # a request may have started it again already, through its sockets
    while pid and main_pid(unit) == pid:
        if time.monotonic() > end:
            return False
        time.sleep(POLL_SECONDS)
    return True


def restart(unit: str, drain_seconds: float, memory_mb: int) -> str:
    """What was done, in a sentence; raises subprocess.CalledProcessError where a service does not start."""
    standby, began = f"{unit}-standby", time.monotonic()
    if not is_active(unit):
        systemctl("restart", f"{unit}.service")
        return f"{unit} did not run; it was started"
    # a run that was cut off may have left one, with an earlier configuration
    systemctl("stop", f"{standby}.service")
    if available_mb() < memory_mb:
        systemctl("restart", f"{unit}.service")
        return f"{unit} was restarted; requests waited, because {memory_mb} MB of memory for a second one were not free"
    systemctl("start", f"{standby}.service")
    served = time.monotonic() - began
    if drain(unit, drain_seconds):
        systemctl("start", f"{unit}.service")
    else:
        systemctl("restart", f"{unit}.service")
    # what it has begun in the meantime it ends, too
    systemctl("stop", "--no-block", f"{standby}.service")
    return f"{unit} was restarted without a pause: the new configuration served after {served:.1f} s, all was done after {time.monotonic() - began:.1f} s"


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="labtrack-mlflow-restart", description=__doc__)
    parser.add_argument("unit", help="name of the service, without .service")
    parser.add_argument("--drain-seconds", type=float, default=3600, help="how long running requests may take")
    parser.add_argument("--memory-mb", type=int, default=450, help="free memory that a second service wants")
    options = parser.parse_args()
    try:
        print(restart(options.unit, options.drain_seconds, options.memory_mb), flush=True)
    except subprocess.CalledProcessError as error:
        print(f"'{' '.join(error.cmd)}' failed: see 'journalctl -u {error.cmd[-1]}'. A service that ran goes on as it was.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
