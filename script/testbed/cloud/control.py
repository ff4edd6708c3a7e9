# SPDX-License-Identifier: GPL-3.0-or-later
"""The cloud's containers: the control plane, the object store, and the servers that Nova starts."""

from __future__ import annotations

import datetime
import os
import time
from typing import Any

import docker
import keystoneauth1.exceptions
import openstack
from docker.models.containers import Container

from .. import images, machines
from ..engine import LABEL, TestbedError, say
from . import facts, files

READY_SECONDS = 300
# NET_RAW, SYS_NICE and DAC_READ_SEARCH: Neutron's privileged helpers want them
CAPABILITIES = ["SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE", "NET_RAW", "SYS_NICE", "DAC_READ_SEARCH"]
AGENTS = 4
NOVA_SERVICES = {"nova-compute", "nova-conductor", "nova-scheduler"}
DEFAULT_SOCKET = "/var/run/docker.sock"
LOOP_CONTROL = "/dev/loop-control"


def network(client: docker.DockerClient) -> docker.models.networks.Network:
    """The cloud's external network: this machine is its router."""
    for found in client.networks.list(names=[f"^{facts.NETWORK}$"]):
        return found
    pool = docker.types.IPAMPool(subnet=facts.SUBNET, gateway=facts.GATEWAY, iprange=facts.DOCKER_RANGE)
    return client.networks.create(facts.NETWORK, driver="bridge", labels={LABEL: "cloud"}, ipam=docker.types.IPAMConfig(pool_configs=[pool]))


def join(client: docker.DockerClient, machine: Container, address: str) -> None:
    """Give a container that was not started yet its fixed address."""
    client.networks.get("bridge").disconnect(machine)
    network(client).connect(machine, ipv4_address=address)


def beside(client: docker.DockerClient, image: str, name: str, address: str, rendered: dict[str, str], command: list[str] | None = None) -> Container:
    """Start a machine of the cloud beside the control plane, with these files; wait until its systemd has booted."""
    machine = client.containers.create(
        images.ensure(client, image),
        command=command,
        name=name,
        hostname=name,
        labels={LABEL: "cloud"},
        cap_add=["SYS_ADMIN"],
        cgroupns="host",
        security_opt=["apparmor=unconfined"],
        volumes={"/sys/fs/cgroup": {"bind": "/sys/fs/cgroup", "mode": "rw"}},
        tmpfs={"/run": "", "/run/lock": "", "/tmp": "exec"},
        log_config=docker.types.LogConfig(type="none"),
    )
    join(client, machine, address)
    machine.put_archive("/", files.archive(rendered))
    machine.start()
    machines.wait_booted(machine)
    return machine


def create(client: docker.DockerClient, image: str, command: list[str] | None = None) -> Container:
    """A container for the control plane, not started."""
    socket = os.environ.get("DOCKER_HOST", DEFAULT_SOCKET).removeprefix("unix://")
    # mounts, not volumes: those would become part of the image that is made from this container
    mounts = [docker.types.Mount(target, source, type="bind") for source, target in ((socket, "/run/host-docker.sock"), ("/sys/fs/cgroup",) * 2)]
    machine = client.containers.create(
        image,
        command=command,
        name=facts.CONTROL,
        hostname=facts.CONTROL,
        labels={LABEL: "cloud"},
        cap_add=CAPABILITIES,
        cgroupns="host",
        security_opt=["apparmor=unconfined", "seccomp=unconfined"],
        mounts=mounts,
        devices=[f"{LOOP_CONTROL}:{LOOP_CONTROL}:rwm"],
        device_cgroup_rules=["b 7:* rmw"],
        tmpfs={"/run": "", "/run/lock": "", "/tmp": "exec"},
        shm_size="256m",
        log_config=docker.types.LogConfig(type="none"),
    )
    join(client, machine, facts.ADDRESS)
    return machine


def wait_ready(admin: openstack.connection.Connection, since: float = 0.0) -> None:
    """Wait until every agent and service has reported after `since` (seconds of the epoch).

    Raises:
        TestbedError: some did not in time.
    """
    deadline, missing = time.monotonic() + READY_SECONDS, "nothing answers"
    while time.monotonic() < deadline:
        try:
            missing = _missing(admin, since)
        except (openstack.exceptions.SDKException, keystoneauth1.exceptions.ClientException, OSError) as error:
            missing = str(error)
        if not missing:
            return
        time.sleep(0.5)
    raise TestbedError(f"the cloud is not ready after {READY_SECONDS} s: {missing}. See 'docker exec {facts.CONTROL} journalctl -u cloud-…'.")


def _missing(admin: openstack.connection.Connection, since: float) -> str:
    def fresh(moment: Any) -> bool:
        if moment is None:  # registered, but it has not reported yet
            return False
        text = str(moment).replace(" ", "T").removesuffix("Z")
        parsed = datetime.datetime.fromisoformat(text)
        return parsed.replace(tzinfo=parsed.tzinfo or datetime.UTC).timestamp() > since

    agents = [agent.binary for agent in admin.network.agents() if agent.is_alive and fresh(agent.last_heartbeat_at)]
    if len(agents) < AGENTS:
        return f"of Neutron's agents, only {', '.join(agents) or 'none'} reported"
    nova = {service.binary for service in admin.compute.services() if service.state == "up" and fresh(service.updated_at)}
    if not nova >= NOVA_SERVICES:
        return f"of Nova's services, {', '.join(sorted(NOVA_SERVICES - nova))} did not report"
    cinder = {service.binary for service in admin.block_storage.services() if service.state == "up" and fresh(service.updated_at)}
    if not cinder >= {"cinder-volume", "cinder-scheduler"}:
        return "Cinder's services did not report"
    # they report before the scheduler knows what room there is; until then each volume ends in error
    if not any(True for _pool in admin.block_storage.backend_pools()):
        return "Cinder's scheduler knows of no room"
    return ""


def in_use(client: docker.DockerClient) -> list[str]:
    """Servers and volumes that somebody has in the cloud."""
    servers = client.containers.list(all=True, filters={"label": "labtrack.server"})
    used = [f"server {machine.labels.get('labtrack.server.name', machine.name)}" for machine in servers]
    for machine in client.containers.list(filters={"name": f"^{facts.CONTROL}$"}):
        _code, output = machine.exec_run(["find", "/var/lib/cinder/volumes", "-type", "f", "-printf", "%f\n"])
        used += output.decode(errors="replace").split()
    return used


def remove(client: docker.DockerClient) -> None:
    """Remove the cloud with all its servers; free the loop devices of its volumes first."""
    found = client.containers.list(all=True, filters={"label": f"{LABEL}=cloud"})
    for machine in sorted(found, key=lambda machine: machine.name in (facts.CONTROL, facts.STORE)):
        if machine.name == facts.CONTROL and machine.status == "running":
            script = "losetup --noheadings --list --output NAME,BACK-FILE | awk '$2 ~ \"^/var/lib/cinder/volumes/\" {print $1}' | xargs -r losetup --detach"
            machine.exec_run(["sh", "-c", script])
        say(f"removing container {machine.name}")
        machine.remove(force=True, v=True)
