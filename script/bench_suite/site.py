# SPDX-License-Identifier: GPL-3.0-or-later
"""The site that is measured: the example of one machine, deployed by site.yml over SSH into a fresh container."""

from __future__ import annotations

import base64
import configparser
import json
import os
import re
import secrets
import sys
from pathlib import Path
from typing import Any

import docker
from testbed import machines as testbed
from testbed.engine import CACHE, ROOT, TestbedError

from . import cpu, machines
from .targets import Target, read_file

STATE = CACHE / "bench"
CREDENTIALS = "/var/lib/labtrack/mlflow/main/admin_credentials"
CA = "/etc/labtrack/tls/ca.pem"
STORE_PORT, ACCESS_KEY = 7443, "labtrack-mlflow"
CHANGED = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.M)
# beyond the example: the store also answers the client that is compared with the server
OVERLAY = {
    "site_name": "bench",
    "site_fqdn": "{{ testbed_address }}",
    "site_admin_cidrs": ["{{ testbed_gateway }}/32"],
    "object_store_server_bind_address": "{{ '0.0.0.0' }}",
    "host_base_firewall_extra_rules": [{"port": STORE_PORT, "cidrs": ["{{ testbed_gateway }}/32"], "comment": "benchmark"}],
}
PLATFORM = {"inventory_name": "mlflow", "hostname": "mlflow", "ssh": True, "volumes": ["/var/lib/labtrack"], "host_vars": OVERLAY}


class Site:
    """One machine with its inventory."""

    def __init__(self, client: docker.DockerClient, role: str = "site") -> None:
        self.client, self.role = client, role
        self.inventory = STATE / f"inventory-{role}"
        self.machine = machines.existing(client, role)

    def start(self) -> None:
        """A fresh machine and new secrets."""
        self.machine = machines.fresh(self.client, self.role, **PLATFORM)
        platform = {"name": self.machine.name, **PLATFORM}
        hosts = testbed.inventory(
            {self.machine: platform}, {"vault_s3_secret_key": secrets.token_urlsafe(30), "vault_backup_passphrase": secrets.token_urlsafe(30)}
        )
        self.inventory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.inventory / "hosts.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(hosts, indent=1), encoding="utf-8")

    @property
    def secret_key(self) -> str:
        """The S3 secret of this site."""
        return json.loads((self.inventory / "hosts.json").read_text(encoding="utf-8"))["all"]["vars"]["vault_s3_secret_key"]

    @property
    def counter(self) -> Path:
        """The CPU time of its machine."""
        return cpu.counter(self.machine)

    def play(self, name: str, environment: dict[str, str] | None = None) -> tuple[cpu.Used, dict[str, int]]:
        """`ansible-playbook site.yml`; what it took, and Ansible's own count.

        Raises:
            TestbedError: it failed.
        """
        tool = str(Path(sys.executable).parent / "ansible-playbook")
        command = [tool, "site.yml", "-i", "inventories/example_single_vm", "-i", str(self.inventory)]
        inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}  # as on any controller
        variables = {**inherited, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0", **(environment or {})}
        log = STATE / "log" / f"{name}.log"
        used = cpu.measure(command, variables, ROOT, [self.counter], log)
        count = CHANGED.search(used.output)
        if used.code or not count:
            raise TestbedError(f"site.yml ended with code {used.code}: see {log.relative_to(ROOT)}.\n{used.output[-3000:]}")
        return used, {"ok": int(count[2]), "changed": int(count[3])}

    def by_task(self, name: str) -> dict[str, str]:
        """Environment that makes a run write wall and CPU seconds of each task to that file below STATE; other callbacks stay."""
        settings = configparser.ConfigParser()
        settings.read(ROOT / "ansible.cfg")
        return {
            "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).with_name("callbacks")),
            "ANSIBLE_CALLBACKS_ENABLED": f"{settings['defaults']['callbacks_enabled']}, task_cpu",
            "BENCH_TASK_CPU_COUNTER": str(self.counter),
            "BENCH_TASK_CPU_OUTPUT": str(STATE / name),
        }

    def target(self) -> Target:
        """The deployed server, with the login of its first admin.

        Raises:
            TestbedError: it does not answer.
        """
        parser = configparser.ConfigParser()
        parser.read_string(read_file(self.machine, CREDENTIALS))
        login = {key: value for section in parser.sections() for key, value in parser[section].items()}
        words = f"{login['mlflow_tracking_username']}:{login['mlflow_tracking_password']}"
        header = "Basic " + base64.b64encode(words.encode()).decode()
        url, ca_pem = f"https://{testbed.address(self.machine)}", read_file(self.machine, CA)
        target = Target("site", url, self.machine, "labtrack-mlflow", header, ca_pem, ("root", "mlflow"))
        machines.wait("the deployed server", target.answers, 30)
        return target

    def versions(self) -> dict[str, str]:
        """What runs on the machine."""
        wanted = {"postgresql-17": "PostgreSQL", "nginx": "nginx", "radosgw": "Ceph", "python3": "Python"}
        lines = testbed.run(self.machine, ["dpkg-query", "-W", "-f", "${Package} ${Version}\n"]).splitlines()
        found: dict[str, Any] = dict(line.split(" ", 1) for line in lines)
        return {name: found[package] for package, name in wanted.items() if package in found}


def deployed(client: docker.DockerClient) -> Site:
    """The site of an earlier part of this run (or of a run with --keep), or a new one."""
    site = Site(client)
    if site.machine is None or not (site.inventory / "hosts.json").exists():
        site.start()
        site.play("deploy")
    return site
