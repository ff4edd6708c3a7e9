# Kept by labtrack.mlflow.postgresql.
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upgrade PostgreSQL with a way back; playbooks/upgrade_postgresql.yml calls it.

usage: labtrack-postgresql-upgrade ACTION FOLDER
    inspect     the newest upgrade and what is under way
    check       what an upgrade wants, and pg_upgrade's own checks against the server that runs
    upgrade     to the other major version, while requests wait
    loss        what was written since the upgrade
    rollback    back to the cluster that is kept
    remove      the cluster that does not serve
    minor       newer packages of the same version, while requests wait
    backed-up   remember that the backups have gone on
    recover     finish, or take back, what was killed; --boot before the servers start
    start       ACTION in a unit of its own, which outlives the caller: start ACTION FOLDER
FOLDER/request.json says what is wanted. The answer is JSON. Exit status: 0 done, 1 it failed and the reason is on stderr.
"""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
import typing as t
from pathlib import Path

import back
from journal import Journal, read, write
from switch import Upgrade
from system import UNIT, UpgradeError, say, state, until

PATIENCE_SECONDS = 24 * 3600
RECOVERY_SECONDS = 1800
# what changes something, alone
CHANGES: dict[str, t.Callable[[dict[str, t.Any], Path], dict[str, t.Any]]] = {
    "upgrade": lambda request, folder: Upgrade(request, folder).run(),
    "rollback": back.roll_back,
    "remove": back.remove,
    "minor": back.minor,
    "backed-up": lambda _request, folder: Journal(folder).record(backed_up=True),
}
LOOKS: dict[str, t.Callable[[dict[str, t.Any], Path], dict[str, t.Any]]] = {
    "inspect": lambda _request, folder: back.inspect(folder),
    "check": lambda request, folder: Upgrade(request, folder).rehearse(),
    "loss": back.loss,
}


def start(action: str, folder: Path) -> dict[str, t.Any]:
    """Run it in a unit, which a killed playbook does not end; whatever kills the unit, one version serves afterwards.

    Raises:
        UpgradeError: it has failed.
    """
    until(lambda: state(UNIT)["ActiveState"] in ("inactive", "failed"), PATIENCE_SECONDS, f"{UNIT} does not end:")
    subprocess.run(["systemctl", "reset-failed", UNIT], capture_output=True, check=False)
    result = folder / "result.json"
    result.unlink(missing_ok=True)
    program = ["/usr/bin/python3", "-B", str(Path(__file__).resolve().parent)]
    recover = " ".join([*program, "recover", str(folder)])
    options = [f"--property={value}" for value in ("Type=exec", f"TimeoutStopSec={RECOVERY_SECONDS}", f"ExecStopPost={recover}")]
    run = ["systemd-run", "--wait", "--quiet", f"--unit={UNIT}", *options, *program, action, str(folder)]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    answer = read(result)
    if not answer:
        raise UpgradeError(f"{UNIT} was killed ({done.stderr.strip() or done.returncode}); 'journalctl -u {UNIT}' says what serves. Repeat the playbook.")
    if "error" in answer:
        raise UpgradeError(answer["error"])
    return answer


def change(action: str, folder: Path) -> dict[str, t.Any]:
    """One at a time; the answer is left for `start`."""
    with open(folder / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        request = read(folder / "request.json")
        try:
            if Journal(folder).step:
                say(back.recover(folder))
            finished = action == "upgrade" and request["from"] == request["to"]
            answer = Journal(folder).record() if finished else CHANGES[action](request, folder)
        except (UpgradeError, OSError) as error:
            write(folder / "result.json", json.dumps({"error": str(error)}), 0o600)
            raise
        answer.pop("snapshot", None)
        write(folder / "result.json", json.dumps(answer), 0o600)
        return answer


def main(words: list[str]) -> int:
    """Entry point."""
    if len(words) < 2 or words[0] not in ("start", "recover", *CHANGES, *LOOKS):
        print(__doc__, file=sys.stderr)
        return 2
    folder = Path(words[-1])
    try:
        if words[0] == "recover":
            say(back.recover(folder, boot="--boot" in words))
        elif words[0] == "start":
            print(json.dumps(start(words[1], folder)))
        elif words[0] in CHANGES:
            print(json.dumps(change(words[0], folder)))
        else:
            print(json.dumps(LOOKS[words[0]](read(folder / "request.json"), folder)))
    except (UpgradeError, OSError) as error:
        print(f"{error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
