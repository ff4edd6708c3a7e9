# SPDX-License-Identifier: GPL-3.0-or-later
"""Systemd containers that stand in for machines, and the Ansible inventory that reaches them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from typing import Any

import docker

from . import images
from .engine import CACHE, CHECKOUT, LABEL, TestbedError, network, say

# The smallest set with which systemd 252 and 257 run hardened units in a container; NET_ADMIN for the machine's own firewall;
# DAC_READ_SEARCH, which root of any real machine has, for units that keep it to read files of others.
CAPABILITIES = ["SYS_ADMIN", "NET_ADMIN", "DAC_READ_SEARCH"]
BOOT_SECONDS = 90
OWNER = "labtrack.checkout"  # label; what is shared has none


def up(client: docker.DockerClient, platforms: list[dict[str, Any]], purpose: str = "test") -> list[docker.models.containers.Container]:
    """Start a container for each platform, and wait until systemd has booted.

    Args:
        platforms: `name`, `image`, and optionally `aliases`, `volumes` (mount points), `memory_mb`, `ports` (on loopback), `shared` (by all checkouts).
        purpose: label value, `test` or `demo`.
    """
    machines = [_start(client, platform, purpose) for platform in platforms]
    for machine in machines:
        wait_booted(machine)
    return machines


def _start(client: docker.DockerClient, platform: dict[str, Any], purpose: str) -> docker.models.containers.Container:
    name = platform["name"]
    try:
        machine = client.containers.get(name)
        machine.start()
        return machine
    except docker.errors.NotFound:
        pass
    tag = images.ensure(client, platform["image"])
    labels = {LABEL: purpose, "labtrack.machine": name, **({} if platform.get("shared") else {OWNER: CHECKOUT})}
    volumes = {"/sys/fs/cgroup": {"bind": "/sys/fs/cgroup", "mode": "rw"}}
    for mount in platform.get("volumes", []):
        volume = client.volumes.create(f"{name}{mount.replace('/', '-')}", labels=labels)
        volumes[volume.name] = {"bind": mount, "mode": "rw"}
    machine = client.containers.create(
        tag,
        name=name,
        hostname=platform.get("hostname", name),
        labels=labels,
        cap_add=CAPABILITIES,
        cgroupns="host",
        security_opt=["apparmor=unconfined"],
        volumes=volumes,
        tmpfs={"/run": "", "/run/lock": "", "/tmp": "exec"},
        mem_limit=f"{platform['memory_mb']}m" if platform.get("memory_mb") else None,
        ports={f"{port}/tcp": ("127.0.0.1", port) for port in platform.get("ports", [])},
        log_config=docker.types.LogConfig(type="none"),
    )
    net = network(client)
    client.networks.get("bridge").disconnect(machine)
    net.connect(machine, aliases=platform.get("aliases", []))
    machine.start()
    return machine


def run(machine: docker.models.containers.Container, command: list[str], **options: Any) -> str:
    """Run a command in the machine; return its output.

    Raises:
        TestbedError: it failed.
    """
    code, output = machine.exec_run(command, **options)
    if code:
        raise TestbedError(f"'{' '.join(command)}' in {machine.name} failed: {output.decode(errors='replace').strip()}")
    return output.decode(errors="replace")


def wait_booted(machine: docker.models.containers.Container) -> None:
    """Wait until systemd has started everything.

    Raises:
        TestbedError: it did not in time.
    """
    deadline, state = time.monotonic() + BOOT_SECONDS, ""
    while time.monotonic() < deadline:
        _code, output = machine.exec_run(["systemctl", "is-system-running", "--wait"])
        state = output.decode(errors="replace").strip()
        if state in ("running", "degraded"):
            return
        machine.reload()
        if machine.status == "exited":
            raise TestbedError(f"{machine.name} stopped at boot: perhaps fs.inotify.max_user_instances is used up (about 14 machines at a time).")
        time.sleep(0.2)
    raise TestbedError(f"{machine.name} did not boot in {BOOT_SECONDS} s: systemd says '{state}'.")


def address(machine: docker.models.containers.Container) -> str:
    """IPv4 address on the testbed's network."""
    machine.reload()
    return next(iter(machine.attrs["NetworkSettings"]["Networks"].values()))["IPAddress"]


def gateway(machine: docker.models.containers.Container) -> str:
    """IPv4 address under which this machine sees connections from outside the testbed."""
    return next(iter(machine.attrs["NetworkSettings"]["Networks"].values()))["Gateway"]


def ssh_access(machine: docker.models.containers.Container) -> dict[str, Any]:
    """Let the testbed's key log in as `debian`, as cloud-init would; return the Ansible variables for it."""
    key, known_hosts = CACHE / "ssh" / "id_ed25519", CACHE / "ssh" / f"known_hosts-{machine.name}"
    if not key.exists():
        key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "labtrack-testbed", "-f", str(key)], check=True)
    public = key.with_suffix(".pub").read_text(encoding="utf-8").strip()
    script = 'install -d -m 0700 -o debian -g debian ~debian/.ssh && echo "$0" >~debian/.ssh/authorized_keys && chown debian: ~debian/.ssh/authorized_keys'
    run(machine, ["bash", "-c", script, public])
    host_key = run(machine, ["cat", "/etc/ssh/ssh_host_ed25519_key.pub"]).split()[:2]
    known_hosts.write_text(f"{address(machine)} {' '.join(host_key)}\n", encoding="utf-8")
    return {
        "ansible_connection": "ssh",
        "ansible_host": address(machine),
        "ansible_user": "debian",
        "ansible_ssh_private_key_file": str(key),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={known_hosts} -o IdentitiesOnly=yes",
    }


def _connection(machine: docker.models.containers.Container, platform: dict[str, Any]) -> dict[str, Any]:
    docker_exec = {"ansible_connection": "community.docker.docker", "ansible_host": machine.name}
    access = ssh_access(machine) if platform.get("ssh") else docker_exec
    return {**access, "testbed_machine": machine.name, "testbed_address": address(machine), "testbed_gateway": gateway(machine)}


def inventory(
    machines: dict[docker.models.containers.Container, dict[str, Any]], extra: dict[str, Any], absent: Sequence[dict[str, Any]] = ()
) -> dict[str, Any]:
    """An inventory in Ansible's YAML form: hosts with their groups and connection, `extra` for all; `absent` are hosts that a play makes."""
    hosts: dict[str, Any] = {}
    groups: dict[str, Any] = {}
    for machine, platform in [*machines.items(), *((None, platform) for platform in absent)]:
        name = platform.get("inventory_name", platform["name"])
        hosts[name] = {**(_connection(machine, platform) if machine else {}), **platform.get("host_vars", {})}
        for group in platform.get("groups", []):
            groups.setdefault(group, {"hosts": {}})["hosts"][name] = {}
    common = {"ansible_python_interpreter": "/usr/bin/python3", **extra}
    return {"all": {"hosts": hosts, "vars": common, "children": groups}}


def down(client: docker.DockerClient, names: list[str]) -> None:
    """Remove machines with their volumes."""
    for name in names:
        for machine in client.containers.list(all=True, filters={"label": f"labtrack.machine={name}"}):
            machine.remove(force=True, v=True)
        for volume in client.volumes.list(filters={"label": f"labtrack.machine={name}"}):
            volume.remove(force=True)


def purge(client: docker.DockerClient, purpose: str = "", images_too: bool = False, own: bool = False) -> None:
    """Remove every labelled object (of one purpose); the network when nothing uses it any more.

    `own` leaves what another checkout has started, and what is shared until nobody else is left.
    """
    label = f"{LABEL}={purpose}" if purpose else LABEL
    found = client.containers.list(all=True, filters={"label": label})
    if own:
        foreign = [machine for machine in found if machine.labels.get(OWNER, CHECKOUT) != CHECKOUT]
        found = [machine for machine in found if machine not in foreign and (machine.labels.get(OWNER) or not foreign)]
    for machine in found:
        say(f"removing container {machine.name}")
        machine.remove(force=True, v=True)
    for volume in client.volumes.list(filters={"label": label}):
        if not own or volume.attrs["Labels"].get(OWNER) == CHECKOUT:
            say(f"removing volume {volume.name}")
            volume.remove(force=True)
    if not client.containers.list(all=True, filters={"label": LABEL}):
        for net in client.networks.list(filters={"label": LABEL}):
            net.remove()
    if images_too:
        for image in client.images.list(filters={"label": LABEL}):
            say(f"removing image {', '.join(image.tags)}")
            client.images.remove(image.id, force=True)
