# SPDX-License-Identifier: GPL-3.0-or-later
"""What others have made in the lab's project before: `cloud.py CLOUDS_FILE prepare DIRECTORY`, `cloud.py CLOUDS_FILE clean`."""

from __future__ import annotations

import sys
from pathlib import Path

import openstack

RESERVED, GROUP = "reserved by the lab", "monitoring"


def login(clouds_file, name):
    """An entry of clouds.yaml."""
    return openstack.connection.Connection(config=openstack.config.OpenStackConfig(config_files=[clouds_file]).get_one(name))


def sharing(admin, lab):
    """(network, rules) by which the lab may attach servers to the external network, as on clouds with public addresses."""
    network = admin.network.find_network("Public-Network")
    rules = admin.network.rbac_policies(object_id=network.id, action="access_as_shared", target_project_id=lab.current_project_id)
    return network, list(rules)


def prepare(admin, lab, directory):
    """A reserved address, a security group, a network to attach to."""
    network, rules = sharing(admin, lab)
    if not rules:
        target = lab.current_project_id
        admin.network.create_rbac_policy(object_type="network", object_id=network.id, action="access_as_shared", target_project_id=target)
    addresses = [item for item in lab.network.ips() if item.description == RESERVED]
    address = addresses[0] if addresses else lab.network.create_ip(floating_network_id=network.id, description=RESERVED)
    (Path(directory) / "address").write_text(address.floating_ip_address)
    if not lab.network.find_security_group(GROUP):
        group = lab.network.create_security_group(name=GROUP, description="of others")
        lab.network.create_security_group_rule(security_group_id=group.id, direction="ingress", ethertype="IPv4", protocol="tcp", port_range_min=9100,
                                               port_range_max=9100, remote_ip_prefix="0.0.0.0/0")  # fmt: skip


def clean(admin, lab):
    """Take it away."""
    for address in [item for item in lab.network.ips() if item.description == RESERVED]:
        lab.network.delete_ip(address)
    group = lab.network.find_security_group(GROUP)
    if group:
        lab.network.delete_security_group(group)
    for rule in sharing(admin, lab)[1]:
        admin.network.delete_rbac_policy(rule)


if __name__ == "__main__":
    clouds_file, verb, *rest = sys.argv[1:]
    {"prepare": prepare, "clean": clean}[verb](login(clouds_file, "admin"), login(clouds_file, "lab-b"), *rest)
