#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_permission
short_description: What one person or one role may do with one thing in MLflow
version_added: 0.1.0
description:
  - Gives, changes and takes away one permission. Others stay.
  - A person's permission is the one of MLflow's own pages; what the person has by roles or by MLflow's C(default_permission) is not seen here.
author: labtrack contributors (@labtrack)
extends_documentation_fragment: [labtrack.mlflow.mlflow]
options:
  user:
    description: Whose permission it is. Either O(user) or O(role).
    type: str
  role:
    description: The role whose permission it is.
    type: str
  experiment:
    description: Name of an experiment, or V(*) for all. One of O(experiment), O(registered_model), O(prompt).
    type: str
  registered_model:
    description: Name of a registered model, or V(*).
    type: str
  prompt:
    description: Name of a prompt, or V(*).
    type: str
  permission:
    description: V(READ), V(USE), V(EDIT), V(MANAGE); with MLflow 3.17 also V(DENY). Needed with O(state=present).
    type: str
    default: ''
  state:
    description: Whether there is a permission of its own.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Let one person read one experiment
  labtrack.mlflow.mlflow_permission:
    tracking_uri: https://mlflow.lab.example
    credentials_file: ~/.mlflow/credentials
    user: ana
    experiment: cells
    permission: READ
"""

RETURN = r"""
done:
  description: What was done, or would be.
  returned: success
  type: list
  elements: str
  sample: ["add READ on experiment cells for ana"]
previous:
  description: The permission before; empty where there was none.
  returned: success
  type: str
  sample: ''
"""

from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_apply import Applier
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_plan import Step
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_state import EVERY, read, read_own_grants
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


def work(module, api):
    """Compare, and do what is missing."""
    params, state = module.params, read(api)
    kind, name = target_of(params)
    whose = params["user"] or params["role"]
    known = whose in (state.users if params["user"] else state.roles)
    if not known and params["state"] == "present" and not module.check_mode:  # in check mode, an earlier task may be what makes it
        refuse("user" if params["user"] else "role", whose, "nobody has that name", "an existing one", "Correct the name, or make it")
    present = params["state"] == "present"
    wish = WantedRole(whose, "", {(kind, name): permission_of(params)} if present else {})
    if not module.check_mode:
        check_targets(Wanted(roles={whose: wish}), {one.name for one in state.experiments.values() if one.active}, set(state.models))
    grants = [] if not known else read_own_grants(api, whose) if params["user"] else state.roles[whose].grants
    found = next((one for one in grants if (one.resource_type, state.name_of(one)) == (kind, name)), None)
    pattern = state.experiments[name].id if kind == "experiment" and name != EVERY and name in state.experiments else name
    line = f"{{}} on {kind} {name} for {whose}"
    before, after = line.format(found.permission) if found else "", line.format(params["permission"]) if present else ""
    if before == after:
        steps = []
    elif params["user"] and present:
        steps = [Step("grant_user" if not found else "regrant_user", (whose, kind, pattern, params["permission"]), before, after)]
    elif params["user"]:
        steps = [Step("revoke_user", (whose, kind, pattern), before)]
    elif found:
        steps = [Step("update_grant", (found.id, params["permission"]), before, after) if present else Step("remove_grant", (found.id,), before)]
    else:
        steps = [Step("add_grant", (whose, kind, name, params["permission"]), "", after)]
    if not module.check_mode:
        Applier(api, state).do(steps)
    return {**told(steps), "previous": found.permission if found else ""}


def main():
    """Module entry point."""
    options = {
        **{key: {"type": "str"} for key in ("user", "role", *RESOURCES)},
        "permission": {"type": "str", "default": ""},
        "state": STATE,
    }
    one = [["user", "role"], list(RESOURCES)]
    run(work, options, mutually_exclusive=one, required_one_of=one, required_if=[["state", "present", ["permission"]]])


if __name__ == "__main__":
    main()
