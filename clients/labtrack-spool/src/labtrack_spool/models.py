# SPDX-License-Identifier: GPL-3.0-or-later
"""Logged models of MLflow 3: found or made on the server, with parameters, tags, status and files."""

from __future__ import annotations

import functools
import json
from typing import Any

from labtrack_spool import artifacts
from labtrack_spool.context import MODEL_TAG, Context, as_pairs, checksum
from labtrack_spool.errors import ApiError
from labtrack_spool.once import find_or_create
from labtrack_spool.state import Entry
from labtrack_spool.store import MODEL_STATUS

PARAMS_AT_ONCE = 100
WRITTEN_BY_THE_SERVER = ("mlflow.modelVersions",)


class Models:
    """Sends logged models. The state is `{"tags": {key: checksum}, "params": number, "status": text, "deleted": bool}`."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.rows = context.store.models()
        self._of_run: dict[str, list[dict[str, Any]]] = {}
        for row in self.rows:
            self._of_run.setdefault(row["source_run_id"] or "", []).append(row)

    def without_run(self, runs: set[str]) -> list[dict[str, Any]]:
        """Models that no run of the spool has made."""
        return [row for row in self.rows if (row["source_run_id"] or "") not in runs and str(row["experiment_id"]) in self.context.ids.experiments]

    def make(self, row: dict[str, Any]) -> None:
        """Find the model on the server, or make it."""
        context, source = self.context, row["model_id"]
        if str(row["experiment_id"]) not in context.ids.experiments:
            return
        entry = context.state.get("model", source)
        if not entry.target:
            remember = functools.partial(context.state.put, "model", source)
            entry = find_or_create(entry, lambda _again: self._find(row), lambda: self._create(row), remember)
            context.state.put("model", source, entry)
        context.ids.models[source] = entry.target

    def _find(self, row: dict[str, Any]) -> Entry | None:
        content = {"experiment_ids": [self.context.ids.experiments[str(row["experiment_id"])]], "filter": f"tags.`{MODEL_TAG}` = '{row['model_id']}'"}
        found = self.context.server.call("POST", "logged-models/search", content).get("models", [])
        if not found:
            return None
        info = min((model["info"] for model in found), key=lambda info: info["model_id"])
        self.context.state.put("location", info["model_id"], Entry(target=info["artifact_uri"]))
        return Entry(target=info["model_id"], digest=json.dumps({"status": info.get("status", "")}))

    def _create(self, row: dict[str, Any]) -> Entry:
        context = self.context
        params, _tags = context.store.model_data(row["model_id"])
        content = {
            "experiment_id": context.ids.experiments[str(row["experiment_id"])],
            "name": row["name"],
            "model_type": row["model_type"] or "",
            "source_run_id": context.ids.runs.get(row["source_run_id"] or "", ""),
            "params": as_pairs(dict(list(params.items())[:PARAMS_AT_ONCE])),
            "tags": as_pairs({MODEL_TAG: row["model_id"]}),
        }
        info = context.server.call("POST", "logged-models", content, repeatable=False)["model"]["info"]
        context.state.put("location", info["model_id"], Entry(target=info["artifact_uri"]))
        context.findings.add("models")
        return Entry(target=info["model_id"], digest=json.dumps({"params": min(len(params), PARAMS_AT_ONCE)}))

    def location(self, target: str) -> str:
        """Where the server keeps the files of a model."""
        entry = self.context.state.get("location", target)
        if not entry.target:
            entry.target = self.context.server.call("GET", f"logged-models/{target}")["model"]["info"]["artifact_uri"]
            self.context.state.put("location", target, entry)
        return entry.target

    def send_of_run(self, run: str) -> bool:
        """Send what the models of a run lack; whether all is there."""
        arrived = [self.send(row) for row in self._of_run.get(run, [])]
        return all(arrived)

    def send(self, row: dict[str, Any]) -> bool:
        """Send what one model lacks; whether all is there."""
        context, source = self.context, row["model_id"]
        entry = context.state.get("model", source)
        if not entry.target:
            return False
        sent = json.loads(entry.digest or "{}")
        if sent.get("deleted"):
            return True
        path = f"logged-models/{entry.target}"
        try:
            complete = self._send_content(row, path, entry, sent)
            status = MODEL_STATUS.get(row["status"], "")
            if status in ("LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED") and complete and sent.get("status") != status:
                context.server.call("PATCH", path, {"model_id": entry.target, "status": status})
                sent["status"] = status
            if row["lifecycle_stage"] == "deleted":
                context.server.call("DELETE", path)
                sent["deleted"] = True
        except ApiError as error:
            if error.code != "RESOURCE_DOES_NOT_EXIST":
                raise
            context.findings.note(f"model {source} was deleted on the server ({entry.target}): left alone")
            return True
        entry.digest, entry.done = json.dumps(sent), int(complete)
        context.state.put("model", source, entry)
        return complete

    def _send_content(self, row: dict[str, Any], path: str, entry: Entry, sent: dict[str, Any]) -> bool:
        context = self.context
        params, tags = context.store.model_data(row["model_id"])
        pairs = as_pairs(params)
        have = sent.get("params")
        if have is None or have < len(pairs):  # the server refuses a parameter that it has
            there = {param["key"] for param in context.server.call("GET", path)["model"].get("data", {}).get("params", [])}
            missing = [pair for pair in pairs if pair["key"] not in there]
            for start in range(0, len(missing), PARAMS_AT_ONCE):
                context.server.call("POST", f"{path}/params", {"model_id": entry.target, "params": missing[start : start + PARAMS_AT_ONCE]})
            sent["params"] = len(pairs)
        tags = {key: value for key, value in context.ids.tags(tags).items() if key not in WRITTEN_BY_THE_SERVER}
        marks = {key: checksum(value) for key, value in tags.items()}
        changed = {key: value for key, value in tags.items() if sent.get("tags", {}).get(key) != marks[key]}
        if changed:
            context.server.call("PATCH", f"{path}/tags", {"model_id": entry.target, "tags": as_pairs(changed)})
            sent["tags"] = marks
        if not context.options.with_artifacts:
            return True
        return artifacts.send_folder(context, row["model_id"], context.paths.find(row["artifact_location"]), self.location(entry.target))
