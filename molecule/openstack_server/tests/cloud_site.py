# SPDX-License-Identifier: GPL-3.0-or-later
"""A site as inventories/example_openstack has it, in a project of its own in the test cloud; runs of the collection's playbooks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cloud_project
import yaml
from interrupt import kill_when
from testbed.cloud import facts
from testbed.engine import ROOT

HOST = "mlflow"


class Site:
    """One site. `lab` is the login of its project by password, `admin` the cloud's."""

    def __init__(self, directory, name, variables, **network_quota):
        self.name, self.directory, self.inventory, self.key = name, Path(directory), Path(directory) / "site", Path(directory) / "id_ed25519"
        self.admin = cloud_project.login("admin")
        shutil.rmtree(directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True)
        self.clouds_file = cloud_project.make(self.admin, name, directory, **{"routers": 1, "networks": 2, "floating_ips": 2, **network_quota})
        self.lab = cloud_project.login(name, self.clouds_file)
        self.lab.authorize()  # now: later the cloud may take no passwords
        self.variables = {**self._variables(), **variables}
        self.begin()

    def _variables(self):
        """What differs from the example."""
        return {
            "site_name": self.name,
            "site_cloud": self.name,
            "site_cloud_profile": "generic",
            "site_admin_cidrs": [f"{facts.GATEWAY}/32"],
            "site_s3_ca_pem": facts.CA_FILE.read_text(encoding="utf-8"),
            "openstack_server_flavor": "p1-3gb",
            "openstack_server_image": facts.IMAGE,
            "openstack_server_data_volume_gb": 3,
            "openstack_server_network_create_enabled": True,
            "openstack_server_external_network": facts.EXTERNAL_NETWORK,
            "openstack_server_public_key_file": f"{self.key}.pub",
            "ansible_ssh_private_key_file": str(self.key),
        }

    def begin(self):
        """An inventory without records."""
        shutil.rmtree(self.inventory, ignore_errors=True)
        shutil.copytree(ROOT / "inventories" / "example_openstack", self.inventory)
        own = self.inventory / "host_vars" / HOST / "own.yml"
        own.parent.mkdir(parents=True)
        own.write_text(yaml.safe_dump(self.variables), encoding="utf-8")

    def clear(self):
        """Back to an empty project."""
        cloud_project.empty(self.admin, self.admin.identity.find_project(self.name))
        cloud_project.forget_keys(self.lab)
        self.begin()

    def things(self):
        """What is in the project."""
        return cloud_project.things(self.lab)

    def counts(self):
        """How many of each kind."""
        return {kind: len(items) for kind, items in self.things().items()}

    def has_one_each(self, floating_ip=True, own_network=True):
        """One of each, all marked, nothing else, and they belong together."""
        machine, shared, own = f"{self.name}-{HOST}", (f"labtrack_site={self.name}",), (f"labtrack_host={HOST}", f"labtrack_site={self.name}")
        expected = {"servers": [(machine, own)], "volumes": [(f"{machine}-data", own)], "ports": [(machine, own)], "groups": [(machine, own)]}
        expected |= {f"{kind}s": [(f"{self.name}-{kind}", shared)] if own_network else [] for kind in ("network", "subnet", "router")}
        found = self.things()
        assert {kind: [item[:2] for item in found[kind]] for kind in expected} == expected
        assert [item[1] for item in found["floating IPs"]] == [own] * floating_ip and found["EC2 keys"] == []
        ((pair, _, _),) = found["key pairs"]
        server, port, volume = (found[kind][0][2] for kind in ("servers", "ports", "volumes"))
        made = self.lab.compute.get_server(server)
        assert pair.startswith(f"{machine}-") and (made.status, made.key_name) == ("ACTIVE", pair)
        assert self.lab.network.get_port(port).device_id == server
        assert [self.lab.network.get_ip(item[2]).port_id for item in found["floating IPs"]] == [port] * floating_ip
        assert [item["server_id"] for item in self.lab.block_storage.get_volume(volume).attachments] == [server]

    def command(self, playbook, *options):
        """A run as a lab admin starts it."""
        return [str(Path(sys.executable).parent / "ansible-playbook"), str(playbook), "-i", str(self.inventory), *options]

    def environment(self):
        """With the checkout's own ansible.cfg, and readable results."""
        plain = {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0", "LABTRACK_REPORT_DIR": ""}
        return {**os.environ, **plain, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "OS_CLIENT_CONFIG_FILE": str(self.clouds_file)}

    def start(self, playbook, *options):
        """The same, not waited for."""
        out = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen(self.command(playbook, *options), cwd=ROOT, env=self.environment(), text=True, **out)

    def play(self, playbook, *options):
        """The same, to its end."""
        process = self.start(playbook, *options)
        output = process.communicate()[0]
        return subprocess.CompletedProcess(process.args, process.returncode, output, "")

    def kill_when(self, condition, playbook, *options):
        """Start a run, and kill it as soon as the condition answers something."""
        return kill_when(condition, self.command(playbook, *options), self.directory / "killed.log", cwd=ROOT, env=self.environment())


def changed(done):
    """How many tasks changed something on the machine; the run has to succeed."""
    assert done.returncode == 0, done.stdout[-6000:]
    return int(re.search(rf"^{HOST}\s+: ok=\d+\s+changed=(\d+)", done.stdout, re.MULTILINE).group(1))


def words(done):
    """What a person reads, on one line."""
    return " ".join(done.stdout.split())
