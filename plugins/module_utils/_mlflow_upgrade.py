# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts the role's upgrade program on the machine, in a unit of its own that outlives the connection. Plain Python, knows nothing of Ansible."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

POLL_SECONDS = 0.5
RECOVERY_SECONDS = 1800


class UpgradeError(Exception):
    """The program has failed, and says how things are now."""


def new_id() -> str:
    """Name of an upgrade, and end of the names of what it keeps: the time in UTC."""
    return time.strftime("%Y%m%dt%H%M%S", time.gmtime())


def unit_of(request: dict) -> str:
    """The unit in which the program runs."""
    return f"{request['unit']}-upgrade"


def command_of(request: dict, *arguments: str) -> list[str]:
    """The program with its arguments."""
    return ["/usr/bin/python3", "-B", str(Path(request["program_dir"], "upgrade")), *arguments]


def complete(request: dict) -> dict:
    """What the program has to know beyond the playbook's variables."""
    folder = Path(request["state_dir"], "upgrade")
    request = {**request, "lock": f"/run/{request['unit']}-upgrade.lock", "result": str(folder / "result.json")}
    return {**request, "gate": " ".join([*command_of(request, "gate"), str(folder), request["serving"]])}


def unfinished(request: dict) -> bool:
    """Whether a switch was begun and neither finished nor taken back."""
    try:
        step = json.loads(Path(request["state_dir"], "upgrade", "journal.json").read_text(encoding="utf-8")).get("step", "")
    except FileNotFoundError:
        return False
    return step not in ("", "done", "reverted")


def wait_for_unit(unit: str) -> None:
    """Until it does not run: an interrupted playbook may have left one that goes on."""
    while True:
        done = subprocess.run(["systemctl", "show", "-p", "ActiveState", f"{unit}.service"], capture_output=True, text=True, check=True)
        if re.search("=(inactive|failed)$", done.stdout, re.MULTILINE):
            return
        time.sleep(POLL_SECONDS)


def write_request(path: Path, request: dict) -> None:
    """For root only."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(request, file)


def read_answer(request: dict, otherwise: str) -> dict:
    """What the program found.

    Raises:
        UpgradeError: it has failed, or was killed.
    """
    try:
        answer = json.loads(Path(request["result"]).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UpgradeError(otherwise) from error
    if not answer["ok"]:
        raise UpgradeError(answer["error"])
    return answer["result"]


def in_unit(request: dict, action: str) -> dict:
    """Run an action to its end, in a unit that goes on when the playbook is killed."""
    unit, folder = unit_of(request), Path(request["state_dir"], "upgrade")
    wait_for_unit(unit)
    subprocess.run(["systemctl", "reset-failed", f"{unit}.service"], capture_output=True, check=False)
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / "request.json"
    write_request(place, request)
    Path(request["result"]).unlink(missing_ok=True)
    # ExecStopPost: whatever has killed the program, the old version shall serve
    recover = f"ExecStopPost={' '.join(command_of(request, 'recover', str(folder)))}"
    options = [f"--property={value}" for value in ("Type=exec", f"TimeoutStopSec={RECOVERY_SECONDS}", recover)]
    run = ["systemd-run", "--wait", "--quiet", f"--unit={unit}", *options, *command_of(request, action, str(place))]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    return read_answer(request, f"{unit}.service was killed ({done.stderr.strip() or done.returncode}); 'journalctl -u {unit}' says how far it came.")


def inspect(request: dict) -> dict:
    """State of the databases and of what is kept; changes nothing."""
    with tempfile.TemporaryDirectory() as folder:
        request = {**request, "result": str(Path(folder, "result.json"))}
        write_request(Path(folder, "request.json"), request)
        done = subprocess.run(command_of(request, "inspect", str(Path(folder, "request.json"))), capture_output=True, text=True, check=False)
        return read_answer(request, done.stderr.strip()[-1500:])
