# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""First passwords are made on the control machine and written there, before the module gives them to MLflow. They are in no result, diff or log."""

from __future__ import annotations

import os

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_database import DatabaseError, new_password, read_credentials, write_credentials

MODULE = "labtrack.mlflow.mlflow_access"
LAST_FILE = "mlflow_env.sh"  # of those that every bundle has, the one that M(labtrack.mlflow.client_bundles) writes last


class ActionModule(ActionBase):
    """See the module's DOCUMENTATION."""

    def run(self, tmp=None, task_vars=None):
        """One module run where nobody is new; otherwise a second one with the passwords."""
        result = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        logins_dir = arguments.get("logins_dir") or ""
        if not logins_dir or self._task.check_mode or arguments.get("plan_only"):
            result.update(self._module(arguments, task_vars))
            return result
        planned = self._module({**arguments, "plan_only": True}, task_vars)
        if planned.get("failed") or not planned.get("done"):
            result.update(planned, bundles_begun=self._begun(logins_dir, arguments))
            return result
        logins = {name: self._login(logins_dir, name) for name in planned["new_users"]}
        result.update(self._module({**arguments, "first_passwords": logins}, task_vars), bundles_begun=self._begun(logins_dir, arguments))
        return result

    def _module(self, arguments, task_vars):
        return self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)

    def _begun(self, folder, arguments):
        """People whose login is in a bundle that has nothing else yet."""
        folders = {item["name"]: os.path.join(folder, item["name"]) for item in arguments.get("users") or []}
        wanted = {name for name, path in folders.items() if os.path.exists(os.path.join(path, "credentials"))}
        return sorted(name for name in wanted if not os.path.exists(os.path.join(folders[name], LAST_FILE)))

    def _login(self, folder, name):
        """The password of a new C(<folder>/<name>/credentials); an earlier one belongs to an interrupted run, or to somebody who was removed."""
        path = os.path.join(folder, name, "credentials")
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            os.chmod(os.path.dirname(path), 0o700)
            write_credentials(path, name, new_password())
            return read_credentials(path)[1]
        except (DatabaseError, OSError) as error:
            raise AnsibleActionFail(
                f"logins_dir is '{folder}': the first password of {name} cannot be kept there ({error}). Accepted: a directory on the control machine that "
                "you may write. Correct it; nothing was changed."
            ) from error
