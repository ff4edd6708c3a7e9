# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits for SSH, and finds out by which keys the new machine is known.

The keys come from the console log, which the cloud's API delivers over TLS. What the network says alone is believed only where that log says nothing.
"""

from __future__ import annotations

import re
import subprocess
import typing as t
from pathlib import Path

from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_patience import Patience
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_messages import ServerError
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_steps import Work

KEY = re.compile(r"\b((?:ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(?:256|384|521)) AAAA[0-9A-Za-z+/]+=*)")
BLOCK = re.compile(r"-----BEGIN SSH HOST KEY KEYS-----(.*?)-----END SSH HOST KEY KEYS-----", re.DOTALL)
SCAN_SECONDS = 5
LINE_CHARACTERS = 200
NO_CONSOLE = (400, 403, 404, 409, 500, 501)

Scanner = t.Callable[[str], list[str]]


def scan(address: str) -> list[str]:
    """Host keys that a machine shows, none while SSH does not answer."""
    command = ["ssh-keyscan", "-T", str(SCAN_SECONDS), "-t", "ed25519,ecdsa,rsa", address]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=6 * SCAN_SECONDS)
    except subprocess.TimeoutExpired:
        return []
    except OSError as error:
        raise ServerError("ssh_tools", str(error)) from error
    return sorted(set(KEY.findall(done.stdout)))


def keys_of_console(text: str) -> list[str]:
    """What cloud-init has printed at the first boot, the last time it did."""
    blocks = BLOCK.findall(text)
    return sorted(set(KEY.findall(blocks[-1]))) if blocks else []


def recorded_keys(path: str) -> list[str]:
    """What an earlier run has written."""
    file = Path(path)
    return sorted(set(KEY.findall(file.read_text(encoding="utf-8")))) if path and file.is_file() else []


def known_hosts(address: str, keys: list[str]) -> str:
    """Lines for ssh."""
    return "".join(f"{address} {key}\n" for key in keys)


class HostKeys:
    """The search for the keys of one machine."""

    def __init__(self, work: Work, address: str, recorded: list[str], scanner: Scanner) -> None:
        self.work, self.address, self.recorded, self.scanner = work, address, recorded, scanner

    def answer(self) -> list[str]:
        """Wait until SSH answers."""
        try:
            return self.work.cloud.wait("SSH", lambda: self.scanner(self.address), bool)
        except ServerError as error:
            if error.reason != "unavailable":
                raise
            raise ServerError("ssh", f"{self.address} (server {self.work.found.server['id']})") from error

    def console(self, seconds: float) -> tuple[list[str], str]:
        """Wait until the console log shows the keys: (keys, the log's last line); no keys where it does not in that time."""
        patience = self.work.cloud.patience
        patience = Patience(min(seconds, patience.end - patience.now()), patience.now, patience.sleep)
        path = f"/servers/{self.work.found.server['id']}/action"
        while True:
            text = self.work.cloud.act("compute", path, {"os-getConsoleOutput": {}}, accepted=NO_CONSOLE).get("output") or ""
            found = keys_of_console(text)
            if found or not patience.again():
                return found, text.strip().rpartition("\n")[2].strip()[-LINE_CHARACTERS:]

    def find(self, seconds: float, scan_enabled: bool, fresh: bool) -> tuple[list[str], str]:
        """(keys, where they are from: record, console or network).

        Args:
            seconds: how long the console log is waited for.
            scan_enabled: whether the network's word suffices where the console log has none.
            fresh: the machine was made just now; what is recorded is of another one.

        Raises:
            ServerError: SSH does not answer, or by another key than the known ones.
        """
        shown = self.answer()
        if not fresh and set(shown) & set(self.recorded):
            return self.recorded, "record"
        printed, last = self.console(seconds)
        if printed:
            if not set(shown) & set(printed):
                raise ServerError("host_key", "those that its console log shows")
            return printed, "console"
        if self.recorded and not fresh:
            raise ServerError("host_key", "the recorded ones, and its console log shows none")
        if not scan_enabled:
            ends = f"its last line is '{last}'" if last else "it is empty, or the cloud gives none"
            raise ServerError("console", f"server {self.work.found.server['id']}; {ends}")
        return shown, "network"
