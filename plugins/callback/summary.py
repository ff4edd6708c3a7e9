# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says at the end of a run, host by host, what was changed and what to do next."""

from __future__ import annotations

DOCUMENTATION = r"""
name: summary
type: aggregate
short_description: Short closing summary of a run
version_added: 0.1.0
author:
  - labtrack contributors (@labtrack)
description:
  - Prints, when a playbook has ended, the tasks that changed each host, the first failure with its message, and what the play reported
    with P(ansible.builtin.set_stats#module) under the key C(labtrack) (URL, versions, a warning, next step).
requirements:
  - Enable it with C(callbacks_enabled = labtrack.mlflow.summary) in C(ansible.cfg).
"""

import time

from ansible.plugins.callback import CallbackBase

SHOWN = 12


class CallbackModule(CallbackBase):
    """Collects task names; results themselves are not kept, so that no secret can be printed here."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "labtrack.mlflow.summary"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self.started = time.monotonic()
        self.changed: dict[str, list[str]] = {}
        self.failed: dict[str, str] = {}

    def v2_runner_on_ok(self, result):
        """Remember the names of tasks that changed something."""
        if result._result.get("changed"):
            names = self.changed.setdefault(result._host.get_name(), [])
            name = result._task.get_name()
            if name not in names:
                names.append(name)

    def v2_runner_on_failed(self, result, ignore_errors=False):
        """Remember the first failure of a host."""
        if not ignore_errors:
            self.failed.setdefault(result._host.get_name(), result._task.get_name())

    def v2_runner_on_unreachable(self, result):
        """An unreachable host is a failure, too."""
        self.failed.setdefault(result._host.get_name(), "the host cannot be reached")

    def v2_playbook_on_stats(self, stats):
        """Print the summary."""
        lines = []
        for host in sorted(stats.processed):
            lines.append(f"{host}: {self._outcome(host)}")
            names = self.changed.get(host, [])
            lines += [f"    {name}" for name in names[:SHOWN]]
            if len(names) > SHOWN:
                lines.append(f"    and {len(names) - SHOWN} more")
            report = stats.custom.get(host, {}).get("labtrack", {})
            lines += [f"  {key}: {value}" for key, value in report.items() if key != "site"]
        self._display.banner(f"SUMMARY ({time.monotonic() - self.started:.0f} s)")
        self._display.display("\n".join(lines))

    def _outcome(self, host):
        count = len(self.changed.get(host, []))
        changes = f"{count} task{'' if count == 1 else 's'} changed something" if count else "nothing changed"
        return f"FAILED at '{self.failed[host]}'; {changes}" if host in self.failed else changes
