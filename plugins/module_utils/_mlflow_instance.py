# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be seen of an MLflow instance from outside. Plain Python, knows nothing of Ansible."""

from __future__ import annotations

import errno
import json
import os
import pwd
import shutil
import socket
from pathlib import Path

CONNECT_SECONDS = 5


def parse_address(address: str) -> tuple[str, int]:
    """(path, 0) of C(unix:/path), (host, port) of C(host:port); raises ValueError."""
    if address.startswith("unix:/"):
        return address[len("unix:") :], 0
    host, separator, port = address.rpartition(":")
    if not (separator and host and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"'{address}' is neither unix:/path nor host:port")
    return host.strip("[]"), int(port)


def units(shown: str, names: list[str]) -> list[dict]:
    """State of each unit from the output of systemctl show."""
    found = {}
    for block in shown.strip().split("\n\n"):
        lines = [line.split("=", 1) for line in block.splitlines() if "=" in line]
        values = dict(lines)
        listens = [value.rsplit(" (", 1)[0] for key, value in lines if key == "Listen"]
        found[values.get("Id", "")] = {
            "active": values.get("ActiveState", "inactive"),
            "enabled": values.get("UnitFileState", ""),
            "pid": int(values.get("MainPID") or 0),
            "listens": [f"unix:{address}" if address.startswith("/") else address for address in listens],
        }
    absent = {"active": "inactive", "enabled": "", "pid": 0, "listens": []}
    return [found.get(name, absent) for name in names]


def running_release(pid: int, releases_dir: str) -> str:
    """Name of the release that a process was started from; empty when it is not one of them."""
    try:
        program = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode() if pid else ""
    except OSError:
        return ""
    prefix = releases_dir.rstrip("/") + "/"
    return program[len(prefix) :].split("/")[0] if program.startswith(prefix) else ""


def linked_release(releases_dir: str) -> str:
    """Name of the release that the link beside the releases names; empty when there is none."""
    link = Path(releases_dir).parent / "current"
    return link.readlink().name if link.is_symlink() else ""


def kept_releases(upgrades_dir: str) -> list[str]:
    """Releases to which an upgrade can be taken back."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in Path(upgrades_dir).glob("*/record.json")] if upgrades_dir else []
    return sorted({record["from"] for record in records if record["from"] and "rolled_back" not in record})


def user_exists(name: str) -> bool:
    """Whether the system knows the user."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def is_taken(address: str) -> bool:
    """Whether another program listens there."""
    host, port = parse_address(address)
    if not port:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(CONNECT_SECONDS)
            return probe.connect_ex(host) == 0
    family, kind, protocol, _name, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(target)
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def free_mb(path: str) -> int:
    """Free space at the path, or at the nearest directory above it that exists."""
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return shutil.disk_usage(path).free // 1024**2


def unreachable(addresses: list[str]) -> dict[str, str]:
    """Servers that refuse a connection, with the reason."""
    found = {}
    for address in addresses:
        try:
            socket.create_connection(parse_address(address), timeout=CONNECT_SECONDS).close()
        except OSError as error:
            found[address] = error.strerror or str(error)
    return found
