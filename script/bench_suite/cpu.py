# SPDX-License-Identifier: GPL-3.0-or-later
"""CPU seconds: of a command with everything it started, and of a container."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import docker

PR_SET_CHILD_SUBREAPER = 36
TICKS = os.sysconf("SC_CLK_TCK")


def counter(machine: docker.models.containers.Container) -> Path:
    """File in which the kernel counts the container's CPU time; the same on cgroup v1 and v2."""
    machine.reload()
    groups = dict(line.split(":", 2)[1:] for line in Path(f"/proc/{machine.attrs['State']['Pid']}/cgroup").read_text(encoding="utf-8").splitlines())
    for controllers, path in groups.items():
        if "cpuacct" in controllers.split(","):
            return Path(f"/sys/fs/cgroup/{controllers}{path}/cpuacct.usage")
    return Path(f"/sys/fs/cgroup{groups[''].removesuffix('/init.scope')}/cpu.stat")


def read(path: Path) -> float:
    """CPU seconds used so far."""
    text = path.read_text(encoding="utf-8")
    return int(text) / 1e9 if path.name == "cpuacct.usage" else int(text.split()[1]) / 1e6


@dataclass
class Used:
    """What a command took."""

    code: int
    wall: float
    controller: float
    hosts: float
    output: str


def _children() -> dict[int, float]:
    """Our direct children with their CPU time."""
    found = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == os.getpid():
            found[int(status.parent.name)] = (int(fields[11]) + int(fields[12])) / TICKS
    return found


def _end_daemons(older: dict[int, float]) -> float:
    """CPU time of daemons that the command left to us (SSH's control connection); they are ended, so that each run connects anew."""
    daemons = {process: used for process, used in _children().items() if process not in older}
    for process in daemons:
        os.kill(process, signal.SIGTERM)
        os.waitpid(process, 0)
    return sum(daemons.values())


def measure(command: list[str], environment: dict[str, str], directory: Path, counters: list[Path], log: Path) -> Used:
    """Run a command; CPU seconds of its process tree and of the containers over the same time."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    log.parent.mkdir(parents=True, exist_ok=True)
    older, before, started = _children(), [read(path) for path in counters], time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        _pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall, hosts = time.monotonic() - started, sum(read(path) for path in counters) - sum(before)
    controller = usage.ru_utime + usage.ru_stime + _end_daemons(older)
    return Used(process.returncode, wall, controller, hosts, log.read_text(encoding="utf-8", errors="replace"))


def idle_rate(counters: list[Path], seconds: float) -> float:
    """CPU seconds a second that the services use with nobody asking."""
    before = sum(read(path) for path in counters)
    time.sleep(seconds)
    return (sum(read(path) for path in counters) - before) / seconds
