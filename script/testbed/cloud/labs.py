# SPDX-License-Identifier: GPL-3.0-or-later
"""Inventories of labs whose machines are in the test cloud: inventories/example_multi_site, with what differs in a file of its own."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openstack
import yaml

from ..engine import ROOT, TestbedError
from ..site import Site
from . import facts

EXAMPLE = ROOT / "inventories" / "example_multi_site"
# the example's second site is the pattern for others
PATTERN = "biology"
RECAP = re.compile(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)


@dataclass
class Lab:
    """One site: its name, the entry of clouds.yaml, what differs from the example."""

    name: str
    cloud: str
    variables: dict[str, Any] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """The one host of the site."""
        return f"{self.name}-mlflow"


class Labs:
    """Several sites below one directory, run from one command."""

    def __init__(self, directory: Path, labs: list[Lab], clouds_file: Path = facts.CLOUDS_FILE) -> None:
        self.directory, self.labs, self.clouds_file = directory, labs, clouds_file
        self.key = directory / "id_ed25519"

    def write(self) -> None:
        """The inventories, unless they are there: what a run has recorded in them stays."""
        self.directory.mkdir(parents=True, exist_ok=True)
        if not self.key.exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "tester@example.org", "-f", str(self.key)], check=True)
        shutil.copytree(EXAMPLE / "common", self.directory / "common", dirs_exist_ok=True)
        for lab in self.labs:
            for source in sorted((EXAMPLE / PATTERN).rglob("*.yml")):
                target = self.directory / lab.name / str(source.relative_to(EXAMPLE / PATTERN)).replace(PATTERN, lab.name)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(source.read_text(encoding="utf-8").replace(PATTERN, lab.name), encoding="utf-8")
        hosts = {lab.host: {**self._common(), "site_cloud": lab.cloud, **lab.variables} for lab in self.labs}
        (self.directory / "testbed").mkdir(exist_ok=True)
        (self.directory / "testbed" / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts}}, indent=1), encoding="utf-8")

    def _common(self) -> dict[str, Any]:
        return {
            "site_cloud_profile": "generic",
            "site_admin_cidrs": [facts.SUBNET, f"{facts.GATEWAY}/32"],
            "site_s3_endpoint": facts.S3_ENDPOINT,
            "site_s3_ca_pem": facts.CA_FILE.read_text(encoding="utf-8"),
            "openstack_server_image": facts.IMAGE,
            "openstack_server_login_user": "debian",
            "openstack_server_external_network": facts.EXTERNAL_NETWORK,
            "openstack_server_flavor": "p1-3gb",
            "openstack_server_data_volume_gb": 10,
            "openstack_server_public_key_file": f"{self.key}.pub",
            "ansible_ssh_private_key_file": str(self.key),
        }

    def environment(self) -> dict[str, str]:
        """With the checkout's own ansible.cfg, as a lab admin has it, and with words that can be read by programs."""
        plain = {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0", "LABTRACK_REPORT_DIR": str(self.directory / "reports")}
        return {**os.environ, **plain, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "OS_CLIENT_CONFIG_FILE": str(self.clouds_file)}

    def command(self, playbook: str, *options: str) -> list[str]:
        """`ansible-playbook` with all sites."""
        sources = [self.directory / name for name in ("common", *(lab.name for lab in self.labs), "testbed")]
        return [str(Path(sys.executable).parent / "ansible-playbook"), playbook, *(word for path in sources for word in ("-i", str(path))), *options]

    def play(self, playbook: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Run a playbook; its output."""
        return subprocess.run(self.command(playbook, *options), cwd=ROOT, env=self.environment(), capture_output=True, text=True, check=False)

    def record(self, lab: Lab) -> dict[str, str]:
        """What the role openstack_server has recorded of the machine."""
        path = self.directory / lab.name / "host_vars" / lab.host / "openstack_server.yml"
        return yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}

    def login(self, lab: Lab) -> openstack.connection.Connection:
        """A connection to the lab's project."""
        return openstack.connection.Connection(config=openstack.config.OpenStackConfig(config_files=[str(self.clouds_file)]).get_one(lab.cloud))

    def read(self, lab: Lab, path: str) -> str:
        """A file of the machine, as root.

        Raises:
            TestbedError: it cannot be read.
        """
        known = self.directory / lab.name / "host_vars" / lab.host / "ssh_known_hosts.txt"
        options = ["-n", "-F", "none", "-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={known}", "-i", str(self.key)]
        command = ["ssh", *options, f"debian@{self.record(lab)['ansible_host']}", f"sudo cat {path}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise TestbedError(f"{lab.host}: {path} cannot be read: {done.stderr.strip()}")
        return done.stdout

    def site(self, lab: Lab) -> Site:
        """The site as a person outside sees it."""
        ca_file = self.directory / f"{lab.name}-ca.pem"
        ca_file.write_text(self.read(lab, "/etc/labtrack/tls/ca.pem"), encoding="utf-8")
        credentials = configparser.ConfigParser(interpolation=None)
        credentials.read_string(self.read(lab, "/var/lib/labtrack/mlflow/main/admin_credentials"))
        login = credentials["mlflow"]
        names = ("mlflow_tracking_username", "mlflow_tracking_password")
        return Site(f"mlflow.{lab.name}.example", self.record(lab)["ansible_host"], ca_file, *(login[name] for name in names))


def changes(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """How many tasks changed something, by host, and prints which; the run has to have succeeded."""
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    task = ""
    for line in done.stdout.splitlines():
        if line.startswith(("TASK [", "RUNNING HANDLER [")):
            task = line.rstrip("* ")
        elif line.startswith("changed: ["):
            print(f"{line.partition(' =>')[0]} by {task}")
    return {host: int(changed) for host, changed, *_rest in RECAP.findall(done.stdout)}
