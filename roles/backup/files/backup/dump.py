# SPDX-License-Identifier: GPL-3.0-or-later
"""The databases of an external server, as dumps of pg_dump in the encrypted repository: its operator has the WAL, so no point in time is promised."""

from __future__ import annotations

import json
import os
import shutil
import time
import typing as t
from pathlib import Path

import bundle
from settings import MIB, BackupError, free_bytes, run, say


def connection(config: dict, name: str) -> list[str]:
    """Options of PostgreSQL's programs; the password is in a file that they read. The host may be a list `a:5432,b`."""
    found = config["dump"]
    hosts = [each.strip().partition(":") for each in found["host"].split(",")]
    names, ports = ",".join(host for host, _colon, _port in hosts), ",".join(port or str(found["port"]) for _host, _colon, port in hosts)
    return ["--no-password", f"--host={names}", f"--port={ports}", f"--username={found['user']}", f"--dbname={name}"]


def environment(config: dict) -> dict[str, str]:
    """The password's file and how TLS is checked."""
    found = config["dump"]
    return {"PGPASSFILE": found["password_file"], "PGSSLMODE": "verify-full", "PGSSLROOTCERT": found["ca_file"], "PGCONNECT_TIMEOUT": "15"}


def directory(config: dict) -> Path:
    """Where dumps lie until they are in the repository."""
    return Path(config["state_dir"], "dump")


def back_up(config: dict) -> None:
    """Dump each database in one transaction, and add the files to the repository.

    Raises:
        BackupError: there is no room, or a program failed; a dump that is not whole is never added.
    """
    base, env = directory(config), environment(config)
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir(parents=True, mode=0o700)
    try:
        for name in config["databases"]:
            size = int(run(["psql", "-XAtq", *connection(config, name), "-c", "select pg_database_size(current_database())"], env=env).stdout)
            if free_bytes(base) < size + 256 * MIB:
                raise BackupError(f"{base} has not the {size // MIB + 256} MiB free that a dump of {name} may need. Grow the volume.")
            run(["pg_dump", "--format=custom", *connection(config, name), f"--file={base / name}.dump"], env=env)
        bundle.Repository(config).back_up("database", [str(base)], [])
    finally:
        shutil.rmtree(base, ignore_errors=True)


def prove(config: dict) -> dict[str, t.Any]:
    """Unpack the newest dumps and read each to its end, every row of it; there is no server here to restore them into."""
    base = Path(config["state_dir"], "proof_dump")
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir(parents=True, mode=0o700)
    try:
        snapshot = bundle.Repository(config).restore("database", base)
        tables, wrong = {}, []
        for name in config["databases"]:
            file = base / str(directory(config)).lstrip("/") / f"{name}.dump"
            if not file.exists():
                wrong.append(f"the dump of {name} is missing")
                continue
            text = run(["pg_restore", "--data-only", "--file=-", str(file)]).stdout
            tables[name] = _rows(text)
        return {"taken": snapshot["time"], "tables": tables, "differences": wrong}
    finally:
        shutil.rmtree(base, ignore_errors=True)


def _rows(text: str) -> dict[str, int]:
    """Rows of each COPY."""
    found, name = {}, ""
    for line in text.splitlines():
        if not name and line.startswith("COPY "):
            name = line.split(" ", 2)[1]
            found[name] = 0
        elif name and line == "\\.":
            name = ""
        elif name:
            found[name] += 1
    return found


def unpack(config: dict) -> None:
    """Leave the newest dumps in the state directory, for `pg_restore`."""
    base = Path(config["state_dir"], f"dumps_{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    base.mkdir(parents=True, mode=0o700)
    snapshot = bundle.Repository(config).restore("database", base)
    inner = base / str(directory(config)).lstrip("/")
    for path in inner.iterdir():
        os.replace(path, base / path.name)
    shutil.rmtree(base / inner.relative_to(base).parts[0])
    say(json.dumps({"taken": snapshot["time"], "directory": str(base)}))
