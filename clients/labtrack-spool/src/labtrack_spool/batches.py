# SPDX-License-Identifier: GPL-3.0-or-later
"""Parameters, metrics and tags of a run in as few requests as MLflow's limits allow, without ever holding a whole history."""

from __future__ import annotations

import json
from typing import Any, Callable

from labtrack_spool.context import Context, as_pairs, checksum
from labtrack_spool.state import Entry

# Limits of a log-batch request: mlflow/utils/validation.py of MLflow 3.17 (bytes: 1e6 there; what JSON adds is left out of our count)
METRICS_A_BATCH, PARAMS_A_BATCH, TAGS_A_BATCH, ENTITIES_A_BATCH, BYTES_A_BATCH = 1000, 100, 100, 1000, 700_000


def number(value: float, is_nan: bool) -> float | str:
    """A value as the API reads it. SQLite holds infinity as the largest number, and so does the server."""
    if is_nan or value is None or value != value:
        return "NaN"
    return value


class Batch:
    """Collects what goes into one request, and sends it when it is full."""

    def __init__(self, send: Callable[[dict[str, list[dict[str, Any]]]], None]) -> None:
        self._send = send
        self._clear()

    def _clear(self) -> None:
        self._content: dict[str, list[dict[str, Any]]] = {"params": [], "metrics": [], "tags": []}
        self._bytes = 0

    def add(self, kind: str, item: dict[str, Any]) -> None:
        """Add one thing; what was collected before is sent first where it would not fit."""
        size = 130 + 6 * len(item["key"]) + (0 if kind == "metrics" else len(json.dumps(item["value"])))
        limit = {"params": PARAMS_A_BATCH, "tags": TAGS_A_BATCH, "metrics": METRICS_A_BATCH}[kind]
        entities = sum(map(len, self._content.values()))
        if entities and (len(self._content[kind]) >= limit or entities >= ENTITIES_A_BATCH or self._bytes + size > BYTES_A_BATCH):
            self.flush()
        self._content[kind].append(item)
        self._bytes += size

    def flush(self) -> None:
        """Send what is there."""
        content = {kind: items for kind, items in self._content.items() if items}
        if content:
            self._send(content)
        self._clear()


def send_data(context: Context, source: str, entry: Entry, sent: dict[str, Any], remember: Callable[[], None]) -> None:
    """Send the parameters, tags and points that the server does not have.

    Points go in the order in which the job wrote them; after each answer the last row is remembered. A point that is sent twice is one point for MLflow.
    """
    last = [entry.cursor]

    def send(content: dict[str, list[dict[str, Any]]]) -> None:
        context.server.call("POST", "runs/log-batch", {"run_id": entry.target, **content})
        for kind, items in content.items():
            context.findings.add(kind, len(items))
        entry.cursor = last[0]
        remember()

    batch = Batch(send)
    params = context.store.params(source)
    if params and sent.get("params") != checksum(params):
        for pair in as_pairs(params):
            batch.add("params", pair)
    tags = context.ids.tags(context.store.tags(source))
    marks = {key: checksum(value) for key, value in tags.items()}
    changed = {key: value for key, value in tags.items() if sent.setdefault("tags", {}).get(key) != marks[key]}
    for pair in as_pairs(changed):
        batch.add("tags", pair)
    if entry.cursor and not context.store.metric_at(entry.cursor, source):
        entry.cursor = last[0] = 0  # VACUUM has numbered the rows anew: send all, the server drops what it has
    while True:
        rows = context.store.metrics(source, last[0], METRICS_A_BATCH)
        for row, key, value, timestamp, step, is_nan in rows:
            batch.add("metrics", {"key": key, "value": number(value, is_nan), "timestamp": timestamp, "step": step})
            last[0] = row
        if len(rows) < METRICS_A_BATCH:
            break
    batch.flush()
    if params:
        sent["params"] = checksum(params)
    sent["tags"] = marks
    entry.cursor = last[0]


def send_model_metrics(context: Context, source: str, entry: Entry, sent: dict[str, Any]) -> None:
    """Send the points that belong to a logged model, too. The run has them already; the server adds the link."""
    rows = context.store.model_metrics(source)[sent.get("models", 0) :]
    if not rows:
        return

    def send(content: dict[str, list[dict[str, Any]]]) -> None:
        context.server.call("POST", "runs/log-batch", {"run_id": entry.target, **content})

    batch = Batch(send)
    for row in rows:
        if row["model_id"] not in context.ids.models:
            continue
        item = {"key": row["metric_name"], "value": number(row["metric_value"], row["is_nan"])}
        item |= {"timestamp": row["metric_timestamp_ms"], "step": row["metric_step"]}
        item |= {name: row[name] for name in ("dataset_name", "dataset_digest") if row[name]}
        batch.add("metrics", item | {"model_id": context.ids.models[row["model_id"]]})
    batch.flush()
    sent["models"] = sent.get("models", 0) + len(rows)
