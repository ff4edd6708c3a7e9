# Kept by labtrack.mlflow.monitoring.
# SPDX-License-Identifier: GPL-3.0-or-later
"""Count the objects of the bucket, for node exporter's textfile collector: labtrack_bucket.prom.

usage: bucket_metrics.py CONFIG      with the boto3 of MLflow's release, and MLflow's S3 settings in the environment

CONFIG is JSON: metrics_dir, bucket, requests_max. Ceph's gateway tells its own counters in one request (HEAD with `read-stats`). Other stores are listed,
1000 objects a request, at most requests_max requests: then labtrack_bucket_count_complete is 0 and the numbers are those of the part that was seen.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import textfile

COUNTERS = ("x-rgw-object-count", "x-rgw-bytes-used")


def client() -> Any:
    """As MLflow makes its own: endpoint, CA, checksums and addressing style come from the environment."""
    import boto3
    from botocore.config import Config

    style = os.environ.get("MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE", "auto")
    config = Config(s3={"addressing_style": style}, connect_timeout=10, read_timeout=60, retries={"max_attempts": 3})
    return boto3.client("s3", endpoint_url=os.environ.get("MLFLOW_S3_ENDPOINT_URL") or None, config=config)


def _ask_for_counters(params: dict[str, Any], **_others: Any) -> None:
    params["url"] += ("&" if "?" in params["url"] else "?") + "read-stats=true"


def counters(s3: Any, bucket: str) -> tuple[int, int] | None:
    """Objects and bytes as the store counts them; None where it does not tell."""
    s3.meta.events.register("before-call.s3.HeadBucket", _ask_for_counters)
    headers = s3.head_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPHeaders"]
    return (int(headers[COUNTERS[0]]), int(headers[COUNTERS[1]])) if all(name in headers for name in COUNTERS) else None


def listed(s3: Any, bucket: str, requests_max: int) -> tuple[int, int, bool]:
    """Objects, bytes, and whether all were seen."""
    objects = size = 0
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    for number, page in enumerate(pages, start=1):
        objects += page.get("KeyCount", 0)
        size += sum(entry["Size"] for entry in page.get("Contents", []))
        if number >= requests_max and page.get("IsTruncated"):
            return objects, size, False
    return objects, size, True


def report(objects: int, size: int, complete: bool, method: str) -> str:
    """The text of the file."""
    return (
        textfile.metric("labtrack_bucket_objects", "Objects in the bucket; with a store's own counters, older versions count.", [({}, objects)])
        + textfile.metric("labtrack_bucket_bytes", "Their size.", [({}, size)])
        + textfile.metric("labtrack_bucket_count_complete", "Whether all were counted.", [({"method": method}, int(complete))])
    )


def main(arguments: list[str]) -> int:
    """Entry point."""
    config = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    s3 = client()
    told = counters(s3, config["bucket"])
    objects, size, complete = (*told, True) if told else listed(s3, config["bucket"], config["requests_max"])
    textfile.write(Path(config["metrics_dir"]) / "labtrack_bucket.prom", report(objects, size, complete, "counters" if told else "list"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
