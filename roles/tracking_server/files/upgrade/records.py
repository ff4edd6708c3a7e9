# SPDX-License-Identifier: GPL-3.0-or-later
"""Upgrades that were made, what they keep, and what a rollback would lose."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cluster import Cluster
from journal import write_json
from switch import written_since

# What people call it, and where it is. Of each the newest is named.
NAMED = {
    "runs": "select run_uuid || ' (' || coalesce(name, '') || ', ' || to_timestamp(start_time / 1000)::timestamptz(0) || ')' from runs",
    "experiments": "select name from experiments",
    "registered_models": "select name from registered_models",
    "model_versions": "select name || ' version ' || version from model_versions",
}


def load(folder: Path) -> list[dict[str, Any]]:
    """All records, the newest first."""
    return sorted((json.loads(path.read_text()) for path in folder.glob("*/record.json")), key=lambda record: record["id"], reverse=True)


def save(folder: Path, record: dict[str, Any]) -> None:
    """One record, in its upgrade's folder."""
    place = folder / record["id"]
    place.mkdir(exist_ok=True, parents=True)
    write_json(place / "record.json", record)


def kept_databases(record: dict[str, Any]) -> list[str]:
    """Names that an upgrade and its rollback have given."""
    return [swap["outgoing"] for swap in record["swaps"] + record.get("rolled_back", {}).get("swaps", [])]


def usable(record: dict[str, Any], existing: set[str], program_dir: str) -> str:
    """Why an upgrade cannot be taken back; empty when it can."""
    if missing := [swap["outgoing"] for swap in record["swaps"] if swap["outgoing"] not in existing]:
        return f"the databases {', '.join(missing)} are no longer there"
    if record["before"] == record["after"] and not Path(program_dir, "releases", record["from"], "bin", "python").exists():
        return f"the release {record['from']} is no longer there"
    return ""


def losses(cluster: Cluster, record: dict[str, Any]) -> dict[str, Any]:
    """What was written since the upgrade and would no longer be served: by table, and the newest of what has a name."""
    if not record["swaps"]:
        return {"tables": {}, "newest": {}}
    if cluster.system() != record["system"]:
        raise ValueError("the databases were restored or moved to another PostgreSQL since: what was written since the upgrade cannot be told")
    tables = written_since(cluster, record)
    tracking, newest = record["swaps"][0]["name"], {}
    for table, query in NAMED.items():
        if f"{tracking}.{table}" in tables:
            order = "start_time" if table == "runs" else "coalesce(last_update_time, 0)" if table == "experiments" else "creation_time"
            newest[table] = cluster.sql(f"{query} where age(xmin) < age(:'mark'::xid) order by {order} desc limit 1", tracking, mark=record["mark"])
    return {"tables": tables, "newest": newest}


def expire(folder: Path, cluster: Cluster, keep: int, keep_days: int) -> list[str]:
    """Remove what is kept by more than `keep` upgrades and longer than `keep_days`; the names of the databases that went."""
    limit = (datetime.now(UTC) - timedelta(days=keep_days)).strftime("%Y%m%dt%H%M%S")
    gone = []
    for record in load(folder)[keep:]:
        if record["id"] < limit:
            cluster.drop(*kept_databases(record))
            gone += kept_databases(record)
            shutil.rmtree(folder / record["id"])
    return gone
