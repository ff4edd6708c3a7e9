# SPDX-License-Identifier: GPL-3.0-or-later
"""The shared object store: one Ceph RGW over TLS for all scenarios, each with buckets of its own."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import docker

from . import machines
from .engine import CACHE, ROOT, SHARED, TestbedError, alone, say

NAME = "labtrack-store"
PORT = 7443


def ensure(client: docker.DockerClient) -> dict[str, Any]:
    """Start the store unless it runs; return its coordinates as inventory variables.

    Raises:
        TestbedError: the role that deploys it failed.
    """
    facts = SHARED / "store.json"
    with alone("store"):
        running = [m for m in client.containers.list(filters={"name": f"^{NAME}$"}) if m.status == "running"]
        if not (running and facts.exists()):
            machines.down(client, [NAME])
            facts.unlink(missing_ok=True)
            variables = _deploy(client)
            facts.write_text(json.dumps(variables), encoding="utf-8")
            facts.chmod(0o600)
        return json.loads(facts.read_text(encoding="utf-8"))


def _deploy(client: docker.DockerClient) -> dict[str, Any]:
    say("starting the shared object store (Ceph RGW) …")
    platform = {"name": NAME, "image": "debian13-store", "shared": True}
    machine = machines.up(client, [platform])[0]
    access, secret = f"labtrack{secrets.token_hex(6)}", secrets.token_urlsafe(30)
    variables = {"testbed_store_access_key": access, "testbed_store_secret_key": secret, "testbed_store_endpoint": f"https://{NAME}:{PORT}"}
    inventory = CACHE / "store-inventory.json"
    inventory.touch(mode=0o600)
    inventory.write_text(json.dumps(machines.inventory({machine: platform}, {**variables, "testbed_store_port": PORT})), encoding="utf-8")
    playbook = ROOT / "molecule" / "shared" / "store.yml"
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(inventory), str(playbook)]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TestbedError(f"the shared object store could not be deployed:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")
    return {**variables, "testbed_store_ca_pem": machines.run(machine, ["cat", "/etc/labtrack/tls/ca.pem"])}
