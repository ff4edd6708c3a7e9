#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_bucket_info
short_description: Read whose an S3 bucket is and what has to be done to it, without boto3
version_added: 0.1.0
description:
  - Works on a bare machine, with Python's standard library - name, port, TLS, access key, secret key and clock are checked by a signed request.
  - Changes nothing. A store that cannot be used is a failure; a bucket that may not be used is reported in RV(refusal).
author: labtrack contributors (@labtrack)
extends_documentation_fragment:
  - labtrack.mlflow.s3
  - labtrack.mlflow.s3.bucket
  - labtrack.mlflow.attributes.info
options:
  python:
    description: Interpreter on the machine whose version of boto3 is wanted. It is not run.
    type: path
    default: ''
  record_file:
    description: File with the last verdict of M(labtrack.mlflow.s3_doctor).
    type: path
    default: ''
"""

EXAMPLES = r"""
- name: Look at the bucket
  labtrack.mlflow.s3_bucket_info:
    endpoint: https://object-arbutus.alliancecan.ca
    access_key: "{{ site_s3_access_key }}"
    secret_key: "{{ site_s3_secret_key }}"
    bucket: lab-mlflow
    site: lab
  register: __bucket
"""

RETURN = r"""
status:
  description: V(absent), V(denied), V(empty), V(unmarked) or V(marked).
  returned: success
  type: str
  sample: marked
refusal:
  description: Why the bucket may not be used, and what to do; empty when it may.
  returned: success
  type: str
  sample: ''
pending:
  description: What M(labtrack.mlflow.s3_bucket) would do.
  returned: success
  type: dict
  sample: {versioning: true}
clock_skew_seconds:
  description: How far this machine's clock is ahead of the store's; null when the store does not tell.
  returned: success
  type: float
  sample: 0.4
boto3_version:
  description: Version of boto3 for that interpreter; empty when there is none.
  returned: success
  type: str
  sample: 1.44.5
fingerprint:
  description: Hash of what the doctor's verdict depends on.
  returned: success
  type: str
  sample: 0b2f…
record:
  description: Content of the record; empty when there is none, or when the endpoint, region, access key, CA, boto3 or the checks changed since.
  returned: success
  type: dict
"""

from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_arguments import CONNECTION, module_for, visible
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_bucket_plan import OPTIONS, fingerprint, look, lost, read_record
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_http import StoreError
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_messages import explain
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_python import boto3_version


def main():
    """Look, and return what was found."""
    paths = {"python": {"type": "path", "default": ""}, "record_file": {"type": "path", "default": ""}}
    module = module_for({**CONNECTION, **OPTIONS, **paths})
    params = module.params
    version = boto3_version(params["python"]) if params["python"] else ""
    mark = fingerprint(params, version)
    recorded = read_record(params["record_file"])
    record = recorded if recorded.get("fingerprint") == mark else {}
    try:
        found = look(params, record.get("capabilities", {}))
    except StoreError as error:
        module.fail_json(msg=explain(error.kind, error.detail, visible(params), params["variable_names"]), kind=error.kind)
    found["refusal"] = found["refusal"] or lost(params, recorded, found["status"])
    module.exit_json(changed=False, boto3_version=version, fingerprint=mark, record=record, **found)


if __name__ == "__main__":
    main()
