#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: client_bundles
short_description: Client bundles of many people, in one run
version_added: 0.1.0
description:
  - Copies a bundle that the role C(tracking_client) has written for a placeholder into the directory of each person, with the name and the password of the
    person's C(credentials) file, which M(labtrack.mlflow.mlflow_access) has put there.
  - Runs on the control machine. Passwords are read and written, and are in no argument and no result.
author: labtrack contributors (@labtrack)
options:
  pattern_dir:
    description: The bundle of the placeholder.
    type: path
    required: true
  pattern_username:
    description: The placeholder's name.
    type: str
    required: true
  bundles_dir:
    description: Directory with a directory for each person, with C(credentials).
    type: path
    required: true
  users:
    description: Names of the people.
    type: list
    elements: str
    required: true
attributes:
  check_mode:
    description: Says which files would be written.
    support: full
  diff_mode:
    description: The files hold passwords, so that no difference is shown.
    support: none
"""

EXAMPLES = r"""
- name: Write the bundles of two people
  labtrack.mlflow.client_bundles:
    pattern_dir: /srv/bundles/lab/.pattern
    pattern_username: labtrack-placeholder
    bundles_dir: /srv/bundles/lab
    users: [ana, bo]
  delegate_to: localhost
"""

RETURN = r"""
files:
  description: Files that were written, or would be.
  returned: success
  type: list
  elements: str
  sample: [/srv/bundles/lab/ana/mlflow_env.sh]
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.labtrack.mlflow.plugins.module_utils._client_bundles import LOGIN, Pattern, write
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_database import DatabaseError, read_credentials


def main():
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={
            "pattern_dir": {"type": "path", "required": True},
            "pattern_username": {"type": "str", "required": True},
            "bundles_dir": {"type": "path", "required": True},
            "users": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    params, files = module.params, []
    try:
        name, password = read_credentials(str(Path(params["pattern_dir"], LOGIN)))
        if name != params["pattern_username"]:
            module.fail_json(
                msg=f"pattern_dir is '{params['pattern_dir']}': there is no bundle of {params['pattern_username']}. Accepted: a directory that tracking_client "
                "has written for that name. Write it first; nothing was changed."
            )
        pattern = Pattern(Path(params["pattern_dir"]), name, password)
        for user in params["users"]:
            folder = Path(params["bundles_dir"], user)
            name, password = read_credentials(str(folder / LOGIN))
            if name != user:
                module.fail_json(
                    msg=f"users has '{user}': {folder / LOGIN} is not that person's login. Accepted: people whose first password is there. If it was given "
                    "away already, make another one with tracking_access_logins_renewed."
                )
            files += write(pattern, folder, name, password, module.check_mode)
    except (DatabaseError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(files), files=files)


if __name__ == "__main__":
    main()
