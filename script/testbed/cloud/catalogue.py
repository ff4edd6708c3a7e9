# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operators of a cloud set up in Keystone: service users, services and their endpoints."""

from __future__ import annotations

import logging
import time

import keystoneauth1.exceptions
import openstack

from ..engine import TestbedError
from . import facts

START_SECONDS = 120
USERS = ("glance", "placement", "nova", "neutron", "cinder", "store")
# by type: name, public and internal address
SERVICES = {
    "image": ("glance", f"https://{facts.ADDRESS}:9292", "http://127.0.0.1:9292"),
    "placement": ("placement", f"https://{facts.ADDRESS}:8778", "http://127.0.0.1:8778"),
    "compute": ("nova", f"https://{facts.ADDRESS}:8774/v2.1", "http://127.0.0.1:8774/v2.1"),
    "network": ("neutron", f"https://{facts.ADDRESS}:9696", "http://127.0.0.1:9696"),
    "volumev3": ("cinderv3", f"https://{facts.ADDRESS}:8776/v3/%(project_id)s", "http://127.0.0.1:8776/v3/%(project_id)s"),
    "object-store": ("swift", f"{facts.S3_ENDPOINT}/swift/v1/AUTH_%(project_id)s", f"{facts.S3_ENDPOINT}/swift/v1/AUTH_%(project_id)s"),
}


def connect(password: str) -> openstack.connection.Connection:
    """A connection as administrator, once Keystone answers.

    Raises:
        TestbedError: it does not.
    """
    admin = openstack.connect(
        load_yaml_config=False,
        load_envvars=False,
        auth_url=facts.AUTH_URL,
        username="admin",
        password=password,
        project_name="admin",
        user_domain_name="Default",
        project_domain_name="Default",
        region_name=facts.REGION,
        cacert=str(facts.CA_FILE),
    )
    deadline = time.monotonic() + START_SECONDS
    logging.getLogger("keystoneauth").setLevel(logging.ERROR)  # it warns at each attempt
    while True:
        try:
            admin.authorize()
            return admin
        except (openstack.exceptions.SDKException, keystoneauth1.exceptions.ClientException, OSError) as error:
            if time.monotonic() > deadline:
                raise TestbedError(f"Keystone does not answer after {START_SECONDS} s: {error}") from error
            time.sleep(0.5)


def apply(admin: openstack.connection.Connection, password: str) -> None:
    """Make users, services and endpoints."""
    identity = admin.identity
    domain = identity.find_domain("Default")
    roles = {role.name: role for role in identity.roles()}
    roles["service"] = roles.get("service") or identity.create_role(name="service")
    project = identity.create_project(name="service", domain_id=domain.id)
    for name in USERS:
        user = identity.create_user(name=name, password=password, domain_id=domain.id, default_project_id=project.id)
        for role in ("admin", "service"):
            identity.assign_project_role_to_user(project, user, roles[role])
    for kind, (name, public, internal) in SERVICES.items():
        service = identity.create_service(type=kind, name=name)
        for interface, url in (("public", public), ("internal", internal), ("admin", internal)):
            identity.create_endpoint(service_id=service.id, interface=interface, region_id=facts.REGION, url=url)
