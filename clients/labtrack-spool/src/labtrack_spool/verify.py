# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads both sides through what others read, and says where they differ."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from typing import Any

from labtrack_spool import artifacts
from labtrack_spool.context import MODEL_TAG, RUN_TAG, VERSION_TAG, Context
from labtrack_spool.errors import ApiError
from labtrack_spool.registry import version_identity
from labtrack_spool.store import MODEL_STATUS

HISTORY_A_PAGE = 25_000  # limit of metrics/get-history
BIG = 1.7976931348623157e308


class Sum:
    """A checksum of points in any order, so that histories of any length are compared without holding them."""

    def __init__(self) -> None:
        self.number, self.value = 0, 0

    def add(self, key: str, value: float, timestamp: int, step: int) -> None:
        """Add one point."""
        text = f"{key}\0{'nan' if math.isnan(value) else repr(max(-BIG, min(BIG, float(value))))}\0{timestamp}\0{step}"
        self.number += 1
        self.value = (self.value + int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "big")) % 2**128

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sum) and (self.number, self.value) == (other.number, other.value)

    __hash__ = None


def pairs(items: Iterable[dict[str, Any]], *without: str) -> dict[str, str]:
    """Tags or parameters of an answer as a dict."""
    return {item["key"]: item.get("value", "") for item in items if item["key"] not in without}


class Verifier:
    """Compares a store with the server; what differs becomes a problem, each with both sides."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def _differ(self, what: str, here: Any, there: Any) -> None:
        if here != there:
            self.context.findings.problem(f"{what}: spool {str(here)[:200]!r}, server {str(there)[:200]!r}")

    def all(self) -> None:
        """Compare everything that was sent."""
        context, store = self.context, self.context.store
        ids = context.ids
        for kind, known in (("run", ids.runs), ("model", ids.models)):
            known.update({source: entry.target for source, entry in context.state.all(kind).items() if entry.target})
        context.each(store.runs(), self.run, lambda row: f"run {row['run_uuid']}")
        context.each(store.models(), self.model, lambda row: f"model {row['model_id']}")
        if context.options.with_registry:
            context.each(store.registered_models(), self.registered, lambda row: f"registered model '{row['name']}'")
        if context.options.with_traces:
            context.each(store.traces(), self.trace, lambda row: f"trace {row['request_id']}")

    def run(self, row: dict[str, Any]) -> None:
        """Compare one run."""
        context, source = self.context, row["run_uuid"]
        target = context.ids.runs.get(source)
        if not target:
            experiment = next((each for each in context.store.experiments() if each["experiment_id"] == row["experiment_id"]), {})
            if experiment.get("lifecycle_stage") != "deleted" and (not context.options.experiments or experiment.get("name") in context.options.experiments):
                context.findings.problem(f"run {source}: not on the server")
            return
        try:
            run = context.server.call("GET", "runs/get", {"run_id": target})["run"]
        except ApiError as error:
            context.findings.problem(f"run {source} ({target}): {error}")
            return
        info, data, name = run["info"], run.get("data", {}), f"run {source}"
        self._differ(f"{name} start time", row["start_time"] or 0, int(info.get("start_time", 0)))
        if not context.options.running_as:
            self._differ(f"{name} status and end time", (row["status"], row["end_time"] or 0), (info["status"], int(info.get("end_time", 0) or 0)))
        self._differ(f"{name} stage", row["lifecycle_stage"], info["lifecycle_stage"])
        self._differ(f"{name} user", row["user_id"] or "", info.get("user_id", ""))
        self._differ(f"{name} parameters", context.store.params(source), pairs(data.get("params", [])))
        ours = context.ids.tags(context.store.tags(source))
        theirs = pairs(data.get("tags", []), RUN_TAG)
        self._differ(f"{name} tags", ours, {key: value for key, value in theirs.items() if key in ours})
        self._history(row, target)
        here = [(item["dataset"]["name"], item["dataset"]["digest"], pairs(item["tags"])) for item in context.store.datasets(source)]
        there = run.get("inputs", {}).get("dataset_inputs", [])
        there = [(item["dataset"]["name"], item["dataset"]["digest"], pairs(item.get("tags", []))) for item in there]
        self._differ(f"{name} data sets", sorted(here, key=repr), sorted(there, key=repr))
        made = sorted((context.ids.models.get(model, model), step) for model, step in context.store.model_edges(source)[1])
        self._differ(f"{name} models", made, sorted((each["model_id"], int(each.get("step", 0))) for each in run.get("outputs", {}).get("model_outputs", [])))
        self._artifacts(name, source, row["artifact_uri"], "artifacts/list", {"run_id": target})
        context.findings.add("runs compared")

    def _history(self, row: dict[str, Any], target: str) -> None:
        sums: dict[str, Sum] = {}
        for _row, key, value, timestamp, step, is_nan in self.context.store.all_metrics(row["run_uuid"]):
            sums.setdefault(key, Sum()).add(key, math.nan if is_nan else value, timestamp, step)
        for key, here in sums.items():
            there = Sum()
            content = {"run_id": target, "metric_key": key, "max_results": HISTORY_A_PAGE}
            for point in self.context.server.pages("GET", "metrics/get-history", content, "metrics"):
                there.add(key, float(point["value"]), int(point["timestamp"]), int(point.get("step", 0)))
            if here != there:
                text = f"{here.number} points in the spool, {there.number} on the server, or other values"
                self.context.findings.problem(f"run {row['run_uuid']} metric '{key}': {text}")
            self.context.findings.add("points compared", here.number)

    def _artifacts(self, name: str, owner: str, location: str, call: str, fields: dict[str, str]) -> None:
        if not self.context.options.with_artifacts:
            return
        folder = self.context.paths.find(location or "")
        here = {}
        for path, status in artifacts.files(folder) if folder and folder.is_dir() else ():
            changed = artifacts.content(self.context, folder / path)
            here[path] = status.st_size if changed is None else len(changed)
        there = dict(artifacts.listing(self.context, call, fields))
        missing = {path: size for path, size in here.items() if there.get(path) != size}
        if missing:
            example = sorted(missing)[0]
            sides = f"{here[example]} bytes in the spool, {there.get(example, 'nothing')} on the server"
            text = f"{len(missing)} of {len(here)} differ, for instance '{example}': {sides}"
            self.context.findings.problem(f"{name} artifacts: {text}")
        self.context.findings.add("artifacts compared", len(here))

    def model(self, row: dict[str, Any]) -> None:
        """Compare one logged model."""
        context, name = self.context, f"model {row['model_id']}"
        target = context.ids.models.get(row["model_id"])
        if not target:
            context.findings.problem(f"{name}: not on the server")
            return
        if row["lifecycle_stage"] == "deleted":
            return
        model = context.server.call("GET", f"logged-models/{target}")["model"]
        params, tags = context.store.model_data(row["model_id"])
        self._differ(f"{name} name", row["name"], model["info"]["name"])
        self._differ(f"{name} status", MODEL_STATUS.get(row["status"]), model["info"].get("status"))
        self._differ(f"{name} parameters", params, pairs(model.get("data", {}).get("params", [])))
        ours = {key: value for key, value in context.ids.tags(tags).items() if key != "mlflow.modelVersions"}
        theirs = pairs(model["info"].get("tags", []), MODEL_TAG)
        self._differ(f"{name} tags", ours, {key: value for key, value in theirs.items() if key in ours})
        self._artifacts(name, row["model_id"], row["artifact_location"], f"logged-models/{target}/artifacts/directories", {})
        context.findings.add("models compared")

    def registered(self, row: dict[str, Any]) -> None:
        """Compare the versions of one registered model."""
        context, name = self.context, row["name"]
        model = context.server.call("GET", "registered-models/get", {"name": name})["registered_model"]
        numbers = {}
        for version in context.store.versions(name):
            target = context.state.get("version", version_identity(version)).target
            if not target:
                context.findings.problem(f"version {version['version']} of model '{name}': not on the server")
                continue
            numbers[int(version["version"])] = target
            there = context.server.call("GET", "model-versions/get", {"name": name, "version": target})["model_version"]
            run = context.ids.runs.get(version["run_id"] or "", "")
            self._differ(f"version {version['version']} of model '{name}' run", run, there.get("run_id", ""))
            tags = {key: context.ids.translate(value) for key, value in version["tags"].items()}
            theirs = pairs(there.get("tags", []), VERSION_TAG)
            self._differ(f"version {version['version']} of model '{name}' tags", tags, {key: value for key, value in theirs.items() if key in tags})
            context.findings.add("model versions compared")
        aliases = {item["alias"]: str(item["version"]) for item in model.get("aliases", [])}
        for alias, version in row["aliases"].items():
            if version in numbers and aliases.get(alias) != numbers[version]:
                context.findings.note(f"alias '{alias}' of model '{name}': version {numbers[version]} by the spool, {aliases.get(alias)} on the server")

    def trace(self, row: dict[str, Any]) -> None:
        """Compare one trace."""
        context, trace = self.context, row["request_id"]
        if not context.state.get("trace", trace).target:
            return
        answer = context.server.call("GET", "traces/get", {"trace_id": trace}, version="3.0")["trace"]
        info = answer["trace_info"]
        self._differ(f"trace {trace} state", row["status"], info.get("state"))
        self._differ(f"trace {trace} spans", len(context.store.spans(trace)) or len(answer.get("spans", [])), len(answer.get("spans", [])))
        self._differ(f"trace {trace} assessments", len(context.store.assessments(trace)), len(info.get("assessments", [])))
        tags, _metadata = context.store.trace_data(trace)
        ours = {key: context.ids.translate(value) for key, value in tags.items() if key not in ("mlflow.artifactLocation", "mlflow.trace.spansLocation")}
        self._differ(f"trace {trace} tags", ours, {key: value for key, value in info.get("tags", {}).items() if key in ours})
        context.findings.add("traces compared")
