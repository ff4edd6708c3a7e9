# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster of this machine and its pgBackRest repository."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

from settings import BackupError, run

USER = "postgres"
PROGRAM = Path(__file__).resolve().parent


def psql(config: dict, query: str, database: str = "postgres", socket: str = "/var/run/postgresql", **values: str) -> str:
    """One value, or lines of values; :'name' in the query is one of the values.

    Raises:
        BackupError: the server does not answer, or refuses the query.
    """
    command = ["psql", "-XAtq", "--no-password", "-h", socket, "-p", str(config["port"]), "-d", database, "--set=ON_ERROR_STOP=1"]
    command += [f"--set={name}={value}" for name, value in values.items()]
    return run(command, user=USER, data=query).stdout.strip()


def snapshot(config: dict, socket: str = "/var/run/postgresql", restore_point: str = "") -> dict[str, t.Any]:
    """Counts and checksums of every table (snapshot.py), as the user postgres.

    Raises:
        BackupError: the tables cannot be read.
    """
    asked = {"socket": socket, "port": config["port"], "databases": config["databases"], "restore_point": restore_point}
    return json.loads(run(["/usr/bin/python3", str(PROGRAM / "snapshot.py")], user=USER, data=json.dumps(asked)).stdout)


def pgbackrest(config: dict, command: str, *options: str, env: dict[str, str] | None = None, accepted: tuple[int, ...] = (0,)) -> str:
    """Output of pgBackRest.

    Raises:
        BackupError: it failed.
    """
    return run(["pgbackrest", f"--stanza={config['stanza']}", *options, command], env=env, user=USER, accepted=accepted).stdout


def info(config: dict) -> dict[str, t.Any]:
    """The stanza as the repository has it; empty when there is none.

    Raises:
        BackupError: the repository cannot be reached or decrypted.
    """
    found = json.loads(pgbackrest(config, "info", "--output=json"))
    stanza = found[0] if found else {}
    status = stanza.get("status", {})
    # 1: no such stanza, 2: no valid backups, 3: stanza's data are missing
    if status.get("code", 0) in (1, 3):
        return {}
    if status.get("code", 0) not in (0, 2):
        message = stanza.get("repo", [{}])[0].get("status", {}).get("message") or status.get("message")
        raise BackupError(f"the repository of pgBackRest cannot be read: {message}")
    return stanza


def system_id(config: dict, data_dir: str = "") -> str:
    """What initdb gave the cluster and every copy of it; empty without data."""
    if not Path(data_dir or config["data_dir"], "global/pg_control").exists():
        return ""
    text = run([f"{config['program_dir']}/pg_controldata", data_dir or config["data_dir"]], user=USER).stdout
    return next(line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("Database system identifier"))


def stanza_state(config: dict, stanza: dict) -> str:
    """missing, foreign (it holds another cluster's backups), or good."""
    if not stanza:
        return "missing"
    known = [str(each["system-id"]) for each in stanza.get("db", [])]
    return "good" if known[-1:] == [system_id(config)] else "foreign"


def prepare(config: dict) -> bool:
    """Make the stanza where it is missing; whether that was done.

    Raises:
        BackupError: the repository holds the backups of another cluster, which stay.
    """
    stanza = info(config)
    state = stanza_state(config, stanza)
    if state == "foreign":
        newest = (stanza.get("backup") or [{}])[-1].get("label", "none")
        raise BackupError(
            f"the repository {config['repository']} holds the backups of another cluster (system id {stanza['db'][-1]['system-id']}, newest backup {newest}); "
            f"this machine's has {system_id(config)}. Nothing was overwritten. playbooks/restore.yml brings that cluster's data back; for a site that begins "
            "anew, give another backup_s3_prefix or backup_posix_dir, or delete that repository yourself; after an upgrade of PostgreSQL "
            "'labtrack-backup upgrade-stanza' goes on in the same one."
        )
    if state == "missing":
        pgbackrest(config, "stanza-create")
    return state == "missing"


def back_up(config: dict, kind: str) -> dict[str, t.Any]:
    """A backup now: full, or incr (which is a full one where there is none yet). What the repository says of it.

    Raises:
        BackupError: it failed.
    """
    prepare(config)
    pgbackrest(config, "backup", f"--type={kind}")
    return info(config)["backup"][-1]


def check(config: dict) -> None:
    """Send a WAL segment on its way and wait until the repository has it.

    Raises:
        BackupError: it does not arrive.
    """
    prepare(config)
    pgbackrest(config, "check")
