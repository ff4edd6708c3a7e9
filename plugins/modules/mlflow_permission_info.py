#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_permission_info
short_description: What a person may do in MLflow, by every way
version_added: 0.1.0
description: Changes nothing, and does not fail where there is none.
author: labtrack contributors (@labtrack)
extends_documentation_fragment: [labtrack.mlflow.mlflow, labtrack.mlflow.attributes.info]
options:
  user:
    description: Whose permissions.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Look
  labtrack.mlflow.mlflow_permission_info:
    tracking_uri: https://mlflow.lab.example
    credentials_file: ~/.mlflow/credentials
    user: ana
  register: __found
"""

RETURN = r"""
is_admin:
  description: Whether the person may do everything.
  returned: success
  type: bool
  sample: false
permissions:
  description: All permissions by roles, and C(own) ones that the person has by ownership or was given directly.
  returned: success
  type: list
  elements: dict
  sample: [{role: imaging, own: false, resource_type: experiment, name: cells, permission: EDIT}]
"""

from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_state import OWN_ROLE, Grant, read
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_arguments import run


def work(module, api):
    """Read them."""
    name = module.params["user"]
    answer = api.found("GET", "users/permissions/list", query={"username": name}, version="3.0") or {"is_admin": False, "permissions": []}
    state = read(api)
    rows = []
    for row in answer["permissions"]:
        grant = Grant(0, row["resource_type"], row["resource_pattern"], row["permission"])
        own = bool(OWN_ROLE.fullmatch(row["role_name"]))
        shown = {"resource_type": grant.resource_type, "name": state.name_of(grant), "permission": grant.permission}
        rows.append({"role": "" if own else row["role_name"], "own": own, **shown})
    return {"changed": False, "is_admin": answer["is_admin"], "permissions": rows}


def main():
    """Module entry point."""
    run(work, {"user": {"type": "str", "required": True}})


if __name__ == "__main__":
    main()
