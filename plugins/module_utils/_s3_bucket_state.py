# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bucket is: absent, ours, empty, somebody else's; and how it is configured. Reads only."""

from __future__ import annotations

import json
import typing as t
from xml.etree import ElementTree

from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_http import Answer, StoreError

MARKER = ".labtrack/site.json"
RULES = {"labtrack-noncurrent": "noncurrent_days", "labtrack-abort-multipart": "abort_multipart_days"}


class Client(t.Protocol):
    """What is needed of a client."""

    def get(self, path: str, query: dict[str, str] | None = None) -> Answer:
        """GET."""


def local(element: ElementTree.Element) -> str:
    """Tag without its namespace."""
    return element.tag.rpartition("}")[2]


def texts(body: bytes, name: str) -> list[str]:
    """Texts of all elements with that name.

    Raises:
        StoreError: what answered speaks no XML.
    """
    try:
        return [element.text or "" for element in ElementTree.fromstring(body).iter() if local(element) == name]
    except ElementTree.ParseError as error:
        raise StoreError("not_s3", f"no XML: {error}") from error


def lifecycle(body: bytes) -> dict[str, int]:
    """Days of our own lifecycle rules, by the name of the option. Swift, which has none, answers with a list of objects, perhaps a long one."""
    days: dict[str, int] = {}
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError:
        return days
    for rule in root if local(root) == "LifecycleConfiguration" else []:
        found = {local(element): element.text or "" for element in rule.iter()}
        if found.get("ID") in RULES and found.get("Status") == "Enabled":
            value = found.get("NoncurrentDays") or found.get("DaysAfterInitiation") or "0"
            days[RULES[found["ID"]]] = int(value)
    return days


def state(client: Client, bucket: str) -> dict[str, t.Any]:
    """State of the bucket.

    `status` is `absent`, `denied` (another account's, or no right to list), `empty`, `unmarked` (objects, but no marker) or `marked`;
    `marker` is the content of the marker.

    Raises:
        StoreError: the store cannot be used at all.
    """
    listing = client.get(f"/{bucket}", {"list-type": "2", "max-keys": "2"})
    if listing.code == "NoSuchBucket":
        return {"status": "absent", "marker": {}}
    if listing.status in (301, 307):
        raise StoreError("redirect", f"status {listing.status}")
    if listing.status == 403:
        return {"status": "denied", "marker": {}}
    if listing.status != 200:
        raise StoreError("server", f"status {listing.status} {listing.code}")
    keys = texts(listing.body, "Key")
    found = client.get(f"/{bucket}/{MARKER}")
    if found.status == 200:
        try:
            marker = json.loads(found.body)
        except ValueError:
            marker = {}
        return {"status": "marked", "marker": marker if isinstance(marker, dict) else {}}
    return {"status": "unmarked" if keys else "empty", "marker": {}}


def configuration(client: Client, bucket: str, without_lifecycle: bool = False) -> dict[str, t.Any]:
    """How the bucket is configured, as far as the store tells: versioning, our lifecycle rules, the policy."""
    versioning, policy = (client.get(f"/{bucket}", {what: ""}) for what in ("versioning", "policy"))
    rules = Answer(404, {}, b"") if without_lifecycle else client.get(f"/{bucket}", {"lifecycle": ""})
    try:
        text = json.loads(policy.body) if policy.status == 200 and policy.body else {}
    except ValueError:
        text = {}
    return {
        "versioning": versioning.status == 200 and "Enabled" in texts(versioning.body, "Status"),
        "lifecycle": lifecycle(rules.body) if rules.status == 200 else {},
        "policy": text,
    }


def verdict(found: dict[str, t.Any], site: str, instance: str, adopt: bool) -> str:
    """Whether this site may use the bucket: empty, or why it may not: V(denied), V(other_site), V(unmarked)."""
    if found["status"] == "denied":
        return "denied"
    if found["status"] == "marked":
        marker = found["marker"]
        return "" if (marker.get("site"), marker.get("instance")) == (site, instance) else "other_site"
    return "unmarked" if found["status"] == "unmarked" and not adopt else ""
