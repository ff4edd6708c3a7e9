#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_server_users
short_description: Users and keys of a Ceph RADOS gateway, as data
version_added: 0.1.0
description:
  - Makes S3 users of the RADOS gateway on this machine with the keys given, through C(radosgw-admin metadata put), which reads from its
    standard input. C(radosgw-admin user create) wants the secret key as an argument, where every user of the machine can read it.
  - Users that are not listed are left alone.
author: labtrack contributors (@labtrack)
options:
  users:
    description: The users.
    type: list
    elements: dict
    required: true
    suboptions:
      uid:
        description: Name of the user in Ceph.
        type: str
        required: true
      access_key:
        description: The S3 access key. Other keys of the user are removed, unless O(keep_other_keys).
        type: str
        required: true
      secret_key:
        description: The S3 secret key.
        type: str
        required: true
      display_name:
        description: Name for people; the O(users[].uid) when empty.
        type: str
        default: ''
  keep_other_keys:
    description: Whether keys that are not named stay, while a key is replaced. A new one then needs another O(users[].access_key).
    type: bool
    default: false
  timeout_seconds:
    description: How long a call of C(radosgw-admin) may take; it waits for ever on a cluster that is down.
    type: int
    default: 60
attributes:
  check_mode:
    description: Predicts which users would change.
    support: full
  diff_mode:
    description: Shows names, never keys.
    support: full
"""

EXAMPLES = r"""
- name: Make the user of MLflow
  labtrack.mlflow.s3_server_users:
    users:
      - uid: mlflow
        access_key: "{{ site_s3_access_key }}"
        secret_key: "{{ site_s3_secret_key }}"
  no_log: true
"""

RETURN = r"""
created:
  description: Users that were (or would be) made.
  returned: success
  type: list
  elements: str
  sample: [mlflow]
updated:
  description: Users whose key or display name was (or would be) changed.
  returned: success
  type: list
  elements: str
  sample: []
"""

import subprocess

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_server import ServerError, Users


def apply(users, wanted, check, keep_other_keys=False):
    """Bring each user to what is wanted; the module's result."""
    result = {"created": [], "updated": []}
    for user in wanted:
        found = users.get(user["uid"])
        entry = users.plan(found, user, keep_other_keys)
        if entry is not None:
            result["updated" if found else "created"].append(user["uid"])
            if not check:
                users.put(user["uid"], entry)
    before = {"users": [user["uid"] for user in wanted if user["uid"] not in result["created"]], "keys_outdated": result["updated"]}
    after = {"users": [user["uid"] for user in wanted], "keys_outdated": []}
    return {"changed": before != after, "diff": {"before": before, "after": after}, **result}


def main():
    """Module entry point."""
    text = {"type": "str", "required": True}
    module = AnsibleModule(
        argument_spec={
            "users": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "uid": text,
                    "access_key": {**text, "no_log": False},
                    "secret_key": {**text, "no_log": True},
                    "display_name": {"type": "str", "default": ""},
                },
            },
            "keep_other_keys": {"type": "bool", "default": False, "no_log": False},
            "timeout_seconds": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )

    def run(command, data):
        try:
            done = subprocess.run(command, input=data, capture_output=True, text=True, check=False, timeout=module.params["timeout_seconds"])
        except subprocess.TimeoutExpired:
            return 124, "", f"no answer in {module.params['timeout_seconds']} s; is the cluster up ('ceph -s')?"
        except FileNotFoundError:
            return 127, "", "the program is not installed"
        return done.returncode, done.stdout, done.stderr

    try:
        module.exit_json(**apply(Users(run), module.params["users"], module.check_mode, module.params["keep_other_keys"]))
    except ServerError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
