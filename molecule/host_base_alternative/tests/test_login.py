# SPDX-License-Identifier: GPL-3.0-or-later
"""Real SSH logins, networks that may not come in, and input that is refused."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

MACHINE = "lt-host-base-alternative"
testinfra_hosts = [f"docker://{MACHINE}"]  # as root; the logins below are real ones over the network
SCENARIO = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])


@pytest.fixture(scope="module")
def variables() -> dict:
    """How Ansible reaches the machine."""
    inventory = json.loads((SCENARIO / "inventory" / "hosts.yml").read_text(encoding="utf-8"))
    return inventory["all"]["hosts"][MACHINE]


@pytest.fixture(scope="module")
def ssh(variables):
    """A login over the network: `ssh(user, key, command)`."""

    def login(user: str, key: str, command: str = "id -un", *options: str) -> subprocess.CompletedProcess:
        known = variables["ansible_ssh_common_args"].split()
        base = ["ssh", "-n", "-F", "none", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", *known, "-i", key, *options]
        return subprocess.run([*base, f"{user}@{variables['ansible_host']}", command], capture_output=True, text=True, check=False)

    return login


def test_the_key_of_the_image_still_opens(ssh, variables):
    result = ssh("debian", variables["ansible_ssh_private_key_file"])
    assert result.stdout.strip() == "debian", result.stderr


@pytest.mark.parametrize("name", ["alice", "bob"])
def test_a_new_key_opens(ssh, name):
    result = ssh(name, str(SCENARIO / name))
    assert result.stdout.strip() == name, result.stderr


def test_sudo_is_for_those_who_have_it(ssh):
    assert ssh("alice", str(SCENARIO / "alice"), "sudo -n id -un").stdout.strip() == "root"
    assert ssh("bob", str(SCENARIO / "bob"), "sudo -n id -un").returncode != 0


def test_another_persons_key_does_not_open(ssh):
    assert "Permission denied (publickey)" in ssh("bob", str(SCENARIO / "alice")).stderr


def test_a_removed_account_is_gone(ssh, host):
    assert not host.user("carol").exists
    assert host.file("/home/carol").is_directory
    assert ssh("carol", str(SCENARIO / "carol")).returncode != 0


def test_no_password_is_asked_for(ssh):
    """The account has a password, and an image's own drop-in allows it: neither helps."""
    result = ssh("debian", str(SCENARIO / "carol"), "id", "-o", "PreferredAuthentications=password,keyboard-interactive")
    assert "Permission denied (publickey)" in result.stderr


def test_people_cannot_change_their_own_keys_file(host):
    keys = host.file("/etc/ssh/authorized_keys.d/alice")
    assert (keys.user, keys.group, keys.mode) == ("root", "root", 0o644)


@pytest.mark.parametrize("port", [22, 443, 9100])
def test_other_networks_reach_nothing(host, variables, port):
    if port != 22:
        host.check_output(f"systemd-run --quiet --unit lt-port-{port} python3 -m http.server {port}")
    host.run(f"timeout 10 bash -c 'until ss -Hltn sport = :{port} | grep -q LISTEN; do :; done'")
    try:
        probe = ["timeout", "2", "bash", "-c", f"</dev/tcp/{variables['ansible_host']}/{port}"]
        neighbour = ["docker", "run", "--rm", "--label", "labtrack=test", "--network", "labtrack", "labtrack/debian13"]
        assert subprocess.run(probe, capture_output=True, check=False).returncode == 0, "an allowed network"
        assert subprocess.run([*neighbour, *probe], capture_output=True, check=False).returncode != 0, "another network"
    finally:
        host.run(f"systemctl stop lt-port-{port}")


def test_the_extra_package_came_with_the_others(host):
    assert host.package("jq").is_installed


def test_time_servers_are_set(host):
    assert "NTP=ntp1.example.org ntp2.example.org" in host.check_output("systemd-analyze cat-config systemd/timesyncd.conf")


def run_with(**variables) -> str:
    """Run the role's checks with other input; return what a person reads."""
    playbook = Path(__file__).resolve().parents[1] / "converge.yml"
    command = ["ansible-playbook", "-i", str(SCENARIO / "inventory"), str(playbook), "--tags", "preflight", "-e", json.dumps(variables)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=playbook.parents[2])
    assert result.returncode, result.stdout
    return " ".join((result.stdout + result.stderr).split())


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"site_admin_cidrs": []}, "site_admin_cidrs is '[]': nobody could open SSH any more"),
        ({"site_admin_cidrs": ["203.0.113.0/24"]}, "and would shut itself out"),
        ({"site_admin_cidrs": ["10.0.0.300/24"]}, "'10.0.0.300/24' is not a network"),
        ({"site_client_cidrs": ["192.0.2.1/24"]}, "did you mean '192.0.2.0/24'?"),
        ({"host_base_volume": {"id": "/dev/vdb"}}, "may name another disk after a reboot"),
        ({"host_base_volume": {"id": "virtio-nowhere"}}, "host_base_volume is 'id=virtio-nowhere': no such volume is attached"),
        ({"host_base_users": [{"name": "eve", "keys": ["hunter2"]}]}, "host_base_users has 'eve' with a key that is none"),
        ({"host_base_users": [{"name": "debian", "state": "absent"}]}, "root or the account of this run is among them"),
        ({"host_base_memory_min_mb": 99000000}, "the machine has only"),
        ({"host_base_ssh_ports": [2222]}, "sshd listens on 22, and the rest would be closed"),
    ],
)
def test_bad_input_is_refused_with_a_reason(variables, words):
    assert words in run_with(**variables)


def test_the_directory_of_metrics_is_where_the_site_says(host):
    assert host.file("/srv/metrics").is_directory
    assert not host.file("/var/lib/prometheus").exists
