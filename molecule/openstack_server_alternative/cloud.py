# SPDX-License-Identifier: GPL-3.0-or-later
"""A project of the scenario's own, because a lab may have one router, and what others have made in it: `cloud.py CLOUDS_FILE prepare|clean DIRECTORY`."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

import openstack
import yaml

LAB, RESERVED, GROUP = "machines", "reserved by the lab", "monitoring"


def login(clouds_file, name):
    """An entry of clouds.yaml."""
    return openstack.connection.Connection(config=openstack.config.OpenStackConfig(config_files=[str(clouds_file)]).get_one(name))


def make_lab(admin, clouds_file, directory):
    """Project, user and clouds.yaml."""
    identity, password = admin.identity, secrets.token_urlsafe(24)
    project = identity.find_project(LAB) or identity.create_project(name=LAB)
    user = identity.find_user(LAB)
    user = identity.update_user(user, password=password) if user else identity.create_user(name=LAB, password=password)
    identity.assign_project_role_to_user(project, user, identity.find_role("member"))
    admin.network.update_quota(project.id, routers=1, floating_ips=2)
    entry = yaml.safe_load(Path(clouds_file).read_text(encoding="utf-8"))["clouds"]["lab-b"]
    entry["auth"] |= {"username": LAB, "password": password, "project_name": LAB, "user_domain_name": "Default", "project_domain_name": "Default"}
    file = Path(directory) / "clouds.yaml"
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump({"clouds": {LAB: entry}}), encoding="utf-8")


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
        lab.network.create_security_group_rule(
            security_group_id=group.id, direction="ingress", ethertype="IPv4", protocol="tcp", port_range_min=9100, port_range_max=9100
        )


def clean(admin, lab):
    """Take it away, the lab included."""
    for address in [item for item in lab.network.ips() if item.description == RESERVED]:
        lab.network.delete_ip(address)
    for rule in sharing(admin, lab)[1]:
        admin.network.delete_rbac_policy(rule)
    for group in lab.network.security_groups():
        admin.network.delete_security_group(group)
    admin.identity.delete_user(admin.identity.find_user(LAB))
    admin.identity.delete_project(admin.identity.find_project(LAB))


if __name__ == "__main__":
    clouds_file, verb, directory = sys.argv[1:]
    as_admin, own = login(clouds_file, "admin"), Path(directory) / "clouds.yaml"
    if verb == "prepare":
        make_lab(as_admin, clouds_file, directory)
        prepare(as_admin, login(own, LAB), directory)
    elif own.exists():
        clean(as_admin, login(own, LAB))
        own.unlink()
