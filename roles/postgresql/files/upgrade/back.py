# Kept by labtrack.mlflow.postgresql.
# SPDX-License-Identifier: GPL-3.0-or-later
"""After the switch: back to the old version while it is kept, or its end; and whatever a killed program has left half done."""

from __future__ import annotations

import shutil
import time
import typing as t
from pathlib import Path

import catalogue
from journal import Journal, now, read
from server import rename
from switch import SERVER_SECONDS, Upgrade
from system import UNIT, UpgradeError, run, say, state, systemctl, until


def of_record(request: dict[str, t.Any], folder: Path, wanted: str) -> tuple[Upgrade, dict[str, t.Any]]:
    """The upgrade that is kept.

    Raises:
        UpgradeError: there is none in that state.
    """
    found = read(folder / "record.json")
    if found.get("state") != wanted:
        raise UpgradeError(
            f"there is no upgrade of PostgreSQL in the state '{wanted}' ({found.get('state', 'none was made')}). Accepted: one whose old cluster is kept. "
            "Restore a backup instead."
        )
    named = {"from": found["from"], "to": found["to"], "old_data": found["old_data"], "new_data": found["new_data"]}
    upgrade = Upgrade({**request, **named}, folder)
    return upgrade, found


def loss(request: dict[str, t.Any], folder: Path) -> dict[str, t.Any]:
    """What was written since the switch, and would be lost by going back."""
    upgrade, found = of_record(request, folder, "switched")
    if not upgrade.old.data.joinpath("PG_VERSION").exists():
        raise UpgradeError(f"{upgrade.old.data} is gone. Accepted: the old cluster, kept. Restore a backup instead.")
    return {"since": found["begun"], "tables": catalogue.written_since(upgrade.new.ask, found["snapshot"], found["mark"])}


def agreed(request: dict[str, t.Any], folder: Path) -> dict[str, t.Any]:
    """What would be lost, with the consent to it.

    Raises:
        UpgradeError: something would be lost, and nobody has said that it may.
    """
    lost = loss(request, folder)["tables"]
    if lost and not request["confirmed"]:
        raise UpgradeError(
            f"going back takes away what was written since the upgrade ({len(lost)} tables). Accepted: upgrade_confirm with the name of the site. "
            "Nothing was changed."
        )
    return lost


def roll_back(request: dict[str, t.Any], folder: Path) -> dict[str, t.Any]:
    """The old cluster serves, as it was; the new one's data are kept under another name."""
    upgrade, _found = of_record(request, folder, "switched")
    agreed(request, folder)
    begun, kept = time.monotonic(), f"{upgrade.new.data}.rolled_back_{request['id']}"
    with upgrade.quiet():
        lost = agreed(request, folder)  # now nobody writes any more
        upgrade.journal.enter("stop", request=upgrade.request, kind="rollback", begun=now(), kept=kept)
        exchange_back(upgrade, kept)
    upgrade.clients.wait(request["start_seconds"])
    return upgrade.journal.record(downtime_seconds=round(time.monotonic() - begun, 1), lost=lost)


def exchange_back(upgrade: Upgrade, kept: str) -> None:
    """Each part may have been done before."""
    systemctl("stop", upgrade.new.unit)
    upgrade.journal.enter("place")
    if upgrade.new.config.exists():
        systemctl("disable", upgrade.new.unit)
        shutil.rmtree(upgrade.new.config)
    if upgrade.new.data.exists():
        rename(upgrade.new.data, Path(kept))
    upgrade.old.start_at_boot(True)
    systemctl("start", upgrade.old.unit)
    until(upgrade.old.answers, SERVER_SECONDS, f"{upgrade.old.unit} does not answer:")
    upgrade.journal.record(state="rolled_back", kept=kept, backed_up=False)
    upgrade.journal.end()


def remove(request: dict[str, t.Any], folder: Path) -> dict[str, t.Any]:
    """The cluster that does not serve any more, for good."""
    found = read(folder / "record.json")
    upgrade, _found = of_record(request, folder, "switched" if found.get("state") == "switched" else "rolled_back")
    for path in upgrade.new.data.parent.glob(f"{upgrade.new.data.name}.rolled_back_*"):
        shutil.rmtree(path)
    if found["state"] == "rolled_back":
        return upgrade.journal.record(state="removed", removed=found["kept"], snapshot={})
    if not upgrade.new.answers():
        raise UpgradeError(f"PostgreSQL {upgrade.new.version} does not serve. Accepted: a server that works without the old data. Nothing was removed.")
    if upgrade.old.config.exists():
        run(["pg_dropcluster", "--stop", str(upgrade.old.version), "labtrack"])
    shutil.rmtree(upgrade.old.data, ignore_errors=True)
    shutil.rmtree(f"/etc/systemd/system/{upgrade.old.unit}.d", ignore_errors=True)
    systemctl("daemon-reload")
    return upgrade.journal.record(state="removed", removed=str(upgrade.old.data), snapshot={})


def minor(request: dict[str, t.Any], folder: Path) -> dict[str, t.Any]:
    """Newer packages of the same major version; Debian restarts the server as it installs them."""
    upgrade, begun = Upgrade(request, folder), time.monotonic()
    upgrade.journal.enter("packages", request=request, kind="minor", begun=now())
    quiet = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1"}
    with upgrade.quiet():
        run(["dpkg", "--configure", "-a"], env=quiet)
        keep = ["-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"]
        run(["apt-get", "-qy", *keep, "--only-upgrade", "install", *request["packages"]], env=quiet)
        until(upgrade.old.answers, SERVER_SECONDS, f"{upgrade.old.unit} does not answer:")
    upgrade.clients.wait(request["start_seconds"])
    upgrade.journal.end()
    return {"downtime_seconds": round(time.monotonic() - begun, 1)}


def recover(folder: Path, boot: bool = False) -> str:
    """Whatever has killed the program, or the machine: one version serves. What was done."""
    journal = Journal(folder)
    if not journal.step:
        return "nothing was under way"
    kind, step = journal.data["kind"], journal.step
    upgrade = Upgrade(journal.data["request"], folder)
    for unit in upgrade.clients.units:
        upgrade.clients.drop_in(unit).unlink(missing_ok=True)
    systemctl("daemon-reload")
    if boot:
        return at_boot(upgrade, kind, step)
    if kind == "rollback":
        exchange_back(upgrade, journal.data["kept"])
        return "the rollback was finished"
    if kind == "minor":
        systemctl("start", upgrade.old.unit)
        journal.end()
        return "the packages may be half installed; repeat the playbook"
    # all was checked before that step, and a client may have been let in since
    if step == "start":
        try:
            upgrade.start_new()
            upgrade.finish()
            return f"PostgreSQL {upgrade.new.version} serves"
        except UpgradeError as error:
            say(str(error))
    upgrade.revert()
    return f"PostgreSQL {upgrade.old.version} serves"


def at_boot(upgrade: Upgrade, kind: str, step: str) -> str:
    """Before the servers start: which one shall. A start that is waited for here would wait for this program."""
    if kind == "minor":  # one cluster, which starts as always
        upgrade.journal.end()
        return "the packages may be half installed; repeat the playbook"
    forward = kind == "upgrade" and step == "start"
    back = kind == "rollback" and step == "place"
    if forward:
        upgrade.old.start_at_boot(False)
        upgrade.new.start_at_boot(True)
        systemctl("stop", "--no-block", upgrade.old.unit)
        systemctl("start", "--no-block", upgrade.new.unit)
        upgrade.finish()
        return f"PostgreSQL {upgrade.new.version} starts"
    if kind == "rollback" and not back:
        upgrade.journal.end()
        return f"PostgreSQL {upgrade.new.version} starts; the rollback has not begun"
    if upgrade.new.config.exists():
        upgrade.new.start_at_boot(False)
        systemctl("stop", "--no-block", upgrade.new.unit)
        shutil.rmtree(upgrade.new.config)
    if back and upgrade.new.data.exists():
        rename(upgrade.new.data, Path(upgrade.journal.data["kept"]))
    if kind == "upgrade":
        shutil.rmtree(upgrade.new.data, ignore_errors=True)
        shutil.rmtree(upgrade.staged, ignore_errors=True)
    upgrade.old.start_at_boot(True)
    systemctl("start", "--no-block", upgrade.old.unit)
    if back:
        upgrade.journal.record(state="rolled_back", kept=upgrade.journal.data["kept"], backed_up=False)
    upgrade.journal.end()
    return f"PostgreSQL {upgrade.old.version} starts"


def inspect(folder: Path) -> dict[str, t.Any]:
    """The newest upgrade, and whether one is under way."""
    found = read(folder / "record.json")
    found.pop("snapshot", None)
    return {"record": found, "step": Journal(folder).step, "unit": state(UNIT)["ActiveState"]}
