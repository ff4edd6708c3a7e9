# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring deleted or overwritten objects back from the versions that the bucket keeps.

Nothing is lost by it: an object that was overwritten becomes a version itself, one that was written after the wanted time stays.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import references
from places import Root
from stores import S3Store, open_store

LIST = 100
PLACES = {
    "run": "select artifact_uri, lifecycle_stage from runs where run_uuid = %s",
    "logged_model": "select artifact_location, lifecycle_stage from logged_models where model_id = %s",
    "experiment": "select artifact_location, lifecycle_stage from experiments where experiment_id::text = %s",
    "trace": "select value, 'active' from trace_tags where request_id = %s and key = 'mlflow.artifactLocation'",
}


class RecoverError(Exception):
    """It cannot be brought back; the message says why."""


def moment(text: str) -> float:
    """A time as ISO 8601, UTC where it names no zone, in seconds of the epoch."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise RecoverError(f"until is '{text}': it is no time. Accepted: such as 2026-11-30T14:05:00Z.") from error
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def versions(store: S3Store, prefix: str) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """(key, its versions and deletion marks, the newest first) below the prefix."""
    waiting: dict[str, list[dict[str, Any]]] = {}
    for page in store.client.get_paginator("list_object_versions").paginate(Bucket=store.root.bucket, Prefix=prefix):
        found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        for entry in found:
            waiting.setdefault(entry["Key"], []).append(entry)
        last = max((entry["Key"] for entry in found), default="")
        for key in sorted(key for key in waiting if key < last):
            yield key, _newest_first(waiting.pop(key))
    for key in sorted(waiting):
        yield key, _newest_first(waiting[key])


def _newest_first(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """In the order in which they were written. The store says which is the latest; seconds may be equal, but marks come after what they hide."""
    return sorted(found, key=lambda entry: (entry["IsLatest"], entry["LastModified"], "Size" not in entry), reverse=True)


def wanted(found: list[dict[str, Any]], until: float | None) -> dict[str, Any] | None:
    """The version to bring back; None where what is there is right."""
    if until is None:
        return next((entry for entry in found if "Size" in entry), None) if "Size" not in found[0] else None
    then = next((entry for entry in found if entry["LastModified"].timestamp() <= until), None)
    return then if then and "Size" in then and not then["IsLatest"] else None


def bring_back(store: S3Store, key: str, found: list[dict[str, Any]], version: dict[str, Any]) -> None:
    """Take away the marks that hide it, or copy it over what is there."""
    above = found[: found.index(version)]
    if all("Size" not in entry for entry in above):
        for mark in above:
            store.client.delete_object(Bucket=store.root.bucket, Key=key, VersionId=mark["VersionId"])
        return
    source = {"Bucket": store.root.bucket, "Key": key, "VersionId": version["VersionId"]}
    store.client.copy(source, store.root.bucket, key)


def places(request: dict[str, Any], root: Root) -> tuple[list[str], str]:
    """(prefixes, what the database says of it)."""
    if request.get("prefix"):
        return [request["prefix"]], ""
    if request.get("kind") not in PLACES or not request.get("id"):
        raise RecoverError("Nothing is named. Accepted: a prefix, or kind (run, logged_model, experiment, trace) and id.")
    with references.snapshot(request["tracking_uri"]) as connection, connection.cursor() as cursor:
        cursor.execute(PLACES[request["kind"]], [str(request["id"])])
        row = cursor.fetchone()
    if row is None:
        raise RecoverError(f"{request['kind']} '{request['id']}' is not in the database. Restore the database beside, or name the prefix.")
    key = root.key(row[0] or "")
    if not key:
        raise RecoverError(f"The artifacts of {request['kind']} '{request['id']}' are elsewhere: {row[0]}.")
    return [f"{key}/"], row[1]


def recover(request: dict[str, Any]) -> dict[str, Any]:
    """`request`: prefix, or kind and id; until; apply.

    Without `until` what is deleted comes back as it was last; with it, everything that was there at that time comes back as it was then.
    """
    root = Root.parse(request["root"])
    store = open_store(root)
    if not isinstance(store, S3Store) or not store.versioned():
        raise SystemExit(f"{root.uri} keeps no versions: nothing can be brought back here. Take the files from the copy of the artifacts.")
    try:
        until = moment(request["until"]) if request.get("until") else None
        prefixes, stage = places(request, root)
    except RecoverError as error:
        raise SystemExit(str(error)) from error
    began, failed = time.time(), []
    report: dict[str, Any] = {"root": root.uri, "prefixes": prefixes, "stage": stage, "until": request.get("until") or "", "apply": bool(request.get("apply"))}
    report |= {"looked_at": 0, "objects": 0, "bytes": 0, "list": []}
    for prefix in prefixes:
        for key, found in versions(store, prefix):
            report["looked_at"] += 1
            version = wanted(found, until)
            if not version:
                continue
            if report["apply"]:
                try:
                    bring_back(store, key, found, version)
                except store.client.exceptions.ClientError as error:
                    failed.append({"key": key, "reason": str(error)})
                    continue
            report["objects"] += 1
            report["bytes"] += version["Size"]
            if len(report["list"]) < LIST:
                why = "deleted" if "Size" not in found[0] else "overwritten"
                report["list"].append({"key": key, "size": version["Size"], "written": version["LastModified"].strftime("%Y-%m-%dT%H:%M:%SZ"), "was": why})
    return {**report, "failed": failed[:LIST], "failures": len(failed), "seconds": round(time.time() - began, 1)}
