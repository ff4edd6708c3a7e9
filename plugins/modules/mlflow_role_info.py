#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_role_info
short_description: Roles of MLflow with members and permissions
version_added: 0.1.0
description: Changes nothing, and does not fail where there is none.
author: labtrack contributors (@labtrack)
extends_documentation_fragment: [labtrack.mlflow.mlflow, labtrack.mlflow.attributes.info]
options:
  name:
    description: Only the one of that name.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Look
  labtrack.mlflow.mlflow_role_info:
    tracking_uri: https://mlflow.lab.example
    credentials_file: ~/.mlflow/credentials
    name: imaging
  register: __found
"""

RETURN = r"""
roles:
  description: The roles, without those that MLflow makes for single people.
  returned: success
  type: list
  elements: dict
  sample:
    - {name: imaging, description: A group., members: [ana, bo], permissions: [{resource_type: experiment, name: cells, permission: EDIT}]}
"""

from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_state import read
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_arguments import run


def work(module, api):
    """Read them."""
    state = read(api)
    rows = [
        {
            "name": role.name,
            "description": role.description,
            "members": sorted(role.members),
            "permissions": [{"resource_type": one.resource_type, "name": state.name_of(one), "permission": one.permission} for one in role.grants],
        }
        for _name, role in sorted(state.roles.items())
        if module.params["name"] in ("", role.name)
    ]
    return {"changed": False, "roles": rows}


def main():
    """Module entry point."""
    run(work, {"name": {"type": "str", "default": ""}})


if __name__ == "__main__":
    main()
