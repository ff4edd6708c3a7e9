# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that are killed when the cloud shows something."""

from __future__ import annotations

import os
import signal
import subprocess
import time


def kill_when(condition, command, log, **options):
    """Start a command, and kill it with all that it started as soon as the condition answers something; that answer.

    Args:
        log: file for its output.
        options: of Popen.

    Raises:
        AssertionError: it ended before.
    """
    with log.open("w+", encoding="utf-8") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, **options)
        try:
            while not (answer := condition()):
                output.seek(0)
                assert process.poll() is None, f"it ended before it could be killed:\n{output.read()[-4000:]}"
                time.sleep(0.05)
            return answer
        finally:
            kill(process)


def kill(process):
    """Kill a process and all that it started; Ansible's workers have sessions of their own, and would go on."""
    # first nobody can start another one, then all die
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for member in [*descendants(process.pid), process.pid]:
            try:
                os.kill(member, number)
            except ProcessLookupError:
                pass
    process.wait()


def descendants(process):
    """Processes that a process started, and theirs."""
    lines = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout.splitlines()
    parents = {int(child): int(parent) for child, parent in (line.split() for line in lines)}
    found, new = [], [process]
    while new:
        new = [child for child, parent in parents.items() if parent in new]
        found += new
    return found
