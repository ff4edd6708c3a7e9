#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_user
short_description: A person who can log in to MLflow
version_added: 0.1.0
description:
  - Makes, changes and removes logins. A removed person is refused at once; what they made stays.
  - The login that is used is not removed and stays an administrator.
author: labtrack contributors (@labtrack)
extends_documentation_fragment: [labtrack.mlflow.mlflow]
options:
  name:
    description: Name that is typed in, letters, digits and C(_.@+-).
    type: str
    required: true
  user_password:
    description: The person's password, 12 characters or more. A new person needs one.
    type: str
    default: ''
  update_password:
    description: V(always) sets O(user_password) where it is not the one in use; V(on_create) leaves the password of an existing person alone.
    type: str
    choices: [on_create, always]
    default: on_create
  admin:
    description: Whether the person may do everything; without it that stays as it is.
    type: bool
  state:
    description: Whether the person can log in.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Have a person
  labtrack.mlflow.mlflow_user:
    tracking_uri: https://mlflow.lab.example
    credentials_file: ~/.mlflow/credentials
    name: ana
    user_password: "{{ vault_password_of_ana }}"

- name: Take a login away
  labtrack.mlflow.mlflow_user:
    tracking_uri: https://mlflow.lab.example
    credentials_file: ~/.mlflow/credentials
    name: bo
    state: absent
"""

RETURN = r"""
done:
  description: What was done, or would be.
  returned: success
  type: list
  elements: str
  sample: [add user ana]
user:
  description: The person afterwards; empty where there is none.
  returned: success
  type: dict
  sample: {name: ana, is_admin: false, roles: [imaging]}
"""

from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_apply import Applier
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_input import missing_passwords
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_plan import Step, admin_step, password_step
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_state import OWN_ROLE, read_people
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_wanted import USER_NAME, check_names, refuse
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_arguments import STATE, run, told


def steps_for(params, api, found):
    """What is missing; raises AccessError."""
    name, present = params["name"], params["state"] == "present"
    check_names("name", [name], USER_NAME)
    if name == api.username and (not present or params["admin"] is False):
        refuse("name", name, "that is the login in use", "another person, so that nobody locks themselves out", "Use another administrator's login")
    if not present:
        return [Step("delete_user", (name,), f"user {name}")] if found else []
    steps, renew = [], params["update_password"] in ("always",)
    if not found:
        missing_passwords([name], {name: params["user_password"]}, "user_password")
        steps.append(Step("create_user", (name,), "", f"user {name}"))
    elif renew and not api.is_accepted(name, params["user_password"]):
        missing_passwords([name], {name: params["user_password"]}, "user_password")
        steps.append(password_step(name))
    if params["admin"] is not None and params["admin"] != bool(found and found.is_admin):
        steps.append(admin_step(name, params["admin"]))
    return steps


def work(module, api):
    """Compare, and do what is missing."""
    params = module.params
    users, roles = read_people(api)
    found = users.get(params["name"])
    steps = steps_for(params, api, found)
    if not module.check_mode:
        Applier(api, passwords={params["name"]: params["user_password"]}).do(steps)
    after = {}
    if params["state"] == "present":
        admin = params["admin"] if params["admin"] is not None else bool(found and found.is_admin)
        held = sorted(role.name for role in roles.values() if params["name"] in role.members and not OWN_ROLE.fullmatch(role.name))
        after = {"name": params["name"], "is_admin": admin, "roles": held}
    return {**told(steps), "user": after}


def main():
    """Module entry point."""
    options = {
        "name": {"type": "str", "required": True},
        "user_password": {"type": "str", "default": "", "no_log": True},
        "update_password": {"type": "str", "choices": ["on_create", "always"], "default": "on_create", "no_log": False},
        "admin": {"type": "bool"},
        "state": STATE,
    }
    run(work, options)


if __name__ == "__main__":
    main()
