# SPDX-License-Identifier: GPL-3.0-or-later
"""What a lab finds in its cloud: domains, projects, users, quotas, flavors, an image, networks; and the clouds.yaml that reaches them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

import openstack
import yaml

from . import facts

# of a small allocation on a research cloud
COMPUTE_QUOTA = {"instances": 10, "cores": 25, "ram": 51200, "key_pairs": 20}
VOLUME_QUOTA = {"volumes": 10, "snapshots": 10, "gigabytes": 1000}
NETWORK_QUOTA = {"networks": 5, "subnets": 10, "routers": 1, "floating_ips": 4, "security_groups": 20, "security_group_rules": 200, "ports": 120}


@dataclass(frozen=True)
class Lab:
    """A project in a domain of its own. With a network as on Arbutus: made by the operators, which uses up the router quota."""

    name: str
    network: str = ""
    cidr: str = ""


LABS = (Lab("lab-a", "def-lab-a-network", "192.168.201.0/24"), Lab("lab-b"))


def apply(admin: openstack.connection.Connection, password: str) -> str:
    """Set the cloud up; the text of clouds.yaml."""
    _machines(admin)
    external = admin.network.create_network(
        name=facts.EXTERNAL_NETWORK, is_router_external=True, provider_network_type="flat", provider_physical_network="external", mtu=1500
    )
    admin.network.create_subnet(
        name=facts.EXTERNAL_NETWORK,
        network_id=external.id,
        ip_version=4,
        cidr=facts.SUBNET,
        gateway_ip=facts.GATEWAY,
        is_dhcp_enabled=False,
        allocation_pools=[dict(zip(("start", "end"), facts.FLOATING_RANGE))],
        dns_nameservers=[facts.ADDRESS],
    )
    clouds = {"admin": _cloud(username="admin", password=password, project_name="admin", user_domain_name="Default", project_domain_name="Default")}
    for lab in LABS:
        clouds |= make_lab(admin, lab, external.id)
    return yaml.safe_dump({"clouds": clouds}, sort_keys=False)


def _machines(admin: openstack.connection.Connection) -> None:
    for name, (vcpus, ram) in facts.FLAVORS.items():
        admin.compute.create_flavor(name=name, vcpus=vcpus, ram=ram, disk=20)
    admin.block_storage.create_type(name=facts.VOLUME_TYPE, extra_specs={"volume_backend_name": "files"})
    # the compute driver starts the Docker image of that name; Glance wants some bytes
    admin.image.create_image(
        name=facts.IMAGE, data=b"labtrack/cloud-guest", disk_format="raw", container_format="bare", visibility="public", docker_image="labtrack/cloud-guest"
    )


def make_lab(admin: openstack.connection.Connection, lab: Lab, external_id: str = "") -> dict[str, Any]:
    """Domain, project, user and quotas; the entries of clouds.yaml that log in there."""
    identity = admin.identity
    domain = identity.create_domain(name=lab.name)
    project = identity.create_project(name=lab.name, domain_id=domain.id)
    password = secrets.token_urlsafe(24)
    user = identity.create_user(name=f"{lab.name}-admin", password=password, domain_id=domain.id, default_project_id=project.id)
    for role in ("member", "reader"):
        identity.assign_project_role_to_user(project, user, identity.find_role(role))
    admin.set_compute_quotas(project.id, **COMPUTE_QUOTA)
    admin.set_volume_quotas(project.id, **VOLUME_QUOTA)
    admin.network.update_quota(project.id, **NETWORK_QUOTA)
    if lab.network:
        _network(admin, lab, project.id, external_id)
    login = {"username": user.name, "password": password, "project_name": lab.name, "user_domain_name": lab.name, "project_domain_name": lab.name}
    member = openstack.connect(load_yaml_config=False, load_envvars=False, **_cloud(**login))
    found = {lab.name: _cloud(**login)}
    for kind, unrestricted in (("app", True), ("app-restricted", False)):
        secret = secrets.token_urlsafe(32)
        credential = member.identity.create_application_credential(user.id, name=kind, secret=secret, unrestricted=unrestricted)
        auth = {"application_credential_id": credential.id, "application_credential_secret": secret}
        found[f"{lab.name}-{kind}"] = {"auth_type": "v3applicationcredential", **_cloud(**auth)}
    return found


def _network(admin: openstack.connection.Connection, lab: Lab, project: str, external_id: str) -> None:
    network = admin.network.create_network(name=lab.network, project_id=project)
    name = lab.network.removesuffix("-network")
    subnet = admin.network.create_subnet(
        name=f"{name}-subnet", network_id=network.id, project_id=project, ip_version=4, cidr=lab.cidr, dns_nameservers=[facts.ADDRESS]
    )
    router = admin.network.create_router(name=f"{name}-router", project_id=project, external_gateway_info={"network_id": external_id})
    admin.network.add_interface_to_router(router, subnet_id=subnet.id)


def _cloud(**auth: str) -> dict[str, Any]:
    return {
        "auth": {"auth_url": facts.AUTH_URL, **auth},
        "region_name": facts.REGION,
        "interface": "public",
        "identity_api_version": 3,
        "cacert": str(facts.CA_FILE),
    }
