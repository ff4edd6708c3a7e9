# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between clouds, as switches of the running cloud that can be undone. The cloud is shared: a test undoes what it switched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import docker
import openstack
import yaml

from .. import machines
from . import catalogue, contents, facts, faults, swift

SWIFT_URL = f"{facts.SWIFT_ENDPOINT}/v1/AUTH_%(project_id)s"
INSIDE_AUTH_URL = f"http://{facts.ADDRESS}:35357/v3"  # past the proxy's refusals


def administrator() -> openstack.connection.Connection:
    """A connection as administrator that no variant refuses."""
    cloud = yaml.safe_load(facts.CLOUDS_FILE.read_text(encoding="utf-8"))["clouds"]["admin"]
    cloud["auth"]["auth_url"] = INSIDE_AUTH_URL
    return openstack.connect(load_yaml_config=False, load_envvars=False, **cloud)


def no_password(client: docker.DockerClient, on: bool) -> None:
    """A login by password is answered 401: application credentials only."""
    faults.tell(client, f"password {'off' if on else 'on'}")


def no_object_store(_client: docker.DockerClient, on: bool) -> None:
    """The catalogue of new tokens has no object store."""
    identity = administrator().identity
    service = next(identity.services(type="object-store"))
    identity.update_service(service, is_enabled=not on)


def swift_store(client: docker.DockerClient, on: bool) -> None:
    """The catalogue's object store is Swift, which is started if need be; it goes on running."""
    if on:
        swift.ensure(client)
    identity = administrator().identity
    service = next(identity.services(type="object-store"))
    for endpoint in identity.endpoints(service_id=service.id):
        identity.update_endpoint(endpoint, url=SWIFT_URL if on else catalogue.SERVICES["object-store"][1])


def quota_exhausted(_client: docker.DockerClient, on: bool) -> None:
    """The labs' quotas allow nothing more: no server, volume, floating IP, network, port or security group."""
    admin = administrator()

    def quota(normal: dict[str, int]) -> dict[str, int]:
        return dict.fromkeys(normal, 0) if on else normal

    for project in _projects(admin):
        admin.set_compute_quotas(project, **quota(contents.COMPUTE_QUOTA))
        admin.set_volume_quotas(project, **quota(contents.VOLUME_QUOTA))
        admin.network.update_quota(project, **quota(contents.NETWORK_QUOTA))


def no_floating_ips(_client: docker.DockerClient, on: bool) -> None:
    """No floating IP can be had; servers may be attached to the external network instead."""
    admin = administrator()
    for project in _projects(admin):
        admin.network.update_quota(project, floating_ips=0 if on else contents.NETWORK_QUOTA["floating_ips"])
    # Neutron refuses to take it back while a server is attached: whoever made the server removes it
    admin.network.update_network(admin.network.find_network(facts.EXTERNAL_NETWORK), is_shared=on)


def no_metadata(client: docker.DockerClient, on: bool) -> None:
    """The metadata service does not answer: servers need a config drive."""
    machines.run(client.containers.get(facts.CONTROL), ["systemctl", "stop" if on else "start", "cloud-neutron-metadata-agent"])


VARIANTS: dict[str, Callable[[docker.DockerClient, bool], None]] = {
    "no-password": no_password,
    "no-object-store": no_object_store,
    "swift-store": swift_store,
    "quota-exhausted": quota_exhausted,
    "no-floating-ips": no_floating_ips,
    "no-metadata": no_metadata,
}


def _projects(admin: openstack.connection.Connection) -> list[str]:
    return [project.id for project in admin.identity.projects() if project.name in {lab.name for lab in contents.LABS}]


def reset(client: docker.DockerClient) -> None:
    """Undo every variant, forget every fault."""
    faults.clear(client)
    for switch in VARIANTS.values():
        switch(client, False)


@contextmanager
def variant(client: docker.DockerClient, *names: str) -> Iterator[Any]:
    """Variants for the length of a block."""
    for name in names:
        VARIANTS[name](client, True)
    try:
        yield
    finally:
        for name in names:
            VARIANTS[name](client, False)
