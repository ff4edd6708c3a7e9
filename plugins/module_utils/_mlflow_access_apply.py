# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of a plan, one request each. Plain Python, knows nothing of Ansible."""

from __future__ import annotations

import typing as t

from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_state import EVERY, WORKSPACE, State
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_api import Api

ROLES = "3.0"  # version of the API that has roles


class Applier:
    """Does steps; knows the ids of what it has made.

    Args:
        passwords: First passwords by user.
    """

    def __init__(self, api: Api, state: State | None = None, passwords: dict[str, str] | None = None, workspace: str = WORKSPACE):
        state = state or State()
        self.api, self.passwords, self.workspace = api, {} if passwords is None else passwords, workspace
        self.roles = {name: role.id for name, role in state.roles.items()}
        self.experiments = {name: one.id for name, one in state.experiments.items()}

    def do(self, steps: t.Iterable) -> None:
        """All of them, in order; raises ApiError."""
        for step in steps:
            getattr(self, step.verb)(*step.arguments)

    # ---- people ----
    def create_user(self, name: str) -> None:
        """With the first password."""
        self.api.call("POST", "users/create", {"username": name, "password": self.passwords[name]})

    def set_password(self, name: str) -> None:
        """Another one, by an administrator."""
        self.api.call("PATCH", "users/update-password", {"username": name, "password": self.passwords[name]})

    def set_admin(self, name: str, is_admin: bool) -> None:
        """The right to do everything, or not."""
        self.api.call("PATCH", "users/update-admin", {"username": name, "is_admin": is_admin})

    def delete_user(self, name: str) -> None:
        """With all that the person was given."""
        self.api.call("DELETE", "users/delete", {"username": name})

    # ---- roles ----
    def create_role(self, name: str, description: str) -> None:
        """An empty one."""
        body = {"workspace": self.workspace, "name": name, "description": description}
        self.roles[name] = self.api.call("POST", "roles/create", body, version=ROLES)["role"]["id"]

    def describe_role(self, role_id: int, description: str) -> None:
        """Another description."""
        self.api.call("PATCH", "roles/update", {"role_id": role_id, "description": description}, version=ROLES)

    def delete_role(self, role_id: int) -> None:
        """With its grants; its members stay."""
        self.api.call("DELETE", "roles/delete", {"role_id": role_id}, version=ROLES)

    def assign(self, user: str, role: str) -> None:
        """A member more."""
        self.api.call("POST", "roles/assign", {"username": user, "role_id": self.roles[role]}, version=ROLES)

    def unassign(self, user: str, role_id: int) -> None:
        """A member less."""
        self.api.call("DELETE", "roles/unassign", {"username": user, "role_id": role_id}, version=ROLES)

    def add_grant(self, role: str, resource_type: str, name: str, permission: str) -> None:
        """A permission more."""
        pattern = self.experiments[name] if resource_type == "experiment" and name != EVERY else name
        body = {"role_id": self.roles[role], "resource_type": resource_type, "resource_pattern": pattern, "permission": permission}
        self.api.call("POST", "roles/permissions/add", body, version=ROLES)

    def update_grant(self, grant_id: int, permission: str) -> None:
        """Another permission on the same thing."""
        self.api.call("PATCH", "roles/permissions/update", {"role_permission_id": grant_id, "permission": permission}, version=ROLES)

    def remove_grant(self, grant_id: int) -> None:
        """A permission less."""
        self.api.call("DELETE", "roles/permissions/remove", {"role_permission_id": grant_id}, version=ROLES)

    # ---- what MLflow keeps for one person ----
    def grant_user(self, user: str, resource_type: str, pattern: str, permission: str) -> None:
        """A permission more."""
        body = {"username": user, "resource_type": resource_type, "resource_id": pattern, "permission": permission}
        self.api.call("POST", "users/permissions/grant", body, version=ROLES)

    def regrant_user(self, user: str, resource_type: str, pattern: str, permission: str) -> None:
        """Another permission on the same thing; MLflow changes none."""
        self.revoke_user(user, resource_type, pattern)
        self.grant_user(user, resource_type, pattern, permission)

    def revoke_user(self, user: str, resource_type: str, pattern: str) -> None:
        """A permission less."""
        body = {"username": user, "resource_type": resource_type, "resource_id": pattern}
        self.api.call("POST", "users/permissions/revoke", body, version=ROLES)

    # ---- things ----
    def create_experiment(self, name: str, tags: dict[str, str], artifact_location: str = "") -> None:
        """An empty one."""
        body = {"name": name, "tags": [{"key": key, "value": value} for key, value in tags.items()]}
        if artifact_location:
            body["artifact_location"] = artifact_location
        self.experiments[name] = self.api.call("POST", "experiments/create", body)["experiment_id"]

    def restore_experiment(self, experiment_id: str) -> None:
        """Back from those that were deleted."""
        self.api.call("POST", "experiments/restore", {"experiment_id": experiment_id})

    def delete_experiment(self, experiment_id: str) -> None:
        """As in the web pages: it can be restored."""
        self.api.call("POST", "experiments/delete", {"experiment_id": experiment_id})

    def tag_experiment(self, experiment_id: str, key: str, value: str) -> None:
        """One tag."""
        self.api.call("POST", "experiments/set-experiment-tag", {"experiment_id": experiment_id, "key": key, "value": value})

    def create_model(self, name: str, description: str, tags: dict[str, str]) -> None:
        """Without versions."""
        body = {"name": name, "description": description, "tags": [{"key": key, "value": value} for key, value in tags.items()]}
        self.api.call("POST", "registered-models/create", body)

    def describe_model(self, name: str, description: str) -> None:
        """Another description."""
        self.api.call("PATCH", "registered-models/update", {"name": name, "description": description})

    def tag_model(self, name: str, key: str, value: str) -> None:
        """One tag."""
        self.api.call("POST", "registered-models/set-tag", {"name": name, "key": key, "value": value})

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """A name for a version."""
        self.api.call("POST", "registered-models/alias", {"name": name, "alias": alias, "version": version})

    def delete_alias(self, name: str, alias: str) -> None:
        """A name less."""
        self.api.call("DELETE", "registered-models/alias", query={"name": name, "alias": alias})

    def delete_model(self, name: str) -> None:
        """For good, with its versions."""
        self.api.call("DELETE", "registered-models/delete", {"name": name})
