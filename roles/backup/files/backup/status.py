# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role and a person ask: are there backups, and of when; which jobs have failed?"""

from __future__ import annotations

import typing as t
from pathlib import Path

import bundle
import cluster
from proof import when
from settings import BackupError, run


def database(config: dict) -> dict[str, t.Any]:
    """The stanza and its newest backup."""
    stanza = cluster.info(config)
    backups = stanza.get("backup") or []
    found: dict[str, t.Any] = {"state": cluster.stanza_state(config, stanza), "backups": len(backups)}
    if backups:
        found |= {"newest": backups[-1]["label"], "newest_timestamp": backups[-1]["timestamp"]["stop"]}
    return found


def files(config: dict, tag: str) -> dict[str, t.Any]:
    """Snapshots of restic."""
    try:
        found = bundle.Repository(config).snapshots(tag)
    except BackupError as error:
        if not bundle.is_missing(error):
            raise
        return {"state": "missing", "backups": 0}
    return {"state": "good", "backups": len(found), **({"newest": found[-1]["time"]} if found else {})}


def configuration(config: dict) -> dict[str, t.Any]:
    """Whether a file is newer than its backup, too: a secret that was made by this run must not wait for the night."""
    found = files(config, "configuration")
    if found["backups"]:
        taken = when(found["newest"])
        found["stale"] = sorted(str(path) for path in bundle.backed_up(config) if path.lstat().st_ctime > taken)[:5]
    return found


def failed_jobs() -> list[str]:
    """Jobs whose last run failed."""
    text = run(["systemctl", "list-units", "--state=failed", "--plain", "--no-legend", "labtrack-backup-*.service"]).stdout
    return [line.split(" ", 1)[0] for line in text.splitlines()]


def status(config: dict) -> dict[str, t.Any]:
    """One part for each kind of backup; an error is the part's, and does not hide the others."""
    parts: dict[str, t.Callable[[], dict]] = {"configuration": lambda: configuration(config)}
    parts |= {"full": lambda: database(config)} if config["database_mode"] == "server" else {}
    parts |= {"full": lambda: files(config, "database")} if config["database_mode"] == "dump" else {}
    parts |= {"artifacts": lambda: files(config, "artifacts")} if config["artifacts_dir"] else {}
    found: dict[str, t.Any] = {}
    for name, part in parts.items():
        try:
            found[name] = part()
        except BackupError as error:
            found[name] = {"state": "error", "backups": 0, "error": str(error)}
    marker = Path(config["state_dir"], "last_proof.json")
    return {**found, "failed": failed_jobs(), "proved": marker.exists()}
