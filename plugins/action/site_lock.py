# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says to site_lock which run this is, and whether another run of this computer still lives."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
from pathlib import Path

from ansible.plugins.action import ActionBase


def computer() -> str:
    """This computer since its boot, or this container of it: process numbers of another one mean nothing here."""
    parts = [socket.gethostname()]
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        try:
            parts.append(os.readlink(path) if path.endswith("pid") else Path(path).read_text(encoding="utf-8").strip())
        except OSError:
            continue
    return "/".join(parts)


def started(pid: int) -> str:
    """When a process was started; empty when there is none."""
    done = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    return " ".join(done.stdout.split())


def token_of(pid: int) -> str:
    """Names a run of ansible-playbook."""
    return f"{computer()}|{pid}|{started(pid)}"


def has_ended(token: str) -> bool:
    """Whether a token is that of a run of this computer that does not live any more."""
    where, pid, _began = [*token.split("|"), "", "", ""][:3]
    return where == computer() and pid.isdigit() and token != token_of(int(pid))


class ActionModule(ActionBase):
    """See the module's DOCUMENTATION."""

    def run(self, tmp=None, task_vars=None):
        """Ask once; a second time when the lock's owner turns out to be dead."""
        result = super().run(tmp, task_vars)
        own = {"token": token_of(os.getppid()), "who": f"{getpass.getuser()}@{socket.gethostname()}"}  # this is a child of ansible-playbook
        arguments = {**self._task.args, **own}
        answer = self._execute_module(module_name="labtrack.mlflow.site_lock", module_args=arguments, task_vars=task_vars)
        if answer.get("failed") and has_ended(answer.get("holder", "")):
            arguments["dead"] = answer["holder"]
            answer = self._execute_module(module_name="labtrack.mlflow.site_lock", module_args=arguments, task_vars=task_vars)
        result.update(answer)
        return result
