# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the results of the probe to the settings that this store needs."""

from __future__ import annotations

import re
import typing as t

DOCTOR_VERSION = 3
CAPABILITIES = [
    "create_bucket",
    "ranged_get",
    "list",
    "batch_delete",
    "parts_10000",
    "presigned",
    "policy",
    "versioning",
    "lifecycle_noncurrent",
    "lifecycle_abort_multipart",
    "addressing_virtual",
]
MODES = ("when_supported", "when_required")
# without these MLflow does not work
REQUIRED = {"ranged_get": "read a part of an object", "list": "list objects in pages"}
OPTIONAL = {
    "batch_delete": "It cannot delete several objects in one call: 'mlflow gc' needs single deletes.",
    "parts_10000": "An upload may not have 10,000 parts: artifacts of many GB may not fit.",
    "presigned": "Presigned links do not work: artifacts have to pass through the tracking server.",
    "policy": "It has no bucket policies: object_store_bucket_policy cannot be used.",
    "versioning": "It keeps no versions: a deleted artifact cannot be brought back.",
    "lifecycle_noncurrent": "It cannot expire old versions: with versioning, what was deleted or overwritten fills the bucket.",
    "lifecycle_abort_multipart": "It cannot remove unfinished uploads: they fill the bucket.",
    "create_bucket": "The key may not make buckets: versioning, lifecycle and policy could not be tried.",
}


def why(result: dict[str, t.Any]) -> str:
    """Cause in brackets."""
    cause = result.get("code") or result.get("error") or ""
    detail = re.sub(r"^An error occurred \(.*?\) when calling the .*? operation: ", "", result.get("detail", "")).rstrip(".")
    return f" ({cause}: {detail})" if cause and detail else ""


def checksum_mode(results: dict[str, dict[str, t.Any]]) -> str:
    """The best mode in which small and large objects come back as they were; empty when none does."""
    for mode in MODES:
        if all(results.get(f"{check}_{mode}", {}).get("ok") for check in ("put_get", "multipart")):
            return mode
    return ""


def judge(probe: dict[str, t.Any], region: str) -> dict[str, t.Any]:
    """Capabilities, settings, findings in plain words, seconds of each check."""
    results = probe["results"]
    mode = checksum_mode(results)
    capabilities = {name: results[name]["ok"] if name in results else None for name in CAPABILITIES}
    findings = []
    usable = bool(mode) and all(capabilities[name] for name in REQUIRED)
    if not mode:
        failed = next((result for name, result in results.items() if name.startswith(("put_get", "multipart", "create_bucket")) and not result["ok"]), {})
        findings.append(f"Objects cannot be written and read back in any checksum mode{why(failed)}.")
    elif mode != MODES[0] and f"put_get_{MODES[0]}" in results:
        failed = next(results[f"{check}_{MODES[0]}"] for check in ("put_get", "multipart") if not results[f"{check}_{MODES[0]}"]["ok"])
        findings.append(f"It does not know the checksums that boto3 sends by default{why(failed)}: they are sent when_required only.")
    findings += [f"It cannot {text}{why(results[name])}." for name, text in REQUIRED.items() if capabilities[name] is False]
    lacks = [name for name in OPTIONAL if capabilities[name] is False]
    if "versioning" in lacks and "lifecycle_noncurrent" in lacks:
        lacks.remove("lifecycle_noncurrent")  # there are no old versions
    findings += [f"{OPTIONAL[name][:-1]}{why(results[name])}." for name in lacks]
    if results.get("clean_up", {}).get("ok") is False:
        findings.append(f"The objects of the probe could not be removed{why(results['clean_up'])}: look for a bucket with '-doctor-' in its name.")
    return {
        "usable": usable,
        "capabilities": capabilities,
        "settings": {
            "request_checksum_calculation": mode or MODES[1],
            "response_checksum_validation": mode or MODES[1],
            "addressing_style": "path",
            "batch_delete": bool(capabilities["batch_delete"]),
            "region": region,
        },
        "findings": findings or ["Everything that MLflow uses works."],
        "seconds": {name: result["seconds"] for name, result in results.items()},
        "versions": {name: value for name, value in probe["versions"].items() if name in ("boto3", "botocore")},
    }
