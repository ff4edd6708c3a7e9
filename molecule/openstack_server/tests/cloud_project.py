# SPDX-License-Identifier: GPL-3.0-or-later
"""A project of a scenario's own in the test cloud: nobody else makes things in it, so that its lists can be compared as a whole.

`cloud_project.py NAME…` removes projects with all that is in them.
"""

from __future__ import annotations

import secrets
import sys
import time
from pathlib import Path

import openstack
import yaml
from keystoneauth1.exceptions import ConnectFailure

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "script"))

from testbed.cloud.facts import CLOUDS_FILE

DELETE_SECONDS, REQUEST_SECONDS = 90, 30
MARKS = ("labtrack_site=", "labtrack_host=")


def login(name, clouds_file=CLOUDS_FILE):
    """An entry of clouds.yaml. A request that is lost is made again, because tests ask often."""
    loader = openstack.config.OpenStackConfig(config_files=[str(clouds_file)])
    return openstack.connection.Connection(config=loader.get_one(name, api_timeout=REQUEST_SECONDS, connect_retries=3))


def make(admin, name, directory, clouds_file=CLOUDS_FILE, **network_quota):
    """The project, its user, and a clouds.yaml with entries NAME (by password), NAME-app and NAME-app-restricted; the path of it."""
    # another password of a user who is there would end tokens of the same second, the new ones, too
    remove(admin, name)
    identity, password = admin.identity, secrets.token_urlsafe(24)
    project, user = identity.create_project(name=name), identity.create_user(name=name, password=password)
    identity.assign_project_role_to_user(project, user, identity.find_role("member"))
    admin.network.update_quota(project.id, **network_quota)
    known = yaml.safe_load(Path(clouds_file).read_text(encoding="utf-8"))["clouds"]
    own, app = known["lab-b"], known["lab-b-app"]
    own["auth"] |= {"username": name, "password": password, "project_name": name, "user_domain_name": "Default", "project_domain_name": "Default"}
    file = Path(directory) / "clouds.yaml"
    file.touch(mode=0o600)
    file.write_text(yaml.safe_dump({"clouds": {name: own}}), encoding="utf-8")
    entries, person = {name: own}, login(name, file)
    for entry, unrestricted in ((f"{name}-app", True), (f"{name}-app-restricted", False)):
        made = person.identity.create_application_credential(person.current_user_id, entry, unrestricted=unrestricted)
        entries[entry] = {**app, "auth": {**app["auth"], "application_credential_id": made.id, "application_credential_secret": made.secret}}
    file.write_text(yaml.safe_dump({"clouds": entries}), encoding="utf-8")
    return file


def things(lab):
    """All that is in the project of a login by password, in lists by kind: (name, marks, id). What Neutron makes for itself is left out."""
    network, project = lab.network, lab.current_project_id
    keys = lab.identity.get(f"/users/{lab.current_user_id}/credentials/OS-EC2").json()["credentials"]
    found = {
        "servers": lab.compute.servers(),
        "key pairs": lab.compute.keypairs(),
        "volumes": lab.block_storage.volumes(),
        "ports": [port for port in network.ports(project_id=project) if not port.device_owner.startswith("network:")],
        "floating IPs": network.ips(project_id=project),
        "groups": [group for group in network.security_groups(project_id=project) if group.name != "default"],
        "networks": network.networks(project_id=project),
        "subnets": network.subnets(project_id=project),
        "routers": network.routers(project_id=project),
    }
    lists = {kind: sorted((item.name or "", marks(item), item.id) for item in items) for kind, items in found.items()}
    return {**lists, "EC2 keys": sorted((key["access"], (), key["access"]) for key in keys)}


def marks(item):
    """As tags or metadata."""
    pairs = [f"{name}={value}" for name, value in (getattr(item, "metadata", None) or {}).items()]
    return tuple(sorted(word for word in [*(getattr(item, "tags", None) or []), *pairs] if word.startswith(MARKS)))


def empty(admin, project):
    """Delete all that is in a project, as administrator; its user's key pairs and keys go with the user."""
    network, end = admin.network, time.monotonic() + DELETE_SECONDS
    for server in admin.compute.servers(all_projects=True, project_id=project.id):
        admin.compute.delete_server(server, force=True)
    while list(admin.compute.servers(all_projects=True, project_id=project.id)) and time.monotonic() < end:
        time.sleep(0.3)
    for address in network.ips(project_id=project.id):
        network.delete_ip(address)
    for router in network.routers(project_id=project.id):
        for port in network.ports(device_id=router.id, device_owner="network:router_interface"):
            try:
                network.remove_interface_from_router(router, port_id=port.id)
            except openstack.exceptions.NotFoundException:
                pass  # the second try of a request whose answer was lost
        network.delete_router(router)
    for port in [port for port in network.ports(project_id=project.id) if not port.device_owner.startswith("network:")]:
        network.delete_port(port)
    for item in network.networks(project_id=project.id):
        network.delete_network(item)
    for group in [group for group in network.security_groups(project_id=project.id) if group.name != "default"]:
        network.delete_security_group(group)
    while time.monotonic() < end:
        volumes = list(admin.block_storage.volumes(all_projects=True, project_id=project.id))
        for volume in [volume for volume in volumes if volume.status in ("available", "error")]:
            admin.block_storage.delete_volume(volume)
        if not volumes:
            return
        time.sleep(0.3)
    raise AssertionError(f"project {project.name} is not empty after {DELETE_SECONDS} s")


def forget_keys(lab):
    """Delete the user's key pairs and EC2 keys."""
    for pair in list(lab.compute.keypairs()):
        lab.compute.delete_keypair(pair)
    url = f"/users/{lab.current_user_id}/credentials/OS-EC2"
    for key in lab.identity.get(url).json()["credentials"]:
        lab.identity.delete(f"{url}/{key['access']}")


def share_external_network(admin, project, shared=True):
    """Whether the project may attach servers to the external network, as on clouds with public addresses; for this project only."""
    network = admin.network.find_network("Public-Network")
    rules = list(admin.network.rbac_policies(object_id=network.id, action="access_as_shared", target_project_id=project))
    if shared and not rules:
        admin.network.create_rbac_policy(object_type="network", object_id=network.id, action="access_as_shared", target_project_id=project)
    for rule in [] if shared else rules:
        admin.network.delete_rbac_policy(rule)


def remove(admin, name):
    """The project with all that is in it, and its user."""
    project, user = admin.identity.find_project(name), admin.identity.find_user(name)
    if project:
        empty(admin, project)
        share_external_network(admin, project.id, shared=False)
        for group in list(admin.network.security_groups(project_id=project.id)):
            admin.network.delete_security_group(group)
        admin.identity.delete_project(project)
    if user:
        admin.identity.delete_user(user)


def is_up(admin):
    """Whether the cloud answers; one that was stopped leaves its file behind."""
    try:
        return bool(admin.session.get_token())
    except ConnectFailure:
        return False


if __name__ == "__main__":
    if CLOUDS_FILE.exists() and is_up(login("admin")):
        for project_name in sys.argv[1:]:
            remove(login("admin"), project_name)
