# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of M(labtrack.mlflow.mlflow_access), and its passwords. Plain Python, knows nothing of Ansible."""

from __future__ import annotations

import typing as t

from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_plan import Step, password_step
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_state import State
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_wanted import Wanted, refuse
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_database import PASSWORD_MIN

NAME = {"type": "str", "required": True}
TAGS = {"type": "dict", "default": {}}


def _rows(**options: t.Any) -> dict[str, t.Any]:
    return {"type": "list", "elements": "dict", "default": [], "options": options}


OPTIONS: dict[str, dict[str, t.Any]] = {
    "users": _rows(name=NAME, groups={"type": "list", "elements": "str", "default": []}, admin={"type": "bool", "default": False}),
    "groups": _rows(name=NAME, description={"type": "str", "default": ""}),
    "experiments": _rows(name=NAME, tags=TAGS),
    "registered_models": _rows(name=NAME, description={"type": "str"}, tags=TAGS),
    "permissions": _rows(permission=NAME, **{key: {"type": "str"} for key in ("user", "group", "experiment", "registered_model", "prompt")}),
    "roles_adopted": {"type": "bool", "default": False},
    "users_exclusive": {"type": "bool", "default": False},
    "removals_max": {"type": "int", "default": 10},
    "logins_dir": {"type": "path", "default": ""},
    "logins_renewed": {"type": "list", "elements": "str", "default": []},
    "first_passwords": {"type": "dict", "default": {}, "no_log": True},
    "plan_only": {"type": "bool", "default": False},
}


def resets(names: list[str], state: State, declared: Wanted, login: str) -> list[Step]:
    """Another password for people who exist; raises AccessError."""
    for name in names:
        if name not in declared.users:
            refuse("logins_renewed", name, "nobody has that name", "declared users", "Correct the name")
        if name == login:
            refuse("logins_renewed", name, "that is the login in use", "other users", "Use playbooks/rotate_secrets.yml for it")
    return [password_step(name) for name in names if name in state.users]


def missing_passwords(names: list[str], given: dict[str, str], variable: str = "first_passwords") -> None:
    """Raises AccessError unless everybody who needs one has a first password that MLflow accepts."""
    for name in names:
        if len(given.get(name) or "") < PASSWORD_MIN:
            advice = "Give logins_dir, so that one is made" if variable == "first_passwords" else "Give a longer one"
            refuse(variable, name, "the password is missing or too short (not shown)", f"{PASSWORD_MIN} characters or more", advice)
