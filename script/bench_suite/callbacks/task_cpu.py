# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which task uses the CPU: seconds on the controller and on the host, for script/bench (one host, which is a container here)."""

from __future__ import annotations

DOCUMENTATION = """
name: task_cpu
type: aggregate
short_description: CPU seconds of each task
description:
  - Writes, when a playbook has ended, a JSON list of tasks with wall seconds, CPU seconds of the controller and of the host.
author: labtrack contributors (@labtrack)
options:
  counter:
    description: File that counts the CPU time of the host's container.
    env: [{name: BENCH_TASK_CPU_COUNTER}]
  output:
    description: File to write.
    env: [{name: BENCH_TASK_CPU_OUTPUT}]
"""

import json
import os
import time
from pathlib import Path

from ansible.plugins.callback import CallbackBase
from bench_suite import cpu


class CallbackModule(CallbackBase):
    """Takes the counters whenever a task begins."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "task_cpu"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self.counter, self.output = (Path(os.environ[f"BENCH_TASK_CPU_{name}"]) for name in ("COUNTER", "OUTPUT"))
        self.rows = []

    def _mark(self, name, action):
        times = os.times()
        now = (time.monotonic(), times.user + times.system + times.children_user + times.children_system, cpu.read(self.counter))
        if self.rows:
            row = self.rows[-1]
            row["wall"], row["controller"], row["host"] = (round(after - before, 3) for before, after in zip(row.pop("from"), now))
        self.rows.append({"wall": 0.0, "controller": 0.0, "host": 0.0, "ran": 0, "name": name, "action": action, "from": now})

    def v2_playbook_on_start(self, playbook):
        """Begin."""
        self._mark("(start)", "")

    def v2_playbook_on_play_start(self, play):
        """A play compiles its tasks."""
        self._mark(f"(play {play.get_name()})", "")

    def v2_playbook_on_task_start(self, task, is_conditional):
        """A task, or a handler."""
        self._mark(task.get_name(), task.action)

    v2_playbook_on_handler_task_start = v2_playbook_on_cleanup_task_start = lambda self, task: self._mark(task.get_name(), task.action)

    def v2_runner_on_ok(self, result):
        """It was not skipped."""
        self.rows[-1]["ran"] += 1

    def v2_playbook_on_stats(self, stats):
        """Write the list."""
        self._mark("(end)", "")
        rows = [row for row in self.rows if "from" not in row]
        self.output.write_text(json.dumps(rows), encoding="utf-8")
