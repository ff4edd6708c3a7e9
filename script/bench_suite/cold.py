# SPDX-License-Identifier: GPL-3.0-or-later
"""site.yml on a fresh machine beside a bare shell script that ends with the same packages and the same running units."""

from __future__ import annotations

import itertools
import json
import re
import time

import docker
from testbed import machines as testbed
from testbed.engine import ROOT, TestbedError

from . import cpu, machines
from .figures import Figure, Report, middle, say
from .site import STATE, Site

GOAL, ROUNDS, ROWS = 1.15, 2, 15
TABLE = "cold run (the last one), the longest tasks: wall, controller, host, times run, task, module"
WORK = "/opt/bench"
# what the roles have written; packages, environments, data and logs are made by the script itself
CONFIGURATION = (
    "etc/labtrack etc/systemd/system etc/nginx etc/fail2ban etc/ceph/ceph.conf etc/ssh/sshd_config.d etc/apt/apt.conf.d etc/postgresql"
    " usr/local opt/labtrack/mlflow/main/current opt/labtrack/mlflow/main/releases/*/server var/lib/labtrack/mlflow/main/keys var/lib/ceph/osd/ceph-0"
)
UNITS = (
    "systemctl list-units --state=active --type=service,socket,timer,path --plain --no-legend"
    " | awk '{print $1}' | grep -vE '^(user|run-|session)|^sshd?(-session)?@' | sort"
)


def words(machine: machines.Machine, command: str) -> list[str]:
    """What a shell command prints, by word."""
    return testbed.run(machine, ["bash", "-c", command]).split()


def state(machine: machines.Machine) -> dict[str, set[str]]:
    """Packages that were asked for, and units that run."""
    return {"packages": set(words(machine, "apt-mark showmanual")), "units": set(words(machine, UNITS))}


def snapshot(site: machines.Machine, before: dict[str, set[str]]) -> dict[str, str | bytes]:
    """What the script needs to make the same machine."""
    after = state(site)
    command = f"cd / && tar -cf - $(ls -d {CONFIGURATION} 2>/dev/null)"
    files: dict[str, str | bytes] = {name: "\n".join(sorted(after[name] - before[name])) + "\n" for name in after}
    files["configuration.tar"] = site.exec_run(["bash", "-c", command], stderr=False)[1]
    files["bootstrap.sh"] = (ROOT / "roles" / "object_store_server" / "files" / "bootstrap.sh").read_text(encoding="utf-8")
    return {**files, **machines.locks(), "cold.sh": machines.beside("cold.sh")}


def by_shell(client: docker.DockerClient, site: Site, before: dict[str, set[str]]) -> dict[str, float]:
    """The script on a fresh machine.

    Raises:
        TestbedError: it failed, or the machine is not the same in the end.
    """
    machine = machines.fresh(client, "shell", volumes=["/var/lib/labtrack"])
    machines.put(machine, WORK, snapshot(site.machine, before))
    counter = cpu.counter(machine)
    used, started = cpu.read(counter), time.monotonic()
    output = testbed.run(machine, [f"{WORK}/cold.sh", WORK, testbed.address(site.machine), testbed.address(machine)])
    result = {"wall": time.monotonic() - started, "cpu": cpu.read(counter) - used}
    (STATE / "log").mkdir(parents=True, exist_ok=True)
    (STATE / "log" / "cold-shell.log").write_text(output, encoding="utf-8")
    ours, theirs = state(site.machine), state(machine)
    for name in ours:
        if lacking := ours[name] - theirs[name]:
            raise TestbedError(f"the shell script ended without these {name}, so the comparison does not count: {', '.join(sorted(lacking))}.")
    stamps = re.findall(r"^(\d{10}\.\d+) (\w+)$", output, re.MULTILINE)  # programs print lines that begin with a date, too
    result["steps"] = {name: round(float(later[0]) - float(stamp), 1) for (stamp, name), later in itertools.pairwise(stamps)}
    testbed.down(client, [machine.name])
    return result


def bench(client: docker.DockerClient, report: Report) -> None:
    """Rounds of both, one after the other; the site of the last round stays for the other parts."""
    site, rows = Site(client), {"site": [], "shell": []}
    for number in range(ROUNDS):
        site.start()
        before = state(site.machine)
        used, count = site.play(f"cold-{number}", site.by_task("cold-tasks.json"))
        rows["site"].append({"wall": used.wall, "cpu": used.controller + used.hosts, "controller": used.controller})
        say(f"cold site.yml: {used.wall:.0f} s, {used.controller:.0f} + {used.hosts:.0f} CPU s, {count['changed']} changes")
        rows["shell"].append(by_shell(client, site, before))
        say(f"cold shell script: {rows['shell'][-1]['wall']:.0f} s, {rows['shell'][-1]['cpu']:.0f} CPU s")
    details = {who: {key: middle([row[key] for row in rows[who]], 1) for key in rows[who][0] if key != "steps"} for who in rows}
    details["shell"]["steps"] = rows["shell"][-1]["steps"]
    for key, goal in (("wall", GOAL), ("cpu", None)):
        ratios = middle([ours[key] / theirs[key] for ours, theirs in zip(rows["site"], rows["shell"])])
        what = f"cold site.yml {details['site'][key]['median']:.0f} s, shell script {details['shell'][key]['median']:.0f} s ({key})"
        report.add(Figure(f"cold {key}", ratios["median"], "x", what, goal, at_most=True, details={**details, "ratio": ratios}))
    tasks = json.loads((STATE / "cold-tasks.json").read_text(encoding="utf-8"))
    report.tables[TABLE] = sorted(tasks, key=lambda row: row["wall"], reverse=True)[:ROWS]
