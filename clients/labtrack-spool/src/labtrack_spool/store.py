# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads MLflow's SQLite store with the standard library: every schema from MLflow 1.0 on, missing tables and columns count as empty."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from labtrack_spool.errors import SetupError

BUSY_SECONDS = 60
Row = dict[str, Any]
MODEL_STATUS = {1: "LOGGED_MODEL_PENDING", 2: "LOGGED_MODEL_READY", 3: "LOGGED_MODEL_UPLOAD_FAILED"}


def connect(path: Path) -> sqlite3.Connection:
    """A connection that never writes rows. It is opened for writing where it may be: a job that was killed leaves a journal that must be played back."""
    last: sqlite3.Error | None = None
    for mode in ("rw", "ro"):
        try:
            connection = sqlite3.connect(f"file:{_quoted(path)}?mode={mode}", uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA query_only = 1")
            connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        except sqlite3.Error as error:
            last = error
            continue
        connection.row_factory = sqlite3.Row
        return connection
    raise SetupError(f"{path} cannot be read ({last}). Accepted: an MLflow store, a SQLite file. Name another one.")


def _quoted(path: Path) -> str:
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


class Store:
    """One SQLite store. Each thread reads through a connection of its own; each query is one short transaction, so that a job that writes never waits long.

    Raises:
        SetupError: the file is not a store of MLflow.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._local = threading.local()
        self._open: list[sqlite3.Connection] = []
        self._columns: dict[str, set[str]] = {}
        if not path.is_file():
            raise SetupError(f"{path} does not exist. Accepted: an MLflow store, a SQLite file. Name another one.")
        if not {"experiment_id", "name"} <= self.columns("experiments") or "run_uuid" not in self.columns("runs"):
            raise SetupError(f"{path} is no store of MLflow: the tables 'experiments' and 'runs' are missing. Name another file.")

    def close(self) -> None:
        """Close the connections of all threads."""
        for connection in self._open:
            connection.close()
        self._open.clear()
        self._local = threading.local()

    def _connection(self) -> sqlite3.Connection:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = connect(self.path)
            self._open.append(connection)
        return connection

    def columns(self, table: str) -> set[str]:
        """Names of a table's columns; empty where there is no such table."""
        if table not in self._columns:
            self._columns[table] = {row["name"] for row in self._connection().execute(f"PRAGMA table_info({table})")}
        return self._columns[table]

    def select(self, table: str, names: Iterable[str], rest: str = "", values: Iterable[Any] = ()) -> list[Row]:
        """Rows as dicts; a column that this schema does not have is None.  `rest` comes from this module only, never from data."""
        have = self.columns(table)
        if not have:
            return []
        listed = ", ".join(f'"{name}"' if name in have else f'NULL AS "{name}"' for name in names)
        return [dict(row) for row in self._connection().execute(f"SELECT {listed} FROM {table} {rest}", tuple(values))]

    def count(self, table: str) -> int:
        """Number of rows; 0 where there is no such table."""
        return self._connection().execute(f"SELECT count(*) FROM {table}").fetchone()[0] if self.columns(table) else 0

    def _pairs(self, table: str, owner: str, identity: Any, key: str = "key", value: str = "value") -> dict[str, str]:
        rows = self.select(table, (key, value), f'WHERE {owner} = ? ORDER BY "{key}"', (identity,))
        return {row[key]: row[value] if row[value] is not None else "" for row in rows}

    def experiments(self) -> list[Row]:
        """All experiments with their tags."""
        found = self.select("experiments", ("experiment_id", "name", "artifact_location", "lifecycle_stage"), "ORDER BY experiment_id")
        for row in found:
            row["tags"] = self._pairs("experiment_tags", "experiment_id", row["experiment_id"])
        return found

    def runs(self) -> list[Row]:
        """All runs without their data, oldest first."""
        names = (
            "run_uuid",
            "name",
            "user_id",
            "status",
            "start_time",
            "end_time",
            "lifecycle_stage",
            "artifact_uri",
            "experiment_id",
            "source_type",
            "source_name",
        )
        found = self.select("runs", names, "ORDER BY start_time, run_uuid")
        parents = {row["run_uuid"]: row["value"] for row in self.select("tags", ("run_uuid", "value"), "WHERE key = 'mlflow.parentRunId'")}
        for row in found:
            row["parent"] = parents.get(row["run_uuid"])
        return found

    def tags(self, run: str) -> dict[str, str]:
        """A run's tags."""
        return self._pairs("tags", "run_uuid", run)

    def params(self, run: str) -> dict[str, str]:
        """A run's parameters."""
        return self._pairs("params", "run_uuid", run)

    def metrics(self, run: str, after: int, limit: int) -> list[tuple[int, str, float, int, int, bool]]:
        """The next points of a run in the order in which they were written: (rowid, key, value, timestamp, step, is NaN).

        The index on run_uuid holds the rowids in their order, so that neither SQLite nor we ever hold or sort a whole history.
        """
        step = "step" if "step" in self.columns("metrics") else "0"
        nan = "is_nan" if "is_nan" in self.columns("metrics") else "0"
        sql = f"SELECT rowid, key, value, timestamp, {step}, {nan} FROM metrics {{}} WHERE run_uuid = ? AND rowid > ? ORDER BY rowid LIMIT ?"
        try:
            rows = self._connection().execute(sql.format("INDEXED BY index_metrics_run_uuid"), (run, after, limit)).fetchall()
        except sqlite3.OperationalError:  # a schema without that index
            rows = self._connection().execute(sql.format(""), (run, after, limit)).fetchall()
        return [(row[0], row[1], row[2], row[3], row[4], bool(row[5])) for row in rows]

    def metric_at(self, rowid: int, run: str) -> bool:
        """Whether that row still belongs to the run; VACUUM may number the rows anew."""
        return bool(self._connection().execute("SELECT 1 FROM metrics WHERE rowid = ? AND run_uuid = ?", (rowid, run)).fetchone())

    def count_metrics(self, run: str, up_to: int | None = None) -> int:
        """Number of points of a run, up to a row."""
        sql = "SELECT count(*) FROM metrics WHERE run_uuid = ? AND rowid <= ?"
        return self._connection().execute(sql, (run, 2**62 if up_to is None else up_to)).fetchone()[0]

    def all_metrics(self, run: str) -> Iterator[tuple[int, str, float, int, int, bool]]:
        """Every point of a run, in pieces."""
        after = 0
        while True:
            rows = self.metrics(run, after, 10_000)
            yield from rows
            if len(rows) < 10_000:
                return
            after = rows[-1][0]

    def datasets(self, run: str) -> list[Row]:
        """Data sets that a run read, as the API writes them."""
        found = []
        where = "WHERE source_type = 'DATASET' AND destination_type = 'RUN' AND destination_id = ? ORDER BY rowid"
        edges = self.select("inputs", ("input_uuid", "source_id"), where, (run,))
        for edge in edges:
            names = ("name", "digest", "dataset_source_type", "dataset_source", "dataset_schema", "dataset_profile")
            for row in self.select("datasets", names, "WHERE dataset_uuid = ?", (edge["source_id"],)):
                content = {"name": row["name"], "digest": row["digest"], "source_type": row["dataset_source_type"], "source": row["dataset_source"]}
                content |= {name: row[f"dataset_{name}"] for name in ("schema", "profile") if row[f"dataset_{name}"] is not None}
                tags = self._pairs("input_tags", "input_uuid", edge["input_uuid"], key="name")
                found.append({"dataset": content, "tags": [{"key": key, "value": value} for key, value in tags.items()]})
        return found

    def model_edges(self, run: str) -> tuple[list[str], list[tuple[str, int]]]:
        """(ids of the models that a run read, ids and steps of those that it made)."""
        read = self.select("inputs", ("destination_id",), "WHERE source_type = 'RUN_INPUT' AND source_id = ? ORDER BY rowid", (run,))
        made = self.select("inputs", ("destination_id", "step"), "WHERE source_type = 'RUN_OUTPUT' AND source_id = ? ORDER BY rowid", (run,))
        return [row["destination_id"] for row in read], [(row["destination_id"], row["step"] or 0) for row in made]

    def models(self) -> list[Row]:
        """Logged models (MLflow 3), without parameters and tags."""
        names = ("model_id", "experiment_id", "name", "artifact_location", "creation_timestamp_ms", "status", "lifecycle_stage", "model_type", "source_run_id")
        return self.select("logged_models", names, "ORDER BY creation_timestamp_ms, model_id")

    def model_data(self, model: str) -> tuple[dict[str, str], dict[str, str]]:
        """(parameters, tags) of a logged model."""
        return (
            self._pairs("logged_model_params", "model_id", model, "param_key", "param_value"),
            self._pairs("logged_model_tags", "model_id", model, "tag_key", "tag_value"),
        )

    def model_metrics(self, run: str) -> list[Row]:
        """Points that a run wrote for logged models. MLflow keeps NaN as 0 there; the point of the run says which it was."""
        names = ("model_id", "metric_name", "metric_timestamp_ms", "metric_step", "metric_value", "dataset_name", "dataset_digest")
        found = self.select("logged_model_metrics", names, "WHERE run_id = ? ORDER BY rowid", (run,))
        where = "WHERE run_uuid = ? AND key = ? AND timestamp = ? AND step = ? AND value = 0"
        for row in found:
            row["is_nan"] = False
            if row["metric_value"] == 0:
                points = self.select("metrics", ("is_nan",), where, (run, row["metric_name"], row["metric_timestamp_ms"], row["metric_step"]))
                row["is_nan"] = bool(points) and all(point["is_nan"] for point in points)
        return found

    def registered_models(self) -> list[Row]:
        """Registered models with tags and aliases."""
        found = self.select("registered_models", ("name", "description", "creation_time"), "ORDER BY creation_time, name")
        for row in found:
            row["tags"] = self._pairs("registered_model_tags", "name", row["name"])
            rows = self.select("registered_model_aliases", ("alias", "version"), "WHERE name = ? ORDER BY alias", (row["name"],))
            row["aliases"] = {each["alias"]: int(each["version"]) for each in rows}
        return found

    def versions(self, name: str) -> list[Row]:
        """Versions of a registered model with their tags, the first one first."""
        names = ("name", "version", "creation_time", "description", "user_id", "current_stage", "source", "run_id", "status", "storage_location")
        found = self.select("model_versions", names, "WHERE name = ? AND current_stage != 'Deleted_Internal' ORDER BY version", (name,))
        for row in found:
            rows = self.select("model_version_tags", ("key", "value"), "WHERE name = ? AND version = ?", (name, row["version"]))
            row["tags"] = {each["key"]: each["value"] or "" for each in rows}
        return found

    def traces(self) -> list[Row]:
        """Traces without spans, tags and metadata."""
        tokens = ("input_tokens", "output_tokens", "total_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
        names = ("request_id", "experiment_id", "timestamp_ms", "execution_time_ms", "status", "client_request_id", "request_preview", "response_preview")
        return self.select("trace_info", (*names, "trace_name", "session_id", *tokens, "input_cost", "output_cost", "total_cost"), "ORDER BY timestamp_ms")

    def trace_data(self, trace: str) -> tuple[dict[str, str], dict[str, str]]:
        """(tags, metadata) of a trace."""
        return self._pairs("trace_tags", "request_id", trace), self._pairs("trace_request_metadata", "request_id", trace)

    def trace_runs(self, trace: str) -> list[str]:
        """Runs that a trace was linked to."""
        where = "WHERE source_type = 'trace' AND source_id = ? AND destination_type = 'run'"
        return [row["destination_id"] for row in self.select("entity_associations", ("destination_id",), where, (trace,))]

    def spans(self, trace: str) -> list[Row]:
        """Decoded contents of a trace's spans; empty where they are in an artifact."""
        rows = self.select("spans", ("content",), "WHERE trace_id = ? ORDER BY start_time_unix_nano, rowid", (trace,))
        return [json.loads(row["content"]) for row in rows if row["content"]]

    def assessments(self, trace: str) -> list[Row]:
        """Feedback and expectations of a trace, the first one first."""
        names = (
            "assessment_id",
            "name",
            "assessment_type",
            "value",
            "error",
            "created_timestamp",
            "last_updated_timestamp",
            "source_type",
            "source_id",
            "run_id",
        )
        return self.select(
            "assessments",
            (*names, "span_id", "rationale", "overrides", "valid", "assessment_metadata"),
            "WHERE trace_id = ? ORDER BY created_timestamp, rowid",
            (trace,),
        )

    def left_behind(self) -> dict[str, int]:
        """Things of newer MLflow that no sync sends, with their number."""
        names = ("evaluation_datasets", "issues", "label_schemas", "review_queues", "scorers", "webhooks", "endpoints", "mcp_servers")
        return {name: number for name in names if (number := self.count(name))}
