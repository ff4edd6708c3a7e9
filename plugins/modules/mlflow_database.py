#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_database
short_description: Initialise or migrate the databases of an MLflow instance
version_added: 0.1.0
description:
  - Compares the schema of the tracking database and of the database of logins with what a release of MLflow wants, as the service's user.
  - Makes the tables of an empty database and the first administrator, whose credentials are written to a file before.
  - Upgrades an old schema only with O(migrate=true), and fails otherwise; refuses a schema that is newer than the release.
author: labtrack contributors (@labtrack)
options:
  python:
    description: Python of the release.
    type: path
    required: true
  program:
    description: The role's C(database.py) on the machine.
    type: path
    required: true
  user:
    description: System user of the service.
    type: str
    required: true
  tracking_uri:
    description: SQLAlchemy URI of the tracking database.
    type: str
    required: true
  auth_uri:
    description: SQLAlchemy URI of the database of logins.
    type: str
    required: true
  migrate:
    description: Upgrade an old schema.
    type: bool
    default: false
  credentials_file:
    description: The first administrator's name and password, an INI file like C(~/.mlflow/credentials). It is written when it does not exist.
    type: path
    required: true
  admin_username:
    description: Name of the first administrator.
    type: str
    default: admin
  admin_password:
    description: Password of the first administrator; without it one is generated.
    type: str
    default: ''
attributes:
  check_mode: {description: Looks at the databases only., support: full}
  diff_mode: {description: There is no difference to show., support: none}
"""

EXAMPLES = r"""
- name: Initialise or migrate the databases
  labtrack.mlflow.mlflow_database:
    python: /opt/labtrack/mlflow/main/current/bin/python
    program: /opt/labtrack/mlflow/main/server/database.py
    user: mlflow
    tracking_uri: postgresql+psycopg2://mlflowdb@/mlflowdb?host=/var/run/postgresql
    auth_uri: postgresql+psycopg2://mlflowdb@/mlflowauth?host=/var/run/postgresql
    credentials_file: /var/lib/labtrack/mlflow/main/admin_credentials
"""

RETURN = r"""
done:
  description: What was done - C(tracking), C(auth) for a schema, C(admin) for the administrator.
  returned: success
  type: list
  elements: str
  sample: [tracking, auth, admin]
tracking:
  description: Schema of the tracking database before.
  returned: success
  type: dict
  sample: {state: empty, current: "", wanted: dc11669786a5}
auth:
  description: Schema of the database of logins before.
  returned: success
  type: dict
  sample: {state: ready, current: 3d2f1a, wanted: 3d2f1a}
"""

import json

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.labtrack.mlflow.plugins.module_utils import _mlflow_database as database


def ask(params: dict, action: str, name: str, password: str) -> dict:
    """One run of database.py."""
    request = {"tracking_uri": params["tracking_uri"], "auth_uri": params["auth_uri"], "admin_username": name, "admin_password": password}
    # only the first connection may be waited for; MLflow itself would retry for minutes
    environment = {"MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "NullPool", "PGCONNECT_TIMEOUT": "10"}
    command = [params["python"], "-B", params["program"], action]
    code, out, err = database.run_as(params["user"], command, json.dumps(request), environment)
    if code != 0:
        reason = err.strip().splitlines()[-1] if err.strip() else f"exit code {code}"
        raise database.DatabaseError(f"The databases of MLflow cannot be used: {reason[-1500:]}")
    return json.loads(out)


def main() -> None:
    """Look, and do what is allowed."""
    module = AnsibleModule(
        argument_spec={
            "python": {"type": "path", "required": True},
            "program": {"type": "path", "required": True},
            "user": {"type": "str", "required": True},
            "tracking_uri": {"type": "str", "required": True, "no_log": True},
            "auth_uri": {"type": "str", "required": True, "no_log": True},
            "migrate": {"type": "bool", "default": False},
            "credentials_file": {"type": "path", "required": True},
            "admin_username": {"type": "str", "default": "admin"},
            "admin_password": {"type": "str", "default": "", "no_log": True},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        name, password = database.read_credentials(params["credentials_file"])
        if not name and not module.check_mode:
            name, password = params["admin_username"], params["admin_password"] or database.new_password()
            database.write_credentials(params["credentials_file"], name, password)
        module.no_log_values.add(password or "-" * 16)
        action = "inspect" if module.check_mode else "migrate" if params["migrate"] else "initialise"
        found = ask(params, action, name or params["admin_username"], password)
        if problem := database.problem(found, params["migrate"]):
            raise database.DatabaseError(problem)
    except (database.DatabaseError, KeyError, OSError) as error:
        module.fail_json(msg=str(error))
    waiting = [key for key in ("tracking", "auth") if found[key]["state"] != "ready"] if module.check_mode else []
    module.exit_json(changed=bool(found["done"] or waiting), done=found["done"], tracking=found["tracking"], auth=found["auth"])


if __name__ == "__main__":
    main()
