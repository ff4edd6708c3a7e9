# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read-only questions to a Debian machine: who is connected, what sshd obeys, which units run, what the firewall holds."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path

SSHD_LISTS = ("port", "authorizedkeysfile", "acceptenv", "listenaddress", "hostkey")
DPKG_FORMAT = "${db:Status-Status} ${Package} ${Version}\\n"
MARKER, MARKER_RECORD = ".labtrack-data", "/var/lib/labtrack-config/data"
UNIT_PROPERTIES = {"LoadState": "load", "ActiveState": "active", "UnitFileState": "enabled"}


def environment_of_ancestors(name: str, pid: int, proc: Path = Path("/proc")) -> str:
    """Return a variable of the nearest ancestor process that has it.

    `sudo` drops SSH_CONNECTION, but the shell above it, which sshd started, still has it.
    """
    wanted = f"{name}=".encode()
    while pid > 1:
        try:
            entries = (proc / str(pid) / "environ").read_bytes().split(b"\0")
            status = (proc / str(pid) / "status").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        for entry in entries:
            if entry.startswith(wanted):
                return entry[len(wanted) :].decode(errors="replace")
        pid = int(status.split("\nPPid:", 1)[1].split("\n", 1)[0])
    return ""


def ssh_connection(value: str) -> dict[str, str]:
    """Split SSH_CONNECTION (`client port server port`); empty strings when there is none."""
    parts = value.split()
    client, server_port = (parts[0], parts[3]) if len(parts) == 4 else ("", "")
    return {"client_address": client, "server_port": server_port}


def sshd_settings(output: str) -> dict[str, object]:
    """Parse `sshd -T`: lower-case keywords to values; keywords that may repeat give lists."""
    settings: dict[str, object] = {}
    for line in output.splitlines():
        key, _blank, value = line.strip().partition(" ")
        if key in SSHD_LISTS:
            settings.setdefault(key, []).extend(value.split())
        elif key:
            settings[key] = value
    return settings


def units(output: str, names: list[str]) -> dict[str, dict[str, str]]:
    """Parse `systemctl show -p Id,LoadState,ActiveState,UnitFileState NAME…`, in the order of the names."""
    found = {}
    for name, block in zip(names, output.strip().split("\n\n")):
        values = dict(line.partition("=")[::2] for line in block.splitlines())
        found[name] = {ours: values.get(theirs, "") for theirs, ours in UNIT_PROPERTIES.items()}
    return found


def packages(output: str) -> dict[str, str]:
    """Parse `dpkg-query --show` in DPKG_FORMAT: versions of what is installed, not of what was removed and left its configuration."""
    rows = [line.split() for line in output.splitlines()]
    return {row[1]: row[2] for row in rows if row[0] == "installed"}


def firewall_policy(output: str, chain: str = "input") -> str:
    """Parse `nft -j list table`: the policy of a base chain; an empty string when it is not there."""
    try:
        objects = json.loads(output or "{}").get("nftables", [])
    except ValueError:
        return ""
    for item in objects:
        if item.get("chain", {}).get("name") == chain:
            return item["chain"].get("policy", "accept")
    return ""


def first_line(path: Path) -> str:
    """Return the first line of a file; an empty string when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").partition("\n")[0].strip()
    except OSError:
        return ""


def users() -> dict[str, dict[str, object]]:
    """Return the accounts of the machine by name."""
    return {entry.pw_name: {"uid": entry.pw_uid, "home": entry.pw_dir} for entry in pwd.getpwall()}


def free_mb(path: str) -> int:
    """Return the free space for ordinary users under a path, or under its nearest parent that exists."""
    where = Path(path)
    while not where.exists():
        where = where.parent
    status = os.statvfs(where)
    return status.f_bavail * status.f_frsize // 1_000_000
