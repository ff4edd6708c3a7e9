#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_role
short_description: A role of MLflow, with its permissions and members
version_added: 0.1.0
description:
  - A role gives all its members the same permissions. Permissions and members that are given are exactly those that the role then has.
author: labtrack contributors (@labtrack)
extends_documentation_fragment: [labtrack.mlflow.mlflow]
options:
  name:
    description: Name of the role. Names that begin with C(__user_) are MLflow's own.
    type: str
    required: true
  description:
    description: A sentence about it; without it the one that is there stays.
    type: str
  permissions:
    description: Its permissions; without them those that are there stay.
    type: list
    elements: dict
    suboptions:
      experiment: {description: "Name of an experiment, or V(*) for all.", type: str}
      registered_model: {description: "Name of a registered model, or V(*).", type: str}
      prompt: {description: "Name of a prompt, or V(*).", type: str}
      permission: {description: "V(READ), V(USE), V(EDIT), V(MANAGE); with MLflow 3.17 also V(DENY).", type: str, required: true}
  members:
    description: Names of its members, who must exist; without them those that are there stay.
    type: list
    elements: str
  state:
    description: Whether the role is there.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Let a group work in an experiment
  labtrack.mlflow.mlflow_role:
    tracking_uri: https://mlflow.lab.example
    credentials_file: ~/.mlflow/credentials
    name: imaging
    members: [ana, bo]
    permissions: [{experiment: cells, permission: EDIT}]
"""

RETURN = r"""
done:
  description: What was done, or would be.
  returned: success
  type: list
  elements: str
  sample: ["add group imaging"]
"""

from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_apply import Applier
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_plan import Step, role_steps
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_state import State, read
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_wanted import (
    RESOURCES,
    Wanted,
    WantedRole,
    check_targets,
    permission_of,
    refuse,
    target_of,
)
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_arguments import STATE, run, told


def wish_of(params, state: State, check: bool) -> WantedRole:
    """The role as it is to be; raises AccessError. In check mode, an earlier task may be what makes a thing or a member."""
    found = state.roles.get(params["name"])
    wish = WantedRole(params["name"], found.description if found else "")
    if params["description"] is not None:
        wish.description = params["description"]
    if params["permissions"] is None:
        wish.grants = {(one.resource_type, state.name_of(one)): one.permission for one in (found.grants if found else [])}
    else:
        wish.grants = {target_of(row): permission_of(row) for row in params["permissions"]}
    if params["permissions"] is not None and not check:
        check_targets(Wanted(roles={params["name"]: wish}), {name for name, one in state.experiments.items() if one.active}, set(state.models))
    wish.members = set(params["members"]) if params["members"] is not None else set(found.members if found else ())
    for name in [] if check else sorted(wish.members - set(state.users)):
        refuse("members", name, "nobody has that name", "names of people who can log in", "Correct the name, or make the user")
    return wish


def work(module, api):
    """Compare, and do what is missing."""
    params, state = module.params, read(api)
    found = state.roles.get(params["name"])
    if params["name"].startswith("__user_") or not params["name"].strip():
        refuse("name", params["name"], "MLflow keeps such names for itself", "other names", "Choose another name")
    if params["state"] == "absent":
        steps = [Step("delete_role", (found.id,), f"group {found.name}")] if found else []
    else:
        steps = role_steps(state, wish_of(params, state, module.check_mode))
    if not module.check_mode:
        Applier(api, state).do(steps)
    return told(steps)


def main():
    """Module entry point."""
    permission = {**{key: {"type": "str"} for key in RESOURCES}, "permission": {"type": "str", "required": True}}
    options = {
        "name": {"type": "str", "required": True},
        "description": {"type": "str"},
        "permissions": {"type": "list", "elements": "dict", "options": permission},
        "members": {"type": "list", "elements": "str"},
        "state": STATE,
    }
    run(work, options)


if __name__ == "__main__":
    main()
