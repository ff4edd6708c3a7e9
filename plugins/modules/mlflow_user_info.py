#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_user_info
short_description: People who can log in to MLflow
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
  labtrack.mlflow.mlflow_user_info:
    tracking_uri: https://mlflow.lab.example
    credentials_file: ~/.mlflow/credentials
    name: ana
  register: __found
"""

RETURN = r"""
users:
  description: The people, without passwords.
  returned: success
  type: list
  elements: dict
  sample: [{name: ana, is_admin: false, roles: [everybody, imaging]}]
"""

from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_state import read_people
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_arguments import run


def work(module, api):
    """Read them."""
    users, roles = read_people(api)
    rows = [
        {"name": name, "is_admin": one.is_admin, "roles": sorted(role.name for role in roles.values() if name in role.members)}
        for name, one in sorted(users.items())
        if module.params["name"] in ("", name)
    ]
    return {"changed": False, "users": rows}


def main():
    """Module entry point."""
    run(work, {"name": {"type": "str", "default": ""}})


if __name__ == "__main__":
    main()
