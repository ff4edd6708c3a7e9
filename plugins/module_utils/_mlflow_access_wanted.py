# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""People, groups and permissions as an inventory declares them, checked. Plain Python, knows nothing of Ansible.

A group is a role of MLflow. So is what one person was given (`user:<name>`), and what all declared people are in (`everybody`): what is in a role
is known exactly, so that what was removed from the inventory can be removed from the server, and nothing else.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_state import EVERY, PERMISSIONS

EVERYBODY = "everybody"
MARK = "Managed by Ansible."
PERSONAL = "user:"
# also names of directories on the control machine, and MLflow reads logins of artifact requests as ASCII without a colon
USER_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,63}"), "1 to 64 letters, digits and _ . @ + -, not beginning with a sign"
GROUP_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,63}"), "1 to 64 letters, digits, blanks and _ . -, beginning with a letter or digit"
DENY_SINCE = (3, 17)
RESOURCES = ("experiment", "registered_model", "prompt")


class AccessError(Exception):
    """What is wrong with a declaration, in four parts."""


@dataclass
class WantedRole:
    """Grants by (type, name of the resource)."""

    name: str
    description: str
    grants: dict[tuple[str, str], str] = field(default_factory=dict)
    members: set[str] = field(default_factory=set)


@dataclass
class Wanted:
    """All that is declared."""

    users: dict[str, bool] = field(default_factory=dict)  # whether they are administrators
    roles: dict[str, WantedRole] = field(default_factory=dict)
    experiments: dict[str, dict[str, str]] = field(default_factory=dict)  # tags
    models: dict[str, dict[str, t.Any]] = field(default_factory=dict)  # description, tags


def refuse(variable: str, value: t.Any, problem: str, accepted: str, advice: str) -> t.NoReturn:
    """Raises AccessError."""
    raise AccessError(f"{variable} has '{value}': {problem}. Accepted: {accepted}. {advice}; nothing was changed.")


def _once(variable: str, rows: list[dict]) -> dict[str, dict]:
    found: dict[str, dict] = {}
    for row in rows:
        if row["name"] in found:
            refuse(variable, row["name"], "it is there twice", "each name once", "Join the two entries")
        found[row["name"]] = row
    return found


def check_names(variable: str, names: t.Iterable[str], rule: tuple[re.Pattern, str]) -> None:
    """Whether all can be used; raises AccessError."""
    pattern, accepted = rule
    for name in names:
        if not pattern.fullmatch(name):
            refuse(variable, name, "that name cannot be used", accepted, "Choose another name")


def target_of(row: dict) -> tuple[str, str]:
    """Kind and name of what an entry is about; raises AccessError."""
    given = [(kind, row[kind]) for kind in RESOURCES if row.get(kind)]
    if len(given) != 1:
        refuse("permissions", _short(row), f"it names {len(given)} things", f"one of {', '.join(RESOURCES)} in each entry", "Correct the entry")
    return given[0]


def permission_of(row: dict) -> str:
    """The permission of an entry; raises AccessError."""
    if row["permission"] not in PERMISSIONS:
        refuse("permissions", _short(row), "there is no such permission", ", ".join(PERMISSIONS), "Correct the entry")
    return row["permission"]


def _short(row: dict) -> str:
    return ", ".join(f"{key}: {row[key]}" for key in ("user", "group", "role", *RESOURCES, "permission") if row.get(key))


def wanted(users: list[dict], groups: list[dict], experiments: list[dict], models: list[dict], permissions: list[dict]) -> Wanted:
    """The declaration as one object; raises AccessError."""
    people, named = _once("users", users), _once("groups", groups)
    check_names("users", people, USER_NAME)
    check_names("groups", named, GROUP_NAME)
    if EVERYBODY in named:
        refuse("groups", EVERYBODY, "everybody is always a group of all users", "other names", "Leave it out; permissions may name it")
    result = Wanted({name: bool(row.get("admin")) for name, row in people.items()})
    result.experiments = {name: wished_tags(row) for name, row in _once("experiments", experiments).items()}
    result.models = {name: {"description": row.get("description"), "tags": wished_tags(row)} for name, row in _once("registered_models", models).items()}
    result.roles = {name: WantedRole(name, f"{row.get('description') or 'A group.'} {MARK}") for name, row in named.items()}
    if people:
        result.roles[EVERYBODY] = WantedRole(EVERYBODY, f"All users of the inventory. {MARK}", members=set(people))
    for name, row in people.items():
        for group in row.get("groups") or []:
            if group not in named:
                known = ", ".join(named) or "none is declared"
                refuse("users", f"{name} in {group}", "there is no such group", f"groups ({known})", "Correct the name, or declare the group")
            result.roles[group].members.add(name)
    for row in permissions:
        _permit(result, people, named, row)
    return result


def wished_tags(row: dict) -> dict[str, str]:
    """Tags as MLflow keeps them: text."""
    return {str(key): str(value) for key, value in (row.get("tags") or {}).items()}


def _permit(result: Wanted, people: dict, named: dict, row: dict) -> None:
    user, group, permission = row.get("user"), row.get("group"), permission_of(row)
    if bool(user) == bool(group):
        refuse("permissions", _short(row), "it is not clear whose it is", "user or group, one of them", "Correct the entry")
    if (user and user not in people) or (group and group not in named and group != EVERYBODY):
        refuse("permissions", _short(row), "nobody has that name", "declared users and groups, or everybody", "Correct the name, or declare it")
    if group == EVERYBODY and not people:
        refuse("permissions", _short(row), "there are no users", "everybody where users are declared", "Leave it out")
    name = group or f"{PERSONAL}{user}"
    role = result.roles.setdefault(name, WantedRole(name, f"What {user} was given. {MARK}", members={user}))
    key = target_of(row)
    if role.grants.setdefault(key, permission) != permission:
        refuse("permissions", _short(row), f"another entry says {role.grants[key]}", "one permission for each group or user and thing", "Leave one of them")


def denies(declared: Wanted) -> bool:
    """Whether something is denied, which only newer servers can."""
    return any("DENY" in role.grants.values() for role in declared.roles.values())


def check_version(version: str) -> None:
    """Whether a server can deny; raises AccessError."""
    if tuple(int(part) for part in version.split(".")[:2]) < DENY_SINCE:
        refuse("permissions", "DENY", f"MLflow {version} does not know it", "READ, USE, EDIT, MANAGE; DENY since MLflow 3.17", "Upgrade, or leave it out")


def check_targets(declared: Wanted, experiments: set[str], models: set[str]) -> None:
    """Whether all that permissions name exists or is declared; a prompt may come later, because its permission waits for its name."""
    known = {"experiment": experiments | set(declared.experiments), "registered_model": models | set(declared.models)}
    for role in declared.roles.values():
        for kind, name in role.grants:
            if kind in known and name not in known[kind] and name != EVERY:
                refuse("permissions", f"{role.name}: {kind} {name}", "MLflow has no such thing", f"a name that exists, a declared one, or {EVERY}",
                       f"Correct the name, or declare it in {kind}s")  # fmt: skip
