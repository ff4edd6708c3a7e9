# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes in guests: a file of Cinder's becomes a loop device, and that a device node with the name that KVM gives it.

Containers have no udev, so the links below /dev/disk are made here.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any

from . import engine

ID_LENGTH = 20  # what virtio keeps of a serial number


def _loops(path: str) -> list[str]:
    listing = subprocess.run(["losetup", "--json", "--list", "--associated", path], capture_output=True, text=True, check=True).stdout
    return [device["name"] for device in json.loads(listing or "{}").get("loopdevices", [])]


def attach(container: str, connection: dict[str, Any], device: str) -> None:
    """Show a volume in a running guest as `device`, e.g. /dev/vdb; also after its restart."""
    path, serial = connection["data"]["path"], connection["serial"]
    loops = _loops(path)
    command = ["losetup", "--find", "--show", path]
    loop = loops[0] if loops else subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    minor, name = os.minor(os.stat(loop).st_rdev), os.path.basename(device)
    script = f"""
        [ -b {device} ] || mknod -m 0660 {device} b 7 {minor}
        mkdir -p /dev/disk/by-id /dev/disk/by-uuid /dev/disk/by-label
        ln -sf ../../{name} /dev/disk/by-id/virtio-{serial[:ID_LENGTH]}
        for tag in uuid label; do
            value=$(blkid --probe --match-tag $(echo $tag | tr a-z A-Z) --output value {device} || true)
            [ -z "$value" ] || ln -sf ../../{name} "/dev/disk/by-$tag/$value"
        done
    """
    engine.run_in(container, script)


def detach(container: str, connection: dict[str, Any], device: str) -> None:
    """Take a volume away from a guest.

    Raises:
        EngineError: it is mounted there.
    """
    path, serial = connection["data"]["path"], connection["serial"]
    for loop in _loops(path):
        minor, name = os.minor(os.stat(loop).st_rdev), os.path.basename(device)
        script = f"""
            if grep -h ' 7:{minor} ' /proc/[0-9]*/mountinfo; then echo "{device} is mounted"; exit 1; fi
            [ ! -b {device} ] || blockdev --flushbufs {device}
            find /dev/disk -lname '../../{name}' -delete
            rm -f {device} /dev/disk/by-id/virtio-{serial[:ID_LENGTH]}
        """
        engine.run_in(container, script)
    release(connection)


def release(connection: dict[str, Any]) -> None:
    """Free the loop device of a volume whose guest is off or gone."""
    for loop in _loops(connection["data"]["path"]):
        subprocess.run(["losetup", "--detach", loop], capture_output=True, text=True, check=True)
