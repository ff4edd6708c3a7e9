# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers of the cloud: their public address, a shell on them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from pathlib import Path

import openstack

KEY = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "key"
SSH = ["ssh", "-i", str(KEY), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=3"]
NAME = "lt-cloud-server"


def floating_ip(lab: openstack.connection.Connection, name: str) -> str:
    """Public address of a server."""
    server = lab.compute.get_server(lab.compute.find_server(name).id)
    return next(entry["addr"] for network in server.addresses.values() for entry in network if entry["OS-EXT-IPS:type"] == "floating")


def shell(address: str, command: str, seconds: float = 0) -> str:
    """Output of a command on a server; tries again until the time is up."""
    deadline = time.monotonic() + seconds
    while True:
        done = subprocess.run([*SSH, f"debian@{address}", command], capture_output=True, text=True, check=False)
        if done.returncode == 0 or time.monotonic() > deadline:
            assert done.returncode == 0, json.dumps([command, done.stdout, done.stderr])
            return done.stdout
        time.sleep(0.5)


def reached(address: str, port: int, seconds: float) -> bool:
    """Whether a connection succeeds before the time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            socket.create_connection((address, port), 1).close()
            return True
        except OSError:
            time.sleep(0.2)
    return False
