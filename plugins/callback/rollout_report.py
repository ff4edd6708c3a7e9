# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes what happened to each site of a run, with the time of each step and the cause of each failure."""

from __future__ import annotations

DOCUMENTATION = r"""
name: rollout_report
type: aggregate
short_description: Report of a run over many sites, as JSON and HTML
version_added: 0.1.0
author:
  - labtrack contributors (@labtrack)
description:
  - After a playbook that deploys (its plays say so with P(ansible.builtin.set_stats#module) and the key C(labtrack)), writes one JSON and one HTML file.
    Each host has its site, address, versions, outcome, the seconds and changes of each role, and the first failure with its message.
  - The last 40 reports stay. Results of tasks with C(no_log) are not in it.
options:
  report_dir:
    description: Where the reports are written, with mode 0700. An empty string switches the report off.
    type: str
    default: ~/.ansible/labtrack/rollouts
    env: [{name: LABTRACK_REPORT_DIR}]
    ini: [{section: callback_rollout_report, key: report_dir}]
requirements:
  - Enable it with C(callbacks_enabled = labtrack.mlflow.rollout_report) in C(ansible.cfg).
"""

import json
import time
from datetime import UTC, datetime
from pathlib import Path

from ansible.plugins.callback import CallbackBase
from ansible_collections.labtrack.mlflow.plugins.module_utils import _rollout_report as rollout


def message(result: dict) -> str:
    """What failed: the message, with those of a loop's items and of the arguments."""
    if result.get("censored"):
        return "The task's result is hidden because it handles secrets; run it on this host alone to see it."
    items = [str(item.get("msg", "")) for item in result.get("results", []) if isinstance(item, dict) and item.get("failed")]
    return "\n".join(filter(None, [str(result.get("msg", "")), *items, *map(str, result.get("argument_errors", []))]))


class CallbackModule(CallbackBase):
    """Collects times and changes by host and role."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "labtrack.mlflow.rollout_report"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self.started, self.clock = datetime.now(UTC), time.monotonic()
        self.playbook = ""
        self.hosts: dict[str, rollout.Host] = {}
        self.running: dict[tuple[str, str], float] = {}

    def v2_playbook_on_start(self, playbook):
        """Remember the name."""
        self.playbook = Path(playbook._file_name).name

    def v2_runner_on_start(self, host, task):
        """A task begins on a host."""
        self.running[host.get_name(), task._uuid] = time.monotonic()

    def _ended(self, result) -> rollout.Host:
        name, task = result._host.get_name(), result._task
        host = self.hosts.setdefault(name, rollout.Host(name))
        seconds = time.monotonic() - self.running.pop((name, task._uuid), time.monotonic())
        host.add(task._role.get_name().rpartition(".")[2] if task._role else "playbook", seconds, bool(result._result.get("changed")))
        return host

    def v2_runner_on_ok(self, result):
        """Done, changed or not."""
        self._ended(result)

    def v2_runner_on_skipped(self, result):
        """Nothing to count."""
        self.running.pop((result._host.get_name(), result._task._uuid), None)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        """The host's first failure is its cause."""
        host = self._ended(result)
        if not ignore_errors:
            host.fail("failed", result._task.get_name(), message(result._result))

    def v2_runner_on_unreachable(self, result):
        """An unreachable host is a failure, too."""
        self._ended(result).fail("unreachable", result._task.get_name(), message(result._result))

    def v2_playbook_on_stats(self, stats):
        """Write the report, and say where."""
        facts = {name: custom["labtrack"] for name, custom in stats.custom.items() if "labtrack" in custom}
        if not self.get_option("report_dir") or not facts:
            return
        deployed = {name for name, values in facts.items() if "versions" in values}
        for name, host in self.hosts.items():
            # a run that deploys, and did not come to this host: an earlier one had failed
            host.finished = not deployed or name in deployed
            host.facts = {key: str(value) for key, value in facts.get(name, {}).items() if key in ("site", "url", "versions")}
        seconds = time.monotonic() - self.clock
        data = rollout.report(self.playbook, self.started.strftime("%Y-%m-%d %H:%M UTC"), seconds, list(self.hosts.values()))
        contents = {".json": json.dumps(data, indent=1) + "\n", ".html": rollout.page(data)}
        folder = Path(self.get_option("report_dir")).expanduser()
        paths = rollout.write(folder, f"{self.started.strftime('%Y%m%dT%H%M%SZ')}-{Path(self.playbook).stem}", contents)
        self._display.display(f"Report: {paths[-1]}")
