#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_doctor
short_description: Find out what an S3 store can do, and which settings boto3 and MLflow need for it
version_added: 0.1.0
description:
  - Tries put, multipart upload, get, ranged get, list in pages, batch delete, presigned put and get, policy, lifecycle and versioning over the
    real endpoint, with the boto3 that MLflow will use, in both of boto3's checksum modes.
  - Works in a bucket of its own (C(<bucket>-doctor-<random>)), which it removes in the end, also after a failure. Where the key may not make buckets, it
    tries objects below C(.labtrack/) in the bucket that exists, and does not try what would change that bucket.
  - Reports no change, because nothing remains. A store that MLflow cannot use is a failure of the module.
author: labtrack contributors (@labtrack)
extends_documentation_fragment:
  - labtrack.mlflow.s3
  - labtrack.mlflow.s3.python
attributes:
  check_mode:
    description: Can run in C(check_mode).
    support: partial
    details: Looks at connection and key only, and returns no verdict.
  diff_mode:
    description: Nothing changes.
    support: none
"""

EXAMPLES = r"""
- name: Ask the S3 doctor
  labtrack.mlflow.s3_doctor:
    endpoint: https://object-arbutus.alliancecan.ca
    access_key: "{{ site_s3_access_key }}"
    secret_key: "{{ site_s3_secret_key }}"
    region: RegionOne
    bucket: lab-mlflow
    python: /opt/labtrack/mlflow/main/current/bin/python
  register: __doctor
"""

RETURN = r"""
usable:
  description: Whether MLflow can work with the store.
  returned: success
  type: bool
  sample: true
capabilities:
  description: What works; null where it could not be tried.
  returned: success
  type: dict
  sample: {batch_delete: true, versioning: true, policy: null}
settings:
  description: Settings that this store needs.
  returned: success
  type: dict
  sample:
    request_checksum_calculation: when_required
    response_checksum_validation: when_required
    addressing_style: path
    batch_delete: true
    region: us-east-1
findings:
  description: What does not work, in plain words.
  returned: always
  type: list
  elements: str
  sample: ["Everything that MLflow uses works."]
seconds:
  description: How long each check took.
  returned: success
  type: dict
  sample: {put_get_when_supported: 0.05}
versions:
  description: Versions of boto3 and botocore that were used.
  returned: success
  type: dict
  sample: {boto3: 1.44.5, botocore: 1.44.5}
clock_skew_seconds:
  description: How far this machine's clock is ahead of the store's; null when the store does not tell.
  returned: success
  type: float
  sample: 0.4
version:
  description: Version of the checks; a record of an older one is outdated.
  returned: success
  type: int
  sample: 1
"""

from ansible_collections.labtrack.mlflow.plugins.module_utils import _s3_probe, _s3_python
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_arguments import CONNECTION, PYTHON, connection, module_for, visible
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_bucket_state import state
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_http import Reader, StoreError
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_messages import explain
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_verdict import DOCTOR_VERSION, judge


def examine(params, check):
    """Connection and key first, then the probe; the module's result."""
    reader = Reader(params["endpoint"], params["access_key"], params["secret_key"], params["region"], params["ca_file"])
    found = state(reader, params["bucket"])
    result = {"changed": False, "clock_skew_seconds": reader.clock_skew_seconds, "version": DOCTOR_VERSION, "findings": []}
    if check:
        return result
    exists = found["status"] in ("empty", "unmarked", "marked")
    probe = _s3_python.run(params["python"], _s3_probe, {**connection(params), "bucket_exists": exists}, params["timeout_seconds"])
    return {**result, **judge(probe, params["region"])}


def main():
    """Module entry point."""
    module = module_for({**CONNECTION, **PYTHON})
    try:
        result = examine(module.params, module.check_mode)
    except StoreError as error:
        message = explain(error.kind, error.detail, visible(module.params), module.params["variable_names"])
        module.fail_json(msg=message, kind=error.kind, findings=[message])
    if not result.get("usable", True):
        module.fail_json(msg="MLflow cannot use this store. " + " ".join(result["findings"]), kind="unusable", **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
