# SPDX-License-Identifier: GPL-3.0-or-later
"""Three machines that were made in parallel: a network for the site, a given address, an address without NAT."""

from __future__ import annotations

import ipaddress

import pytest
from cloud_machine import SCENARIO, changed, cloud, ours, play, run, variables, words_of

HOSTS = ["one", "two", "direct"]


@pytest.fixture(scope="module")
def lab():
    return cloud("machines", SCENARIO / "clouds.yaml")


def marked(items, host):
    return ours(items, host, site="alt")


@pytest.mark.parametrize("host", HOSTS)
def test_each_machine_is_reached_by_its_proven_host_key(host):
    assert run(host, "id -un") == "debian"
    assert run(host, "cat /etc/labtrack-userdata") == "hello"


def test_the_hosts_share_one_network_router_and_subnet(lab):
    for items in (lab.network.networks(project_id=lab.current_project_id), lab.network.subnets(), lab.network.routers()):
        found = [item for item in items if item.name.startswith("alt-")]
        assert [item.tags for item in found] == [["labtrack_site=alt"]]
    (subnet,) = [item for item in lab.network.subnets() if item.name == "alt-subnet"]
    assert (subnet.cidr, subnet.dns_nameservers) == ("10.99.0.0/24", ["172.30.98.10"])
    for host in HOSTS[:2]:
        (port,) = marked(lab.network.ports(), host)
        assert port.fixed_ips[0]["subnet_id"] == subnet.id


def test_the_given_address_is_used_and_stays_the_labs(lab):
    given = (SCENARIO / "address").read_text()
    assert variables("one")["site_public_address"] == given
    (address,) = [item for item in lab.network.ips() if item.floating_ip_address == given]
    assert address.description == "reserved by the lab" and not address.tags


def test_one_has_its_public_address_on_its_own_card(lab):
    assert not marked(lab.network.ips(), "direct") and not marked(lab.block_storage.volumes(), "direct")
    address = variables("direct")["ansible_host"]
    assert ipaddress.ip_address(address) in ipaddress.ip_network("172.30.98.0/24")
    assert f"inet {address}/" in run("direct", "ip -4 address")
    assert variables("direct")["site_data_volume_id"] == ""


def test_rules_are_those_of_the_variables(lab):
    (group,) = marked(lab.network.security_groups(), "one")
    gateway = variables("one")["testbed_cloud_gateway"]
    coming = {(rule["port_range_min"], rule["remote_ip_prefix"]) for rule in group.security_group_rules if rule["direction"] == "ingress"}
    assert coming == {(22, f"{gateway}/32"), (22, "2001:db8:1::/48"), (443, f"{gateway}/32"), (443, "203.0.113.0/24"), (5432, "10.99.0.0/24")}
    (port,) = marked(lab.network.ports(), "one")
    assert set(port.security_group_ids) == {group.id, lab.network.find_security_group("monitoring").id}


def test_limited_to_one_host_only_that_one_is_looked_at():
    done = play("converge.yml", "--limit", "two")
    assert changed(done, "two") == 0 and "one" not in done.stdout


def test_a_failure_of_the_cloud_is_explained_and_cleared_away(lab):
    """The test cloud cannot put an image on a volume."""
    changed(play("absent.yml", "--limit", "two"), "two")
    done = play("converge.yml", "--limit", "two", openstack_server_boot_volume_gb=2)
    assert done.returncode and "the cloud could not make it (volume" in words_of(done) and "the next run removes what failed" in words_of(done)
    assert [volume.status for volume in marked(lab.block_storage.volumes(), "two") if volume.name == "box-two-boot"] == ["error"]
    changed(play("converge.yml", "--limit", "two"), "two")
    assert [volume.name for volume in marked(lab.block_storage.volumes(), "two")] == ["box-two-data"]


def test_the_network_goes_with_the_last_machine_and_what_is_others_stays(lab):
    done = play("absent.yml", "--limit", "one")
    assert changed(done, "one") >= 2
    assert lab.network.find_network("alt-network") and lab.network.find_router("alt-router")
    changed(play("absent.yml"), "two")
    assert not lab.network.find_network("alt-network") and not lab.network.find_router("alt-router")
    for host in HOSTS:
        assert not marked(lab.compute.servers(), host) and not marked(lab.block_storage.volumes(), host) and not marked(lab.network.ports(), host)
    assert [item.floating_ip_address for item in lab.network.ips()] == [(SCENARIO / "address").read_text()]
    assert len(lab.network.find_security_group("monitoring").security_group_rules) == 3
