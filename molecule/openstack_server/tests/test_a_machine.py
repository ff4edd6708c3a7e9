# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine as a person finds it, in the cloud and by SSH."""

from __future__ import annotations

import subprocess

import pytest
import yaml
from cloud_machine import INVENTORY, cloud, opens, ours, record, run, ssh, variables

HOST, NAME = "mlflow", "lab-mlflow"


@pytest.fixture(scope="module")
def lab():
    return cloud("lab-a")


@pytest.fixture(scope="module")
def server(lab):
    (found,) = ours(lab.compute.servers(), HOST)
    return found


def test_the_record_is_plain_and_short():
    found = yaml.safe_load(record(HOST))
    assert list(found) == ["ansible_host", "ansible_user", "site_public_address", "site_server_id", "site_data_volume_id", "ansible_ssh_common_args"]
    assert found["ansible_host"] == found["site_public_address"] and found["ansible_user"] == "debian"
    assert str(INVENTORY) not in record(HOST), "another clone of the site is elsewhere"


def test_ansible_reads_the_record_and_not_the_host_keys():
    found = variables(HOST)
    assert found["site_public_address"] == found["ansible_host"]
    assert f"{INVENTORY}/host_vars/{HOST}/ssh_known_hosts.txt" in found["ansible_ssh_common_args"]


def test_the_host_key_is_the_machines_own():
    lines = [line.split() for line in (INVENTORY / "host_vars" / HOST / "ssh_known_hosts.txt").read_text().splitlines()]
    assert {address for address, _kind, _key in lines} == {variables(HOST)["ansible_host"]}
    assert run(HOST, "cat /etc/ssh/ssh_host_ed25519_key.pub").split()[:2] in [line[1:] for line in lines]


def test_another_key_does_not_open(tmp_path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
    assert "Permission denied (publickey)" in ssh(HOST, "id", tmp_path / "other").stderr


def test_the_server_is_as_asked(lab, server):
    assert (server.name, server.status, str(server.has_config_drive)) == (NAME, "ACTIVE", "True")
    assert server.metadata == {"labtrack_site": "lab", "labtrack_host": HOST}
    assert server.key_name.startswith(f"{NAME}-")
    assert lab.compute.find_keypair(server.key_name)


def test_the_data_volume_is_in_the_machine_and_found_by_its_id(lab, server):
    (volume,) = ours(lab.block_storage.volumes(), HOST)
    assert (volume.name, volume.size, volume.status) == (f"{NAME}-data", 50, "in-use")
    assert [item["server_id"] for item in volume.attachments] == [server.id]
    assert variables(HOST)["site_data_volume_id"] == volume.id
    assert volume.id[:20] in run(HOST, "ls /dev/disk/by-id"), "host_base looks for this name"


def test_the_address_is_a_floating_ip_of_the_port(lab, server):
    (port,), (address,) = ours(lab.network.ports(), HOST), ours(lab.network.ips(), HOST)
    assert port.device_id == server.id and address.port_id == port.id
    assert address.floating_ip_address == variables(HOST)["site_public_address"]


def test_the_security_group_has_exactly_these_rules(lab):
    (group,) = ours(lab.network.security_groups(), HOST)
    gateway = variables(HOST)["testbed_cloud_gateway"]
    coming = {(rule["ethertype"], rule["protocol"], rule["port_range_min"], rule["port_range_max"], rule["remote_ip_prefix"])
              for rule in group.security_group_rules if rule["direction"] == "ingress"}  # fmt: skip
    web = {(kind, "tcp", port, port, cidr) for port in (80, 443) for kind, cidr in (("IPv4", "0.0.0.0/0"), ("IPv6", "::/0"))}
    assert coming == {("IPv4", "tcp", 22, 22, f"{gateway}/32"), *web}
    assert {rule["ethertype"] for rule in group.security_group_rules if rule["direction"] == "egress"} == {"IPv4", "IPv6"}
    (port,) = ours(lab.network.ports(), HOST)
    assert port.security_group_ids == [group.id]


def test_the_rules_work():
    address = variables(HOST)["ansible_host"]
    for port in (80, 8080):
        run(HOST, f"sudo systemd-run --quiet --collect --unit lt-port-{port} python3 -m http.server {port}")
        run(HOST, f"timeout 10 bash -c 'until ss -Hltn sport = :{port} | grep -q LISTEN; do :; done'")
    try:
        assert opens(address, 80) and opens(address, 22)
        assert not opens(address, 8080), "it listens, and the security group drops it"
    finally:
        run(HOST, "sudo systemctl stop lt-port-80 lt-port-8080")


def test_the_machine_reaches_out():
    run(HOST, f"timeout 5 bash -c '</dev/tcp/{variables(HOST)['testbed_cloud_gateway']}/22' || timeout 5 bash -c '</dev/tcp/172.30.98.10/5000'")


def test_cloud_init_is_done_and_passwords_are_refused():
    assert "done" in run(HOST, "cloud-init status")
    assert "passwordauthentication no" in run(HOST, "sudo sshd -T")
