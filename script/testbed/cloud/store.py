# SPDX-License-Identifier: GPL-3.0-or-later
"""The cloud's object store: Ceph RGW that asks Keystone, as on Arbutus. Made anew at each start of the cloud."""

from __future__ import annotations

import docker

from .. import machines
from ..engine import ROOT
from . import control, facts, files

HERE = files.HERE / "store"
BOOTSTRAP = ROOT / "roles" / "object_store_server" / "files" / "bootstrap.sh"
GIGABYTES = 20  # a sparse file
DIRECTORY = "/var/lib/ceph/cloud"


def start(client: docker.DockerClient, password: str) -> docker.models.containers.Container:
    """Start the store's container; it needs some seconds until it answers."""
    machine = control.beside(client, "debian13-store", facts.STORE, facts.STORE_ADDRESS, rendered(password))
    machines.run(machine, ["systemctl", "start", "--no-block", "cloud-store"])
    return machine


def rendered(password: str) -> dict[str, str]:
    """Files for its container."""
    variables = {"directory": DIRECTORY, "gigabytes": GIGABYTES, "address": facts.STORE_ADDRESS, "port": facts.STORE_PORT}
    found = files.render(HERE, {**variables, "keystone": facts.ADDRESS, "password": password})
    return {**found, "usr/local/sbin/bootstrap.sh": BOOTSTRAP.read_text(encoding="utf-8")}
