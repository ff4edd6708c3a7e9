# SPDX-License-Identifier: GPL-3.0-or-later
"""The cloud's object store: Ceph RGW that asks Keystone, as on Arbutus. Made anew at each start of the cloud."""

from __future__ import annotations

import docker

from .. import images, machines
from ..engine import LABEL, ROOT
from . import control, facts, files

HERE = files.HERE / "store"
BOOTSTRAP = ROOT / "roles" / "object_store_server" / "files" / "bootstrap.sh"
GIGABYTES = 20  # a sparse file
DIRECTORY = "/var/lib/ceph/cloud"


def start(client: docker.DockerClient, password: str) -> docker.models.containers.Container:
    """Start the store's container; it needs some seconds until it answers."""
    machine = client.containers.create(
        images.ensure(client, "debian13-store"),
        name=facts.STORE,
        hostname=facts.STORE,
        labels={LABEL: "cloud"},
        cap_add=["SYS_ADMIN"],
        cgroupns="host",
        security_opt=["apparmor=unconfined"],
        volumes={"/sys/fs/cgroup": {"bind": "/sys/fs/cgroup", "mode": "rw"}},
        tmpfs={"/run": "", "/run/lock": "", "/tmp": "exec"},
        log_config=docker.types.LogConfig(type="none"),
    )
    control.join(client, machine, facts.STORE_ADDRESS)
    machine.put_archive("/", files.archive(rendered(password)))
    machine.start()
    machines.wait_booted(machine)
    machines.run(machine, ["systemctl", "start", "--no-block", "cloud-store"])
    return machine


def rendered(password: str) -> dict[str, str]:
    """Files for its container."""
    variables = {"directory": DIRECTORY, "gigabytes": GIGABYTES, "address": facts.STORE_ADDRESS, "port": facts.STORE_PORT}
    found = files.render(HERE, {**variables, "keystone": facts.ADDRESS, "password": password})
    return {**found, "usr/local/sbin/bootstrap.sh": BOOTSTRAP.read_text(encoding="utf-8")}
