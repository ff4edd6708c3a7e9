# SPDX-License-Identifier: GPL-3.0-or-later
"""The model registry: names are shared by all, versions are appended, aliases move as the job would have moved them."""

from __future__ import annotations

import functools
import hashlib
import json
from typing import Any

from labtrack_spool.context import VERSION_TAG, Context, as_pairs, checksum
from labtrack_spool.errors import ApiError
from labtrack_spool.once import find_or_create
from labtrack_spool.state import Entry

PROMPT_TAG = "mlflow.prompt.is_prompt"


def literal(text: str) -> str:
    """A text in a filter; MLflow knows no escapes in it, only two kinds of quotes."""
    return f'"{text}"' if "'" in text else f"'{text}'"


def version_identity(row: dict[str, Any]) -> str:
    """What tells a version of a spool from every other, also without its state."""
    parts = (row["name"], row["version"], row["creation_time"], row["source"], row["run_id"])
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


class Registry:
    """Sends registered models."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def send(self, row: dict[str, Any]) -> None:
        """Send one registered model with its versions, one after the other, so that their numbers keep their order."""
        server, name = self.context.server, row["name"]
        model = self._make(row)
        have = {tag["key"] for tag in model.get("tags", [])}
        for key, value in row["tags"].items():
            if key not in have:  # the model belongs to many: what is there stays
                server.call("POST", "registered-models/set-tag", {"name": name, "key": key, "value": value})
        if row["description"] and not model.get("description"):
            server.call("PATCH", "registered-models/update", {"name": name, "description": row["description"]})
        numbers: dict[int, int] = {}
        for version in self.context.store.versions(name):
            number = self._send_version(version)
            if number:
                numbers[int(version["version"])] = number
        for alias, version in row["aliases"].items():
            if version in numbers:
                self._send_alias(name, alias, numbers[version], model)

    def _make(self, row: dict[str, Any]) -> dict[str, Any]:
        server = self.context.server
        try:
            return server.call("GET", "registered-models/get", {"name": row["name"]})["registered_model"]
        except ApiError as error:
            if error.code != "RESOURCE_DOES_NOT_EXIST":
                raise
        try:
            content = {"name": row["name"], "tags": as_pairs(row["tags"]), "description": row["description"] or ""}
            model = server.call("POST", "registered-models/create", content)["registered_model"]
            self.context.findings.add("registered models")
            return model
        except ApiError as error:
            if error.code != "RESOURCE_ALREADY_EXISTS":
                raise
        return server.call("GET", "registered-models/get", {"name": row["name"]})["registered_model"]

    def _source(self, row: dict[str, Any]) -> tuple[str, str]:
        """(where the server finds the version's files, id of its logged model or nothing)."""
        ids, source = self.context.ids, row["source"] or ""
        if source.startswith("models:/m-"):
            model = ids.models.get(source[len("models:/") :].partition("/")[0], "")
            return (ids.translate(source), model) if model else ("", "")
        if source.startswith("runs:/"):
            return ids.translate(source), ""
        for locations, kind in ((ids.run_locations, ids.runs), (ids.model_locations, ids.models)):
            for location, identity in locations.items():
                rest = source.removeprefix("file://")[len(location) :] if source.removeprefix("file://").startswith(location) else None
                if location and rest is not None and (not rest or rest.startswith("/")) and identity in kind:
                    target = self.context.state.get("location", kind[identity]).target
                    return (target + rest, kind[identity] if kind is ids.models else "") if target else ("", "")
        is_elsewhere = "://" in source and not source.startswith("file:")
        return (source, "") if is_elsewhere or PROMPT_TAG in row["tags"] else ("", "")

    def _send_version(self, row: dict[str, Any]) -> int:
        """Number of the version on the server; 0 where it cannot be sent."""
        context, identity = self.context, version_identity(row)
        source, model = self._source(row)
        if not source:
            text = f"version {row['version']} of model '{row['name']}' was not sent: nothing is known of its source '{row['source']}'"
            context.findings.problem(f"{text}; it must be a run, a logged model, or an object store that the server knows")
            return 0
        entry = context.state.get("version", identity)
        if not entry.target:
            remember = functools.partial(context.state.put, "version", identity)
            entry = find_or_create(entry, lambda _again: self._find(row, identity), lambda: self._create(row, identity, source, model), remember)
            context.state.put("version", identity, entry)
        key = {"name": row["name"], "version": entry.target}
        sent = json.loads(entry.digest or "{}")
        marks = {tag: checksum(value) for tag, value in row["tags"].items()}
        try:
            for tag, value in row["tags"].items():
                if sent.setdefault("tags", {}).get(tag) != marks[tag]:
                    context.server.call("POST", "model-versions/set-tag", key | {"key": tag, "value": context.ids.translate(value)})
            if row["description"] and sent.get("description") != checksum(row["description"]):
                context.server.call("PATCH", "model-versions/update", key | {"description": row["description"]})
            stage = row["current_stage"] or "None"
            if stage not in ("None", sent.get("stage")):
                content = key | {"stage": stage, "archive_existing_versions": False}
                context.server.call("POST", "model-versions/transition-stage", content)
        except ApiError as error:
            if error.code != "RESOURCE_DOES_NOT_EXIST":
                raise
            context.findings.note(f"version {entry.target} of model '{row['name']}' was deleted on the server: left alone")
            return 0
        entry.digest = json.dumps({"tags": marks, "description": checksum(row["description"]), "stage": stage})
        context.state.put("version", identity, entry)
        return int(entry.target)

    def _find(self, row: dict[str, Any], identity: str) -> Entry | None:
        condition = f"name = {literal(row['name'])}"
        if PROMPT_TAG in row["tags"]:  # a search without this leaves prompts out
            condition += f" AND tags.`{PROMPT_TAG}` = 'true'"
        for version in self.context.server.pages("GET", "model-versions/search", {"filter": condition, "max_results": 1000}, "model_versions"):
            if any(tag["key"] == VERSION_TAG and tag.get("value") == identity for tag in version.get("tags", [])):
                return Entry(target=str(version["version"]))
        return None

    def _create(self, row: dict[str, Any], identity: str, source: str, model: str) -> Entry:
        context = self.context
        content = {"name": row["name"], "source": source, "tags": as_pairs(row["tags"] | {VERSION_TAG: identity}), "description": row["description"] or ""}
        run = context.ids.runs.get(row["run_id"] or "")
        content |= {key: value for key, value in (("run_id", run), ("model_id", model)) if value}
        version = context.server.call("POST", "model-versions/create", content, repeatable=False)["model_version"]["version"]
        context.findings.add("model versions")
        marks = {tag: checksum(value) for tag, value in row["tags"].items()}
        return Entry(target=str(version), digest=json.dumps({"tags": marks, "description": checksum(row["description"])}))

    def _send_alias(self, name: str, alias: str, number: int, model: dict[str, Any]) -> None:
        """Move an alias once; what somebody does with it on the server later stays."""
        state = self.context.state
        entry = state.get("alias", f"{name} {alias}")
        if entry.target == str(number):
            return
        there = {item["alias"]: str(item["version"]) for item in model.get("aliases", [])}.get(alias)
        if there and not entry.target and int(there) > number:
            self.context.findings.note(f"alias '{alias}' of model '{name}' is at the newer version {there} on the server: left there")
        elif there != str(number):
            self.context.server.call("POST", "registered-models/alias", {"name": name, "alias": alias, "version": str(number)})
            self.context.findings.add("aliases")
        state.put("alias", f"{name} {alias}", Entry(target=str(number)))
