# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs check_site.yml once over all cases; tests look at what each host was told."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cases import CASES, material

ROOT = Path(__file__).resolve().parents[3]
MACHINE = "lt-bad-input"
# whatever a play could change; Ansible's own temporary files and the login's traces do not count
WATCHED = (
    "find /etc /opt /usr /srv /home /root /var/lib -xdev -not -path '*/.ansible*' -not -path '/var/lib/systemd/*'"
    " -printf '%p %T@ %s %m %u\\n' | sort | sha256sum"
)


@dataclasses.dataclass
class Outcome:
    """What a run said and did."""

    messages: dict[str, str]
    changed: int
    before: str
    after: str


def fingerprint() -> str:
    """State of the machine's files, packages and units."""
    command = f"{WATCHED}; dpkg -l | sha256sum; systemctl list-unit-files | sha256sum"
    return subprocess.run(["docker", "exec", MACHINE, "sh", "-c", command], capture_output=True, text=True, check=True).stdout


def base() -> tuple[dict, dict]:
    """(connection of the machine, variables for all) from the scenario's inventory."""
    inventory = json.loads((Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory" / "hosts.yml").read_text(encoding="utf-8"))
    return inventory["all"]["hosts"][MACHINE], inventory["all"]["vars"]


def play(inventory: dict, directory: Path, *options: str) -> subprocess.CompletedProcess:
    """Run check_site.yml, results as JSON on stdout."""
    path = directory / "inventory.json"
    path.write_text(json.dumps(inventory), encoding="utf-8")
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json"}
    tool = Path(sys.executable).parent / "ansible-playbook"
    return subprocess.run(
        [tool, "playbooks/check_site.yml", "-i", str(path), "--forks", "8", *options], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="session")
def outcome(tmp_path_factory) -> Outcome:
    """One run over all cases."""
    machine, common = base()
    directory = tmp_path_factory.mktemp("run")
    context = material(directory, common)
    # sites of their own: a mistake on one machine stops all of its site
    hosts = {case.name: {**machine, **context["good"], "site_name": f"bad-{number}", **case.variables(context)} for number, case in enumerate(CASES)}
    hosts["good"] = {**machine, **context["good"], "site_name": "no-mistakes"}
    hosts["twin"] = {**machine, **context["good"], "site_name": "twins"}
    groups = {group: {"hosts": {host: {} for host in hosts}} for group in ("tracking_servers", "database_servers")}
    trust = ["docker", "exec", "-i", MACHINE, "sh", "-c", "cat > /usr/local/share/store-ca.pem"]
    subprocess.run(trust, input=common["testbed_store_ca_pem"], text=True, check=True)
    before = fingerprint()
    done = play({"all": {"hosts": hosts, "vars": common, "children": groups}}, directory)
    assert done.stdout.lstrip().startswith("{"), done.stdout[-2000:] + done.stderr[-2000:]
    report, _end = json.JSONDecoder().raw_decode(done.stdout[done.stdout.index("{") :])
    messages: dict[str, str] = {}
    for task in (task for play_ in report["plays"] for task in play_["tasks"]):
        for host, result in task["hosts"].items():
            if result.get("failed") or result.get("unreachable"):
                items = [item.get("msg", "") for item in result.get("results", []) if item.get("failed")]
                messages[host] = "\n".join([str(result.get("msg", "")), *map(str, items), *map(str, result.get("argument_errors", []))])
    changed = sum(stats["changed"] for stats in report["stats"].values())
    return Outcome(messages, changed, before, fingerprint())
