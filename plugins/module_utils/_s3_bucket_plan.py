# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be done to a bucket, and whether the record of the last examination still holds."""

from __future__ import annotations

import hashlib
import json
import typing as t

from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_bucket_state import configuration, state, verdict
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_http import Reader
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_policy import problems
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_verdict import DOCTOR_VERSION

OPTIONS: dict[str, dict[str, t.Any]] = {
    "site": {"type": "str", "required": True},
    "instance": {"type": "str", "default": "main"},
    "adopt": {"type": "bool", "default": False},
    "lost": {"type": "bool", "default": False},
    "versioning": {"type": "bool", "default": True},
    "noncurrent_days": {"type": "int", "default": 30},
    "abort_multipart_days": {"type": "int", "default": 3},
    "policy": {"type": "dict", "default": {}},
}
REFUSALS = {
    "denied": "{name} is '{bucket}': the store does not let this key see it; another account may own it. Accepted: a bucket of the key's own project. "
    "Names are shared by all users of a store: choose another one.",
    "other_site": "{name} is '{bucket}': it belongs to the site '{site}', instance '{instance}', as its object .labtrack/site.json says. "
    "Accepted: a bucket of this site. Choose another name; if that site is gone for good, delete that object yourself.",
    "unmarked": "{name} is '{bucket}': it has objects, but not from this site. Accepted: a new, empty or own bucket. Choose another name; if MLflow may use "
    "and expire what is in it, set object_store_bucket_adopt: true.",
}
LOST = (
    "{name} is '{bucket}': the store does not have it any more, and this site has worked with it; a new one would be empty, without any artifact. Accepted: "
    "the bucket with its objects. Ask the store's operators, or restore a copy; if it may begin empty, add -e object_store_lost_bucket_enabled=true."
)
NO_POLICIES = "{policy} is given: the store has no bucket policies, as the doctor found. Accepted for this store: an empty one. Remove it."


def fingerprint(params: dict[str, t.Any], boto3_version: str) -> str:
    """Hash of what the doctor's verdict depends on. The secret key is not part of it."""
    authorities = ""
    if params["ca_file"]:
        try:
            with open(params["ca_file"], encoding="utf-8", errors="replace") as file:
                authorities = file.read()
        except OSError:
            pass
    parts = [params["endpoint"], params["region"], params["access_key"], authorities, boto3_version, DOCTOR_VERSION]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def read_record(path: str) -> dict[str, t.Any]:
    """The record, or an empty one."""
    try:
        with open(path, encoding="utf-8") as file:
            record = json.load(file)
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def lost(params: dict[str, t.Any], record: dict[str, t.Any], status: str) -> str:
    """Why a bucket that is not there is not made: the record says that this site had it."""
    had = (record.get("bucket"), record.get("endpoint")) == (params["bucket"], params["endpoint"])
    if status != "absent" or not had or params["lost"]:
        return ""
    return LOST.format(name=params["variable_names"].get("bucket", "bucket"), bucket=params["bucket"])


def wanted_lifecycle(params: dict[str, t.Any], capabilities: dict[str, t.Any]) -> dict[str, int]:
    """Days of our rules, as far as the store can; 0 days means no rule."""
    days = {
        "noncurrent_days": params["noncurrent_days"] if capabilities.get("lifecycle_noncurrent") is not False else 0,
        "abort_multipart_days": params["abort_multipart_days"] if capabilities.get("lifecycle_abort_multipart") is not False else 0,
    }
    return {name: value for name, value in days.items() if value > 0}


def plan(params: dict[str, t.Any], status: str, found: dict[str, t.Any], capabilities: dict[str, t.Any]) -> dict[str, t.Any]:
    """Actions by name, with what each needs, in the order in which they are done."""
    if params.get("state") == "absent":
        return {} if status == "absent" else {"delete": True}
    actions: dict[str, t.Any] = {}
    if status == "absent":
        actions["create"] = True
    if status != "marked":
        actions["mark"] = {"site": params["site"], "instance": params["instance"]}
    if params["versioning"] and capabilities.get("versioning") is not False and not found["versioning"]:
        actions["versioning"] = True
    lifecycle = wanted_lifecycle(params, capabilities)
    if lifecycle != found["lifecycle"]:
        actions["lifecycle"] = lifecycle
    if params["policy"] and params["policy"] != found["policy"]:
        actions["policy"] = params["policy"]
    return actions


def look(params: dict[str, t.Any], capabilities: dict[str, t.Any]) -> dict[str, t.Any]:
    """Status of the bucket, why it is refused, what has to be done. Reads only.

    Raises:
        StoreError: the store cannot be used.
    """
    reader = Reader(params["endpoint"], params["access_key"], params["secret_key"], params["region"], params["ca_file"])
    found = state(reader, params["bucket"])
    reason = verdict(found, params["site"], params["instance"], params["adopt"])
    marker = {"site": "?", "instance": "?", **found["marker"]}
    names = {"bucket": "bucket", "policy": "policy", **params["variable_names"]}
    values = {"name": names["bucket"], "bucket": params["bucket"], "site": marker["site"], "instance": marker["instance"]}
    refusal = REFUSALS[reason].format(**values) if reason else ""
    if params["policy"] and not refusal and capabilities.get("policy") is False:
        refusal = NO_POLICIES.format(**names)
    if params["policy"] and not refusal:
        refusal = "; ".join(problems(params["policy"], params["bucket"]))
        refusal = refusal and f"{names['policy']} is refused: {refusal}. Accepted: a policy for this bucket that names whom it allows what. Change it."
    exists = found["status"] in ("empty", "unmarked", "marked")
    no_rules = all(capabilities.get(name) is False for name in ("lifecycle_noncurrent", "lifecycle_abort_multipart"))
    config = configuration(reader, params["bucket"], no_rules) if exists and not refusal else {"versioning": False, "lifecycle": {}, "policy": {}}
    pending = {} if refusal else plan(params, found["status"], config, capabilities)
    return {"status": found["status"], "refusal": refusal, "pending": pending, "clock_skew_seconds": reader.clock_skew_seconds}
