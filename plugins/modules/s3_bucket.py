#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_bucket
short_description: A bucket that belongs to one site, with versioning, lifecycle and policy
version_added: 0.1.0
description:
  - Makes the bucket and marks it with the object C(.labtrack/site.json). A bucket of another account, of another site, or with objects but
    without marker is refused; P(amazon.aws.s3_bucket#module) adopts what it finds.
  - Writes with the boto3 of the interpreter given; reads without boto3, so that a run without changes does not load it.
  - A policy is tried after it was put; when the key can no longer put, get, list and delete, the earlier policy is put back.
  - Lifecycle rules of others stay. Nothing is deleted, unless O(state=absent).
author: labtrack contributors (@labtrack)
extends_documentation_fragment:
  - labtrack.mlflow.s3
  - labtrack.mlflow.s3.python
  - labtrack.mlflow.s3.bucket
options:
  state:
    description:
      - V(absent) deletes the bucket with all versions of all objects, and unfinished uploads. A bucket of another site is refused; so is one without marker,
        unless O(adopt=true). The marker goes last, so that an interrupted run is repeated. O(timeout_seconds) has to be long enough for all objects.
    type: str
    choices: [present, absent]
    default: present
  capabilities:
    description: What M(labtrack.mlflow.s3_doctor) found; what the store cannot do is left out.
    type: dict
    default: {}
attributes:
  check_mode:
    description: Predicts what would be done.
    support: full
  diff_mode:
    description: Shows what is done.
    support: full
"""

EXAMPLES = r"""
- name: Make the bucket
  labtrack.mlflow.s3_bucket:
    endpoint: https://object-arbutus.alliancecan.ca
    access_key: "{{ site_s3_access_key }}"
    secret_key: "{{ site_s3_secret_key }}"
    bucket: lab-mlflow
    site: lab
    python: /opt/labtrack/mlflow/main/current/bin/python

- name: Delete the bucket with all that is in it
  labtrack.mlflow.s3_bucket:
    endpoint: https://object-arbutus.alliancecan.ca
    access_key: "{{ site_s3_access_key }}"
    secret_key: "{{ site_s3_secret_key }}"
    bucket: lab-mlflow
    site: lab
    python: "{{ ansible_playbook_python }}"
    state: absent
    timeout_seconds: 86400
  delegate_to: localhost
"""

RETURN = r"""
done:
  description: What was (or would be) done.
  returned: always
  type: list
  elements: str
  sample: [create, mark, versioning, lifecycle]
unsupported:
  description: What the store refused as not implemented or not allowed.
  returned: always
  type: list
  elements: str
  sample: []
deleted:
  description: How many objects, their earlier versions included, were deleted with the bucket.
  returned: success
  type: int
  sample: 0
"""

from ansible_collections.labtrack.mlflow.plugins.module_utils import _s3_bucket_actions, _s3_python
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_arguments import CONNECTION, PYTHON, connection, module_for, visible
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_bucket_plan import OPTIONS, look
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_http import StoreError
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_messages import explain


def apply(module):
    """Look, and do what is pending; the module's result."""
    params = module.params
    found = look(params, params["capabilities"])
    if found["refusal"]:
        module.fail_json(msg=found["refusal"], done=[], unsupported=[])
    result = {"done": list(found["pending"]), "unsupported": [], "failed": "", "error": "", "deleted": 0}
    if found["pending"] and not module.check_mode:
        result = _s3_python.run(params["python"], _s3_bucket_actions, {**connection(params), "actions": found["pending"]}, params["timeout_seconds"])
    if result["failed"]:
        values = {"name": params["variable_names"].get("bucket", "bucket"), "bucket": params["bucket"], "step": result["failed"], "error": result["error"]}
        message = "{name} is '{bucket}': the step '{step}' failed: {error}. Accepted: a key that may do this. Correct it and run again."
        module.fail_json(msg=message.format(**values), done=result["done"], unsupported=result["unsupported"])
    before = dict.fromkeys(result["done"])
    after = {name: found["pending"][name] for name in result["done"]}
    module.exit_json(
        changed=bool(result["done"]), done=result["done"], unsupported=result["unsupported"], deleted=result["deleted"], diff={"before": before, "after": after}
    )


def main():
    """Module entry point."""
    own = {"capabilities": {"type": "dict", "default": {}}, "state": {"type": "str", "choices": ["present", "absent"], "default": "present"}}
    module = module_for({**CONNECTION, **PYTHON, **OPTIONS, **own})
    try:
        apply(module)
    except StoreError as error:
        message = explain(error.kind, error.detail, visible(module.params), module.params["variable_names"])
        module.fail_json(msg=message, kind=error.kind, done=[], unsupported=[])


if __name__ == "__main__":
    main()
