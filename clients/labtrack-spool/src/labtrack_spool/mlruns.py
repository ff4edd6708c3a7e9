# SPDX-License-Identifier: GPL-3.0-or-later
"""An mlruns directory (MLflow's file store) as a SQLite store: copied beside the state, and from then on only what is new."""

from __future__ import annotations

import contextlib
import json
import math
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml

try:
    from yaml import CSafeLoader as SafeLoader
except ImportError:  # PyYAML without its C library
    from yaml import SafeLoader

STATUS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
MODEL_STATUS = {"PENDING": 1, "READY": 2, "FAILED": 3, "LOGGED_MODEL_PENDING": 1, "LOGGED_MODEL_READY": 2, "LOGGED_MODEL_UPLOAD_FAILED": 3}
NO_RUNS = ("tags", "datasets", "traces", "models", ".trash")
LARGEST = 1.7976931348623157e308
# What MLflow's own store calls these; only what is read is there.
SCHEMA = """
CREATE TABLE IF NOT EXISTS experiments (experiment_id TEXT PRIMARY KEY, name, artifact_location, lifecycle_stage);
CREATE TABLE IF NOT EXISTS experiment_tags (experiment_id TEXT, key, value, PRIMARY KEY (experiment_id, key));
CREATE TABLE IF NOT EXISTS runs (run_uuid PRIMARY KEY, name, user_id, status, start_time, end_time, lifecycle_stage, artifact_uri, experiment_id TEXT);
CREATE TABLE IF NOT EXISTS tags (run_uuid, key, value, PRIMARY KEY (run_uuid, key));
CREATE TABLE IF NOT EXISTS params (run_uuid, key, value, PRIMARY KEY (run_uuid, key));
CREATE TABLE IF NOT EXISTS metrics (run_uuid, key, value, timestamp, step, is_nan);
CREATE INDEX IF NOT EXISTS index_metrics_run_uuid ON metrics (run_uuid);
CREATE TABLE IF NOT EXISTS latest_metrics (run_uuid, key, timestamp, PRIMARY KEY (run_uuid, key));
CREATE TABLE IF NOT EXISTS datasets (dataset_uuid PRIMARY KEY, name, digest, dataset_source_type, dataset_source, dataset_schema, dataset_profile);
CREATE TABLE IF NOT EXISTS inputs (input_uuid PRIMARY KEY, source_type, source_id, destination_type, destination_id, step);
CREATE TABLE IF NOT EXISTS input_tags (input_uuid, name, value, PRIMARY KEY (input_uuid, name));
CREATE TABLE IF NOT EXISTS logged_models (model_id PRIMARY KEY, experiment_id TEXT, name, artifact_location, creation_timestamp_ms, status, lifecycle_stage,
  model_type, source_run_id);
CREATE TABLE IF NOT EXISTS logged_model_params (model_id, param_key, param_value, PRIMARY KEY (model_id, param_key));
CREATE TABLE IF NOT EXISTS logged_model_tags (model_id, tag_key, tag_value, PRIMARY KEY (model_id, tag_key));
CREATE TABLE IF NOT EXISTS logged_model_metrics (model_id, metric_name, metric_timestamp_ms, metric_step, metric_value, run_id, dataset_name, dataset_digest);
CREATE TABLE IF NOT EXISTS registered_models (name PRIMARY KEY, description, creation_time);
CREATE TABLE IF NOT EXISTS registered_model_tags (name, key, value, PRIMARY KEY (name, key));
CREATE TABLE IF NOT EXISTS registered_model_aliases (name, alias, version, PRIMARY KEY (name, alias));
CREATE TABLE IF NOT EXISTS model_versions (name, version, creation_time, description, user_id, current_stage, source, run_id, status, storage_location,
  PRIMARY KEY (name, version));
CREATE TABLE IF NOT EXISTS model_version_tags (name, version, key, value, PRIMARY KEY (name, version, key));
CREATE TABLE IF NOT EXISTS trace_info (request_id PRIMARY KEY, experiment_id TEXT, timestamp_ms, execution_time_ms, status, client_request_id, request_preview,
  response_preview);
CREATE TABLE IF NOT EXISTS trace_tags (request_id, key, value, PRIMARY KEY (request_id, key));
CREATE TABLE IF NOT EXISTS trace_request_metadata (request_id, key, value, PRIMARY KEY (request_id, key));
CREATE TABLE IF NOT EXISTS assessments (assessment_id PRIMARY KEY, trace_id, name, assessment_type, value, error, created_timestamp, last_updated_timestamp,
  source_type, source_id, run_id, span_id, rationale, overrides, valid, assessment_metadata);
CREATE TABLE IF NOT EXISTS staged_files (path PRIMARY KEY, size) WITHOUT ROWID;
"""


def read(path: Path) -> dict[str, Any]:
    """A YAML file; empty where it is missing or half written."""
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), Loader=SafeLoader)
    except (OSError, yaml.YAMLError, UnicodeDecodeError):
        return {}
    return found if isinstance(found, dict) else {}


def folders(path: Path) -> list[Path]:
    """Folders in a folder; none where it does not exist."""
    return sorted(entry for entry in path.iterdir() if entry.is_dir()) if path.is_dir() else []


def values(path: Path) -> dict[str, str]:
    """Files as pairs: the name, with folders where it has slashes, and the text."""
    return {str(file.relative_to(path)): file.read_text(encoding="utf-8", errors="replace") for file in sorted(path.rglob("*")) if file.is_file()}


def milliseconds(value: Any) -> int:
    """A time that was written as a number, as text, or by YAML as a date."""
    if isinstance(value, (int, float)):
        return int(value)
    if isinstance(value, str) and value:
        value = datetime.fromisoformat(value.replace("Z", "+00:00"))
    if isinstance(value, datetime):
        return int((value if value.tzinfo else value.replace(tzinfo=timezone.utc)).timestamp() * 1000)
    return 0


def stored(value: float) -> float:
    """NaN and infinity as MLflow's SQL stores keep them."""
    return 0.0 if math.isnan(value) else max(-LARGEST, min(LARGEST, value))


class Stage:
    """Fills the SQLite file."""

    def __init__(self, connection: sqlite3.Connection, root: Path) -> None:
        self.connection, self.root = connection, root

    def put(self, table: str, row: dict[str, Any]) -> None:
        """One row, instead of an earlier one."""
        names, marks = ", ".join(row), ", ".join("?" * len(row))
        self.connection.execute(f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({marks})", tuple(row.values()))

    def pairs(self, table: str, owner: dict[str, Any], path: Path, key: str = "key", value: str = "value") -> None:
        """Rows of a folder of files."""
        for name, text in values(path).items():
            self.put(table, owner | {key: name, value: text})

    def new_lines(self, path: Path) -> Iterator[list[str]]:
        """Complete lines that were appended since the last time, split at blanks."""
        name = str(path.relative_to(self.root))
        row = self.connection.execute("SELECT size FROM staged_files WHERE path = ?", (name,)).fetchone()
        start = row[0] if row else 0
        size = path.stat().st_size
        if size == start:
            return
        start = start if size > start else 0  # it was written anew
        with path.open("rb") as stream:
            stream.seek(start)
            for line in stream:
                if not line.endswith(b"\n"):
                    break
                start += len(line)
                yield line.decode(errors="replace").split()
        self.put("staged_files", {"path": name, "size": start})

    def experiment(self, path: Path) -> None:
        """One experiment with everything in it."""
        meta = read(path / "meta.yaml")
        if not meta:
            return
        identity = str(meta.get("experiment_id", path.name))
        stage = meta.get("lifecycle_stage", "active")
        self.put(
            "experiments", {"experiment_id": identity, "name": meta.get("name"), "artifact_location": meta.get("artifact_location"), "lifecycle_stage": stage}
        )
        self.pairs("experiment_tags", {"experiment_id": identity}, path / "tags")
        datasets = {folder.name: read(folder / "meta.yaml") for folder in folders(path / "datasets")}
        for name, row in datasets.items():
            content = {f"dataset_{key}": row.get(key) for key in ("source", "source_type", "schema", "profile")}
            self.put("datasets", {"dataset_uuid": name, "name": row.get("name"), "digest": row.get("digest"), **content})
        for folder in folders(path):
            if folder.name not in NO_RUNS:
                self.run(folder, identity)
        for folder in folders(path / "models"):
            self.model(folder, identity)
        for folder in folders(path / "traces"):
            self.trace(folder, identity)

    def run(self, path: Path, experiment: str) -> None:
        """One run."""
        meta = read(path / "meta.yaml")
        identity = meta.get("run_uuid") or meta.get("run_id")
        if not identity:
            return
        status = meta.get("status", 1)
        row = {key: meta.get(key) for key in ("user_id", "start_time", "end_time", "artifact_uri")}
        row |= {
            "status": STATUS.get(status, status),
            "name": meta.get("run_name") or meta.get("name"),
            "lifecycle_stage": meta.get("lifecycle_stage", "active"),
        }
        self.put("runs", row | {"run_uuid": identity, "experiment_id": experiment})
        self.pairs("params", {"run_uuid": identity}, path / "params")
        self.pairs("tags", {"run_uuid": identity}, path / "tags")
        for file in sorted((path / "metrics").rglob("*")):
            if file.is_file():
                self.metrics(file, str(file.relative_to(path / "metrics")), identity)
        for folder in folders(path / "inputs"):
            edge = read(folder / "meta.yaml")
            of_model = edge.get("source_type") == "MODEL"
            source, destination = (identity, edge.get("source_id")) if of_model else (edge.get("source_id"), identity)
            kinds = {"source_type": "RUN_INPUT", "destination_type": "MODEL_INPUT"} if of_model else {"source_type": "DATASET", "destination_type": "RUN"}
            name = f"{identity} {folder.name}"
            self.put("inputs", {"input_uuid": name, "source_id": source, "destination_id": destination, "step": 0, **kinds})
            for key, value in (edge.get("tags") or {}).items():
                self.put("input_tags", {"input_uuid": name, "name": key, "value": str(value)})
        for folder in folders(path / "outputs"):
            edge = read(folder / "meta.yaml")
            row = {"source_type": "RUN_OUTPUT", "source_id": identity, "destination_type": "MODEL_OUTPUT", "destination_id": folder.name}
            self.put("inputs", {"input_uuid": f"{identity} {folder.name}", "step": edge.get("step", 0), **row})

    def metrics(self, path: Path, key: str, run: str) -> None:
        """The points of one metric that are new."""
        last = None
        for words in self.new_lines(path):
            if len(words) < 2:
                continue
            value, step = float(words[1]), int(words[2]) if len(words) > 2 else 0
            point = (run, key, stored(value), int(words[0]), step, math.isnan(value))
            self.connection.execute("INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", point)
            last = int(words[0])
        if last is not None:
            self.put("latest_metrics", {"run_uuid": run, "key": key, "timestamp": last})

    def model(self, path: Path, experiment: str) -> None:
        """One logged model."""
        meta = read(path / "meta.yaml")
        if not meta:
            return
        identity, status = meta.get("model_id", path.name), meta.get("status", 1)
        row = {key: meta.get(key) for key in ("name", "model_type", "source_run_id")}
        row |= {"artifact_location": meta.get("artifact_location") or "", "creation_timestamp_ms": meta.get("creation_timestamp", 0)}
        row |= {"status": MODEL_STATUS.get(status, status), "lifecycle_stage": meta.get("lifecycle_stage", "active")}
        self.put("logged_models", row | {"model_id": identity, "experiment_id": experiment})
        self.pairs("logged_model_params", {"model_id": identity}, path / "params", "param_key", "param_value")
        self.pairs("logged_model_tags", {"model_id": identity}, path / "tags", "tag_key", "tag_value")
        for file in sorted((path / "metrics").rglob("*")):
            if not file.is_file():
                continue
            for words in self.new_lines(file):
                names = ("metric_timestamp_ms", "metric_value", "metric_step", "run_id", "dataset_name", "dataset_digest")
                point = dict(zip(names, (*words, *[None] * (len(names) - len(words)))))
                point |= {"metric_timestamp_ms": int(words[0]), "metric_value": stored(float(words[1])), "metric_step": int(words[2])}
                self.put("logged_model_metrics", point | {"model_id": identity, "metric_name": str(file.relative_to(path / "metrics"))})

    def trace(self, path: Path, experiment: str) -> None:
        """One trace; its spans are in an artifact."""
        meta = read(path / "trace_info.yaml")
        if not meta:
            return
        identity = meta.get("trace_id") or meta.get("request_id") or path.name
        row = {key: meta.get(key) for key in ("client_request_id", "request_preview", "response_preview")}
        duration = meta.get("execution_time_ms", meta.get("execution_duration_ms", meta.get("execution_duration")))
        if isinstance(duration, str):
            duration = int(float(duration.rstrip("s")) * 1000)
        row |= {"timestamp_ms": milliseconds(meta.get("timestamp_ms") or meta.get("request_time")), "execution_time_ms": duration}
        self.put("trace_info", row | {"request_id": identity, "experiment_id": experiment, "status": meta.get("status") or meta.get("state", "OK")})
        self.pairs("trace_tags", {"request_id": identity}, path / "tags")
        self.pairs("trace_request_metadata", {"request_id": identity}, path / "request_metadata")
        for file in sorted((path / "assessments").glob("*.yaml")):
            self.assessment(read(file), identity, file.stem)

    def assessment(self, meta: dict[str, Any], trace: str, name: str) -> None:
        """One piece of feedback, or expectation."""
        kind = next((kind for kind in ("feedback", "expectation") if meta.get(kind) is not None), "")
        if not kind:
            return
        content, source = meta[kind], meta.get("source") or {}
        value = content.get("value")
        if isinstance(content.get("serialized_value"), dict):
            value = json.loads(content["serialized_value"]["value"])
        row = {key: meta.get(key) for key in ("run_id", "span_id", "rationale", "overrides")}
        row |= {
            "assessment_id": meta.get("assessment_id") or name,
            "trace_id": trace,
            "name": meta.get("assessment_name") or meta.get("name"),
            "assessment_type": kind,
        }
        row |= {"value": json.dumps(value), "error": json.dumps(content["error"]) if content.get("error") else None, "valid": meta.get("valid", True)}
        row |= {"source_type": source.get("source_type", "CODE"), "source_id": source.get("source_id")}
        row |= {"created_timestamp": milliseconds(meta.get("create_time_ms") or meta.get("create_time"))}
        row |= {"last_updated_timestamp": milliseconds(meta.get("last_update_time_ms") or meta.get("last_update_time"))}
        self.put("assessments", row | {"assessment_metadata": json.dumps(meta["metadata"]) if meta.get("metadata") else None})

    def registered(self, path: Path) -> None:
        """One registered model."""
        meta = read(path / "meta.yaml")
        if not meta:
            return
        name = meta.get("name", path.name)
        self.put("registered_models", {"name": name, "description": meta.get("description"), "creation_time": meta.get("creation_timestamp")})
        self.pairs("registered_model_tags", {"name": name}, path / "tags")
        for alias, version in values(path / "aliases").items():
            self.put("registered_model_aliases", {"name": name, "alias": alias, "version": int(version)})
        for folder in folders(path):
            version = read(folder / "meta.yaml") if folder.name.startswith("version-") else {}
            if version:
                number = int(version.get("version", folder.name.partition("-")[2]))
                row = {key: version.get(key) for key in ("description", "user_id", "source", "run_id", "status", "storage_location")}
                row |= {"creation_time": version.get("creation_timestamp"), "current_stage": version.get("current_stage") or "None"}
                self.put("model_versions", row | {"name": name, "version": number})
                self.pairs("model_version_tags", {"name": name, "version": number}, folder / "tags")


def stage(root: Path, target: Path) -> None:
    """Copy what is new of an mlruns directory into a SQLite file; an interruption leaves the file as it was before."""
    with contextlib.closing(sqlite3.connect(target, timeout=60)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.executescript(SCHEMA)
        work = Stage(connection, root)
        for folder in [*folders(root), *folders(root / ".trash")]:
            if folder.name not in ("models", ".trash"):
                with connection:
                    work.experiment(folder)
        with connection:
            for folder in folders(root / "models"):
                work.registered(folder)
