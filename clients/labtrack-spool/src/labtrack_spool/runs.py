# SPDX-License-Identifier: GPL-3.0-or-later
"""Experiments and runs: found or made on the server, then kept equal to the spool."""

from __future__ import annotations

import functools
import json
import threading
from typing import Any

from labtrack_spool import artifacts
from labtrack_spool.batches import send_data, send_model_metrics
from labtrack_spool.context import RUN_TAG, Context, as_pairs, checksum
from labtrack_spool.errors import ApiError
from labtrack_spool.models import Models
from labtrack_spool.once import find_or_create
from labtrack_spool.state import Entry

ENDED = ("FINISHED", "FAILED", "KILLED")


class Experiments:
    """Finds experiments by name, and makes those that are missing."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._seen: dict[str, bool] = {}
        self._lock = threading.Lock()

    def send(self, row: dict[str, Any]) -> None:
        """Map one experiment of the spool."""
        context = self.context
        name = context.options.rename.get(row["name"], row["name"])
        found = self._by_name(name)
        if found is None:
            content = {"name": name, "tags": as_pairs(row["tags"])}
            try:
                identity = context.server.call("POST", "experiments/create", content)["experiment_id"]
                context.findings.add("experiments")
                self._seen[identity] = False
                context.ids.experiments[str(row["experiment_id"])] = identity
                return
            except ApiError as error:
                if error.code != "RESOURCE_ALREADY_EXISTS":
                    raise
                found = self._by_name(name)  # another sync was faster
        if not found:
            raise ApiError(f"experiment '{name}' cannot be made", status=-1)
        if found["lifecycle_stage"] == "deleted":
            if not context.options.restore_deleted:
                advice = "--restore-deleted brings it back, --rename-experiment sends to another one"
                context.findings.problem(f"experiment '{name}' is deleted on the server: its runs were not sent; {advice}")
                return
            context.server.call("POST", "experiments/restore", {"experiment_id": found["experiment_id"]})
            context.findings.note(f"experiment '{name}' was restored on the server")
        have = {tag["key"]: tag.get("value", "") for tag in found.get("tags", [])}
        for key, value in row["tags"].items():
            if key not in have:  # an experiment belongs to many: what is there stays
                context.server.call("POST", "experiments/set-experiment-tag", {"experiment_id": found["experiment_id"], "key": key, "value": value})
        context.ids.experiments[str(row["experiment_id"])] = found["experiment_id"]

    def _by_name(self, name: str) -> dict[str, Any] | None:
        try:
            return self.context.server.call("GET", "experiments/get-by-name", {"experiment_name": name})["experiment"]
        except ApiError as error:
            if error.code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise

    def has_synced(self, identity: str) -> bool:
        """Whether the experiment holds any run of any spool; asked once, so that the first sync asks nothing for each run."""
        with self._lock:
            if identity not in self._seen:
                content = {"experiment_ids": [identity], "filter": f"tags.`{RUN_TAG}` LIKE '%'", "run_view_type": "ALL", "max_results": 1}
                self._seen[identity] = bool(self.context.server.call("POST", "runs/search", content).get("runs"))
            return self._seen[identity]


class Runs:
    """Sends runs.

    The state of a run is `{"tags": {key: checksum}, "params": checksum, "inputs": checksum, "outputs": checksum, "models": rows, "info": [...],
    "deleted": bool}` of what the server has got from us.
    """

    def __init__(self, context: Context, experiments: Experiments, models: Models) -> None:
        self.context, self.experiments, self.models = context, experiments, models

    def make(self, row: dict[str, Any]) -> None:
        """Find the run on the server, or make it."""
        context, source = self.context, row["run_uuid"]
        entry = context.state.get("run", source)
        if not entry.target:
            remember = functools.partial(context.state.put, "run", source)
            entry = find_or_create(entry, lambda again: self._find(row, again), lambda: self._create(row), remember)
            context.state.put("run", source, entry)
        context.ids.runs[source] = entry.target

    def _find(self, row: dict[str, Any], was_asked: bool) -> Entry | None:
        """The run that an earlier sync made."""
        context, source = self.context, row["run_uuid"]
        experiment = context.ids.experiments[str(row["experiment_id"])]
        if not was_asked and not self.experiments.has_synced(experiment):
            return None
        content = {"experiment_ids": [experiment], "filter": f"tags.`{RUN_TAG}` = '{source}'", "run_view_type": "ALL", "max_results": 10}
        found = sorted(context.server.call("POST", "runs/search", content).get("runs", []), key=lambda run: run["info"]["run_id"])
        if not found:
            return None
        if len(found) > 1:
            context.findings.note(f"run {source} is on the server {len(found)} times: {found[0]['info']['run_id']} is kept equal, the others are left alone")
        info, data = found[0]["info"], found[0].get("data", {})
        have = {tag["key"] for tag in data.get("tags", [])}
        ours = context.ids.tags(context.store.tags(source))
        sent = {"tags": {key: checksum(value) for key, value in ours.items() if key in have}, "info": [info.get("status"), _time(info.get("end_time"))]}
        context.findings.note(f"run {source} is on the server already, as {info['run_id']}")
        return Entry(target=info["run_id"], digest=json.dumps(sent))

    def _create(self, row: dict[str, Any]) -> Entry:
        context, source = self.context, row["run_uuid"]
        tags = context.ids.tags(context.store.tags(source))
        content = {
            "experiment_id": context.ids.experiments[str(row["experiment_id"])],
            "user_id": row["user_id"] or "",
            "start_time": row["start_time"] or 0,
            "run_name": tags.get("mlflow.runName") or row["name"] or "",
            "tags": as_pairs(tags | {RUN_TAG: source}),
        }
        run = context.server.call("POST", "runs/create", content, repeatable=False)["run"]
        context.findings.add("runs")
        context.state.put("location", run["info"]["run_id"], Entry(target=run["info"]["artifact_uri"]))
        return Entry(target=run["info"]["run_id"], digest=json.dumps({"tags": {key: checksum(value) for key, value in tags.items()}}))

    def location(self, target: str) -> str:
        """Where the server keeps the artifacts of a run."""
        entry = self.context.state.get("location", target)
        if not entry.target:
            entry.target = self.context.server.call("GET", "runs/get", {"run_id": target})["run"]["info"]["artifact_uri"]
            self.context.state.put("location", target, entry)
        return entry.target

    def send(self, row: dict[str, Any]) -> None:
        """Make the run on the server equal to that of the spool."""
        context, source = self.context, row["run_uuid"]
        entry = context.state.get("run", source)
        sent = json.loads(entry.digest or "{}")
        deleted = row["lifecycle_stage"] == "deleted"
        if context.options.is_watch_pass and entry.done and sent.get("mark") == self._mark(row, entry):
            return
        try:
            if sent.get("deleted") and not deleted:
                context.server.call("POST", "runs/restore", {"run_id": entry.target})
                sent["deleted"] = False
            if not sent.get("deleted"):
                self._send_active(row, entry, sent)
                if deleted:
                    context.server.call("POST", "runs/delete", {"run_id": entry.target})
                    sent["deleted"] = True
                    context.findings.add("deleted runs")
        except ApiError as error:
            if not self._is_gone(row, entry, error):
                raise
            return
        sent["mark"] = self._mark(row, entry)
        self._remember(source, entry, sent)

    def _mark(self, row: dict[str, Any], entry: Entry) -> list[Any]:
        """Changes when there is something to send for a run that had ended."""
        more = self.context.store.metrics(row["run_uuid"], entry.cursor, 1)
        return [row["status"], row["end_time"], row["name"], row["lifecycle_stage"], checksum(self.context.store.tags(row["run_uuid"])), len(more)]

    def _is_gone(self, row: dict[str, Any], entry: Entry, error: ApiError) -> bool:
        """Whether somebody deleted the run on the server: then it stays so."""
        if error.status not in (400, 404):
            return False
        try:
            stage = self.context.server.call("GET", "runs/get", {"run_id": entry.target})["run"]["info"]["lifecycle_stage"]
        except ApiError as gone:
            if gone.code != "RESOURCE_DOES_NOT_EXIST":
                raise
            stage = "gone"
        if stage == "active":
            return False
        if stage == "gone" and self.context.options.recreate:
            self.context.state.forget("run", row["run_uuid"])
            self.context.findings.note(f"run {row['run_uuid']} is no longer on the server: the next sync makes it again")
            return True
        self.context.findings.note(f"run {row['run_uuid']} was deleted on the server ({entry.target}): left alone")
        return True

    def _remember(self, source: str, entry: Entry, sent: dict[str, Any]) -> None:
        entry.digest = json.dumps(sent)
        self.context.state.put("run", source, entry)

    def _send_active(self, row: dict[str, Any], entry: Entry, sent: dict[str, Any]) -> None:
        context, source = self.context, row["run_uuid"]
        made = self.models.send_of_run(source)
        send_data(context, source, entry, sent, lambda: self._remember(source, entry, sent))
        send_model_metrics(context, source, entry, sent)
        self._send_edges(source, entry, sent)
        self._remember(source, entry, sent)
        complete = True
        if context.options.with_artifacts:
            complete = artifacts.send_folder(context, source, context.paths.find(row["artifact_uri"] or ""), self.location(entry.target))
        complete &= made
        status, end = row["status"], _time(row["end_time"])
        if context.options.running_as and status not in ENDED:
            status, end = context.options.running_as, end or self._last_sign(row)
        # the end is the last thing that the server hears: whoever sees it may rely on the rest
        info = [status, end]
        if sent.get("info", ["RUNNING", 0]) != info:
            content = {"run_id": entry.target, "status": status} | ({"end_time": end} if end else {})
            context.server.call("POST", "runs/update", content)
            sent["info"] = info
        entry.done = int(status in ENDED and complete)

    def _last_sign(self, row: dict[str, Any]) -> int:
        """Time of the last point of a run that never ended, in ms."""
        found = self.context.store.select("latest_metrics", ("timestamp",), "WHERE run_uuid = ? ORDER BY timestamp DESC LIMIT 1", (row["run_uuid"],))
        return max(_time(found[0]["timestamp"]) if found else 0, _time(row["start_time"]))

    def _send_edges(self, source: str, entry: Entry, sent: dict[str, Any]) -> None:
        """Data sets and models that the run read, models that it made."""
        context = self.context
        datasets = context.store.datasets(source)
        read, made = context.store.model_edges(source)
        read = [context.ids.models[model] for model in read if model in context.ids.models]
        wanted = [(context.ids.models[model], step) for model, step in made if model in context.ids.models]
        if (datasets or read) and sent.get("inputs") != checksum((datasets, read)):
            content = {"run_id": entry.target, "datasets": datasets, "models": [{"model_id": model} for model in read]}
            context.server.call("POST", "runs/log-inputs", content)
            sent["inputs"] = checksum((datasets, read))
            context.findings.add("datasets", len(datasets))
        if wanted and sent.get("outputs") != checksum(wanted):
            run = context.server.call("GET", "runs/get", {"run_id": entry.target})["run"]
            have = {model["model_id"] for model in run.get("outputs", {}).get("model_outputs", [])}
            missing = [{"model_id": model, "step": step} for model, step in wanted if model not in have]
            if missing:
                context.server.call("POST", "runs/outputs", {"run_id": entry.target, "models": missing})
            sent["outputs"] = checksum(wanted)


def _time(value: Any) -> int:
    """Milliseconds; 0 where there are none."""
    return int(value or 0)
