#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_access
short_description: Users, groups, experiments, registered models and permissions of an MLflow server, all in one run
version_added: 0.1.0
description:
  - Compares what is declared with the server, in four requests, and does what is missing, one request each, over one connection. What takes something
    away is done first.
  - A group is a role of MLflow. Its members and permissions are exactly what is declared; roles that somebody made by hand, and what people own or were
    given in MLflow's web pages, are left alone.
  - People and groups that were declared earlier, and are not any more, are removed. Experiments, models and runs are never removed.
  - In check mode, a server that is not there yet (no O(credentials_file), or nothing behind the socket) counts as an empty one.
  - The login that is used is never removed and stays an administrator.
  - A new person's first password is made on the control machine and written to C(<logins_dir>/<name>/credentials), 0600, before MLflow hears of it.
author: labtrack contributors (@labtrack)
extends_documentation_fragment: [labtrack.mlflow.mlflow]
options:
  users:
    description: People. Those who exist already keep their passwords.
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: "Name that is typed in. Letters, digits and C(_.@+-).", type: str, required: true}
      groups: {description: Names of groups., type: list, elements: str, default: []}
      admin: {description: Whether the person may do everything., type: bool, default: false}
  groups:
    description: Groups; everybody is in the group C(everybody), too.
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: Name of the group., type: str, required: true}
      description: {description: A sentence about it., type: str, default: ''}
  experiments:
    description: Experiments to make, or to bring back where they were deleted.
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: Name of the experiment., type: str, required: true}
      tags: {description: Tags to set; others stay., type: dict, default: {}}
  registered_models:
    description: Registered models to make.
    type: list
    elements: dict
    default: []
    suboptions:
      name: {description: Name of the model., type: str, required: true}
      description: {description: Description to set; without it the one that is there stays., type: str}
      tags: {description: Tags to set; others stay., type: dict, default: {}}
  permissions:
    description: Who may do what. What MLflow's C(default_permission) gives is not taken away, except by V(DENY).
    type: list
    elements: dict
    default: []
    suboptions:
      user: {description: Name of a declared user., type: str}
      group: {description: "Name of a declared group, or C(everybody).", type: str}
      experiment: {description: "Name of an experiment, or V(*) for all.", type: str}
      registered_model: {description: "Name of a registered model, or V(*).", type: str}
      prompt: {description: "Name of a prompt, or V(*).", type: str}
      permission:
        description: V(READ), V(USE), V(EDIT), V(MANAGE); with MLflow 3.17 also V(DENY), which wins over all others.
        type: str
        required: true
  roles_adopted:
    description: Take over roles of the same names that somebody made by hand.
    type: bool
    default: false
  users_exclusive:
    description: Also remove people who were never declared.
    type: bool
    default: false
  removals_max:
    description: More people are not removed in one run. Perhaps a part of the inventory was not read.
    type: int
    default: 10
  logins_dir:
    description: Directory on the control machine for first passwords. Without it, O(first_passwords) must have them.
    type: path
    default: ''
  logins_renewed:
    description: Names of people who get another password, as a new person does.
    type: list
    elements: str
    default: []
  first_passwords:
    description: Passwords by user, 12 characters or more.
    type: dict
    default: {}
  plan_only:
    description: Say what there is to do, without doing it.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Have the lab's people
  labtrack.mlflow.mlflow_access:
    tracking_uri: https://mlflow.lab.example
    credentials_file: /var/lib/labtrack/mlflow/main/admin_credentials
    ca_file: /etc/labtrack/tls/ca.pem
    logins_dir: "{{ inventory_dir }}/logins"
    users:
      - {name: ana, groups: [imaging]}
      - {name: bo, groups: [imaging, theory]}
    groups: [{name: imaging}, {name: theory}]
    experiments: [{name: cells}]
    permissions:
      - {group: imaging, experiment: cells, permission: EDIT}
      - {group: everybody, experiment: cells, permission: READ}
"""

RETURN = r"""
done:
  description: What was done, or would be.
  returned: success
  type: list
  elements: str
  sample: [add user ana, "add group imaging: EDIT on experiment cells"]
new_users:
  description: People who got a first password, or would.
  returned: success
  type: list
  elements: str
  sample: [ana]
bundles_begun:
  description: People whose directory in O(logins_dir) has C(credentials), and no other file of a client bundle yet.
  returned: success, with O(logins_dir), not in check mode
  type: list
  elements: str
  sample: [ana]
undeclared:
  description: People who were never declared, and are left alone.
  returned: success
  type: list
  elements: str
  sample: [guest]
requests:
  description: How many requests it took.
  returned: success
  type: int
  sample: 4
"""

from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_apply import Applier
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_input import OPTIONS, missing_passwords, resets
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_plan import managed_users, plan
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_state import State, read
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_wanted import check_version, denies, wanted
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_arguments import run, told


def work(module, api):
    """Compare, and do what is missing."""
    params, only_plan = module.params, module.check_mode or module.params["plan_only"]
    declared = wanted(*(params[name] for name in ("users", "groups", "experiments", "registered_models", "permissions")))
    if api and denies(declared):
        check_version(api.server_version())
    state = read(api) if api else State(is_known=False)
    login = api.username if api else ""
    steps = plan(state, declared, login, params["roles_adopted"], params["users_exclusive"], params["removals_max"])
    steps += resets(params["logins_renewed"], state, declared, login)
    new = sorted(step.arguments[0] for step in steps if step.verb in ("create_user", "set_password"))
    left = set(state.users) - set(declared.users) - managed_users(state) - {login}
    if not only_plan:
        missing_passwords(new, params["first_passwords"])
        Applier(api, state, params["first_passwords"]).do(steps)
    undeclared = [] if params["users_exclusive"] else sorted(left)
    return {**told(steps), "new_users": new, "undeclared": undeclared, "requests": api.requests if api else 0}


def main():
    """Module entry point."""
    run(work, OPTIONS, predicts=True)


if __name__ == "__main__":
    main()
