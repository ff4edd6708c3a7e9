#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_password
short_description: Give the first administrator of MLflow another password
version_added: 0.1.0
description:
  - Asks MLflow, over the socket that its proxy uses, to replace the password in the credentials file by another one, shows that the new one is
    accepted and the earlier one refused, and keeps the new one in the file.
  - The new one is written to C(<file>.new) before MLflow hears of it, so that a run that was interrupted goes on with it.
author: labtrack contributors (@labtrack)
attributes:
  check_mode:
    description: Can run in C(check_mode).
    support: full
  diff_mode:
    description: Passwords are not shown.
    support: none
options:
  address:
    description: Where the REST API is served, C(unix:/path) or C(host:port).
    type: str
    required: true
  host:
    description: Name to ask for; MLflow refuses names that are not allowed.
    type: str
    default: localhost
  credentials_file:
    description: The administrator's name and password.
    type: path
    required: true
  password:
    description: New password, 12 characters or more. Empty means a generated one.
    type: str
    default: ''
  skip_unchanged:
    description: Whether a given password that is in place already is left alone. Otherwise it is an error.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Replace the administrator's password
  labtrack.mlflow.mlflow_password:
    address: unix:/run/labtrack-mlflow-main/api.sock
    credentials_file: /var/lib/labtrack/mlflow/main/admin_credentials
"""

RETURN = r"""
username:
  description: Whose password it is.
  returned: success
  type: str
  sample: admin
"""

import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.labtrack.mlflow.plugins.module_utils import _mlflow_database as database
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_probe import ProbeError, is_accepted, set_password


def rotate(params, check):
    """Whether something was changed, and for whom."""
    path, given = params["credentials_file"], params["password"]
    name, earlier = database.read_credentials(path)
    if not name:
        raise database.DatabaseError(f"There is no {path}. Run site.yml first.")
    _name, begun = database.read_credentials(f"{path}.new")
    if given == earlier and not begun:
        if params["skip_unchanged"]:
            return False, name
        raise database.DatabaseError(
            "tracking_server_admin_password is the password in use (not shown): nothing would be replaced. Accepted: another one of 12 characters or more, "
            "or nothing for a generated one. Change it in the vault; nothing was changed."
        )
    if check:
        return True, name
    new = begun or given or database.new_password()
    if not begun:
        database.write_credentials(f"{path}.new", name, new)
    if not is_accepted(params["address"], params["host"], name, new):
        set_password(params["address"], params["host"], name, earlier, new)
    if not is_accepted(params["address"], params["host"], name, new):
        raise ProbeError("MLflow refuses the password that was just set.")
    if earlier != new and is_accepted(params["address"], params["host"], name, earlier):
        raise ProbeError("MLflow still accepts the earlier password.")
    os.replace(f"{path}.new", path)
    return True, name


def main():
    """Replace it."""
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "host": {"type": "str", "default": "localhost"},
            "credentials_file": {"type": "path", "required": True},
            "password": {"type": "str", "default": "", "no_log": True},
            "skip_unchanged": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    if 0 < len(module.params["password"]) < database.PASSWORD_MIN:
        module.fail_json(msg="tracking_server_admin_password is too short (not shown). Accepted: 12 characters or more. Choose another; nothing was changed.")
    try:
        changed, name = rotate(module.params, module.check_mode)
    except (ProbeError, database.DatabaseError, OSError) as error:
        new = Path(f"{module.params['credentials_file']}.new")
        module.fail_json(msg=f"{error}" + (f" The new password is in {new}; run again when that is solved." if new.exists() else ""))
    module.exit_json(changed=changed, username=name)


if __name__ == "__main__":
    main()
