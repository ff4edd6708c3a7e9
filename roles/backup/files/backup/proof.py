# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove that the backups can be restored: recover the newest into a scratch cluster, compare it with the source row by row, unpack the configuration."""

from __future__ import annotations

import datetime
import json
import re
import shutil
import time
import typing as t
from pathlib import Path

import bundle
import cluster
import dump
from recovery import Copy, choose, log_rows, recovered_to
from settings import BackupError, say, wait, write

ARCHIVE_SECONDS = 1800


def compare(source: dict, copy: dict) -> list[str]:
    """One sentence for each table that differs."""
    found = []
    for database, tables in source["databases"].items():
        there = copy["databases"].get(database, {})
        for name in sorted({*tables, *there}):
            if tables.get(name) != there.get(name):
                (before, _sum), (after, _other) = tables.get(name, [0, ""]), there.get(name, [0, ""])
                found.append(f"{database}: {name} has {before} rows at the source and {after} in the restored cluster, or another checksum")
    return found


def archived(config: dict, lsn: str) -> bool:
    """Whether the WAL up to an LSN is in the repository. A segment's name without its timeline can be compared as text."""
    query = "select coalesce(substr(last_archived_wal, 9, 16) >= substr(pg_walfile_name(:'lsn'), 9), false) from pg_stat_archiver"
    return cluster.psql(config, query, lsn=lsn) == "t"


def database(config: dict) -> dict[str, t.Any]:
    """Recover to a restore point and compare; the scratch cluster is always removed.

    Raises:
        BackupError: it cannot be recovered. A difference is no error here: it stands in the result.
    """
    backup = choose(config, "")
    scratch = Copy(config, Path(config["scratch_dir"]), archive=False)
    scratch.remove()
    scratch.make_room(backup)
    try:
        point = f"labtrack_proof_{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
        source = cluster.snapshot(config, restore_point=point)
        say(f"restore point {point} at {source['lsn']}, {source['time']}")
        cluster.psql(config, "select pg_switch_wal()")
        wait(lambda: archived(config, source["lsn"]), ARCHIVE_SECONDS, f"the archiving of the WAL up to {source['lsn']}")
        began = time.monotonic()
        scratch.fetch(["--type=name", f"--target={point}", "--target-action=promote", "--archive-mode=off"], backup["label"])
        scratch.start()
        seconds = time.monotonic() - began
        say(f"backup {backup['label']} recovered to {point} in {seconds:.1f} s")
        copy = cluster.snapshot(config, socket=str(scratch.socket))
        return {
            "backup": backup["label"],
            "backup_taken": datetime.datetime.fromtimestamp(backup["timestamp"]["stop"], datetime.UTC).isoformat(),
            "backup_timestamp": backup["timestamp"]["stop"],
            "restore_point": point,
            "source_time": source["time"],
            "recovered_to": recovered_to(scratch),
            "restore_seconds": round(seconds, 1),
            "bytes": backup["info"]["size"],
            "rows": log_rows(copy),
            "tables": {
                name: {table: {"rows": rows, "checksum": checksum} for table, (rows, checksum) in found.items()} for name, found in copy["databases"].items()
            },
            "differences": compare(source, copy),
        }
    finally:
        scratch.remove()


def files(config: dict, tag: str) -> dict[str, t.Any]:
    """Unpack the newest snapshot and compare it with the machine; what restic's repository holds is read and verified.

    Raises:
        BackupError: it cannot be unpacked.
    """
    repository = bundle.Repository(config)
    base = Path(config["state_dir"], f"proof_{tag}")
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir(parents=True, mode=0o700)
    try:
        repository.restic("check", f"--read-data-subset={config['proof_read_percent']}%", "--no-lock")
        snapshot = repository.restore(tag, base)
        count, wrong = bundle.differences(base, when(snapshot["time"]))
        return {"taken": snapshot["time"], "files": count, "differences": [f"{path} differs from its backup, and is older" for path in wrong]}
    finally:
        shutil.rmtree(base, ignore_errors=True)


def when(text: str) -> float:
    """Seconds of the epoch: restic writes nanoseconds, Python 3.11 reads microseconds."""
    whole, fraction, zone = re.fullmatch(r"([^.Z+]+?)(?:\.(\d+))?(Z|[+-]\d\d:\d\d)", text).groups()
    return datetime.datetime.fromisoformat(f"{whole}.{(fraction or '0')[:6]:0<6}{zone}".replace("Z", "+00:00")).timestamp()


def metrics(found: dict) -> str:
    """For the monitoring."""
    data = found.get("database", {})
    differences = sum(len(part.get("differences", [])) for part in found.values() if isinstance(part, dict))
    values = {
        "success": int(found["passed"]),
        "timestamp_seconds": found["finished_timestamp"],
        "last_success_timestamp_seconds": found["last_passed_timestamp"],
        "duration_seconds": found["duration_seconds"],
        "differences": differences,
        "rows": data.get("rows", 0),
        "tables": sum(len(tables) for tables in data.get("tables", {}).values()),
        "database_bytes": data.get("bytes", 0),
        "restore_duration_seconds": data.get("restore_seconds", 0),
        "backup_timestamp_seconds": data.get("backup_timestamp", 0),
        "configuration_files": found.get("configuration", {}).get("files", 0),
    }
    return "".join(f"# TYPE labtrack_backup_proof_{name} gauge\nlabtrack_backup_proof_{name} {value}\n" for name, value in values.items())


def prove(config: dict) -> dict[str, t.Any]:
    """All of it; the marker and the metrics are written in any case.

    Raises:
        BackupError: something cannot be restored, or differs.
    """
    began, marker = time.time(), Path(config["state_dir"], "last_proof.json")
    earlier = json.loads(marker.read_text(encoding="utf-8")) if marker.exists() else {}
    found: dict[str, t.Any] = {"host": config["host"], "started": _iso(began)}
    errors = []
    parts = {"configuration": lambda: files(config, "configuration")}
    parts |= {"database": lambda: database(config)} if config["database_mode"] == "server" else {}
    parts |= {"dump": lambda: dump.prove(config)} if config["database_mode"] == "dump" else {}
    parts |= {"artifacts": lambda: files(config, "artifacts")} if config["artifacts_dir"] else {}
    for name, part in parts.items():
        try:
            found[name] = part()
            errors += found[name]["differences"]
        except (BackupError, OSError) as error:
            errors.append(f"{name}: {error}")
    now = time.time()
    found |= {"passed": not errors, "errors": errors, "finished": _iso(now), "finished_timestamp": round(now), "duration_seconds": round(now - began, 1)}
    found["last_passed_timestamp"] = round(now) if found["passed"] else earlier.get("last_passed_timestamp", 0)
    write(marker, json.dumps(found, indent=2) + "\n")
    write(Path(config["metrics_dir"], "labtrack_backup_proof.prom"), metrics(found))
    if errors:
        raise BackupError("the proof has failed: " + "; ".join(errors))
    say(f"proved in {found['duration_seconds']} s: {', '.join(parts)}")
    return found


def _iso(stamp: float) -> str:
    return datetime.datetime.fromtimestamp(stamp, datetime.UTC).isoformat(timespec="seconds")
