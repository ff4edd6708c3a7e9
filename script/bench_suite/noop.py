# SPDX-License-Identifier: GPL-3.0-or-later
"""A run of site.yml that has nothing to do: CPU seconds of the controller and of the host, with Ansible's own strategy and with Mitogen's."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

from testbed.engine import TestbedError

from . import cpu
from .figures import Figure, Report, middle, say
from .site import STATE, Site

ROUNDS, IDLE_SECONDS, ROWS = 3, 20, 15
GOALS = {"plain": 12, "mitogen": 6}
TABLE = "no-op run, the tasks with most CPU seconds: wall, controller, host, times run, task, module"


def mitogen() -> dict[str, str]:
    """Environment that makes Ansible use Mitogen's strategy."""
    package = importlib.util.find_spec("ansible_mitogen")
    if package is None:
        raise TestbedError("Mitogen is not in the environment: it is listed in requirements/dev.in; run script/setup.")
    plugins = Path(package.origin).parent / "plugins" / "strategy"
    return {"ANSIBLE_STRATEGY": "mitogen_linear", "ANSIBLE_STRATEGY_PLUGINS": str(plugins), "ANSIBLE_DEPRECATION_WARNINGS": "0"}


def bench(report: Report, site: Site) -> None:
    """Both strategies, alternating; then the table of tasks."""
    site.play("noop-settle")
    environments = {"plain": {}, "mitogen": mitogen()}
    seen: dict[str, list[dict[str, float]]] = {name: [] for name in environments}
    idle = cpu.idle_rate([site.counter], IDLE_SECONDS)
    for number in range(ROUNDS):
        for name, environment in environments.items():
            used, count = site.play(f"noop-{name}-{number}", environment)
            if count["changed"]:
                log = f".labtrack/bench/log/noop-{name}-{number}.log"
                raise TestbedError(f"{count['changed']} tasks changed something in a run that should change nothing: see {log}.")
            host = used.hosts - idle * used.wall
            seen[name].append({"total": used.controller + host, "controller": used.controller, "host": host, "wall": used.wall})
            say(f"no-op {name}: {used.controller:.1f} + {host:.1f} CPU s, {used.wall:.0f} s, ok={count['ok']}")
    idle = (idle + cpu.idle_rate([site.counter], IDLE_SECONDS)) / 2
    for name, rows in seen.items():
        details = {key: middle([row[key] for row in rows], 2) for key in rows[0]}
        parts = [details[key]["median"] for key in ("controller", "host", "wall")]
        what = f"no-op site.yml: controller {parts[0]:.1f} + host {parts[1]:.1f} CPU s, wall {parts[2]:.0f} s"
        details["idle_cpu_s_per_s"] = round(idle, 4)
        report.add(Figure(f"noop {name}", details["total"]["median"], "CPU s", what, GOALS[name], at_most=True, details=details))
    site.play("noop-profile", site.by_task("tasks.json"))
    tasks = json.loads((STATE / "tasks.json").read_text(encoding="utf-8"))
    ran = [task for task in tasks if task["action"] and task["ran"]]
    report.tables[TABLE] = sorted(tasks, key=lambda row: row["host"] + row["controller"], reverse=True)[:ROWS]
    report.add(Figure("noop tasks", len(ran), "tasks", f"of {sum(1 for task in tasks if task['action'])} were not skipped"))
