# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may do what on an MLflow server, read in four requests. Plain Python, knows nothing of Ansible."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_api import Api

WORKSPACE = "default"  # MLflow's own, the one of a server without workspaces
OWN_ROLE = re.compile(r"__user_\d+__")  # where MLflow keeps what one person owns or was given
PERMISSIONS = ("READ", "USE", "EDIT", "MANAGE", "DENY")
EVERY = "*"


@dataclass
class Grant:
    """One line of a role; `resource` is an experiment's id, a model's name, or `*`."""

    id: int
    resource_type: str
    resource: str
    permission: str

    @property
    def key(self) -> tuple[str, str]:
        """What it is about."""
        return self.resource_type, self.resource


@dataclass
class Role:
    """A role of MLflow."""

    id: int
    name: str
    workspace: str = WORKSPACE
    description: str = ""
    grants: list[Grant] = field(default_factory=list)
    members: set[str] = field(default_factory=set)


@dataclass
class User:
    """A person who can log in."""

    name: str
    is_admin: bool = False


@dataclass
class Experiment:
    """`active` is false where it was deleted, and may be restored."""

    id: str
    name: str
    active: bool = True
    tags: dict[str, str] = field(default_factory=dict)
    artifact_location: str = ""


@dataclass
class Model:
    """A registered model."""

    name: str
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    versions: list[str] = field(default_factory=list)


@dataclass
class State:
    """What a server has."""

    users: dict[str, User] = field(default_factory=dict)
    roles: dict[str, Role] = field(default_factory=dict)  # of the workspace, without those that MLflow makes for single persons
    experiments: dict[str, Experiment] = field(default_factory=dict)
    models: dict[str, Model] = field(default_factory=dict)
    is_known: bool = True  # false: a server that is not there yet, for a prediction

    def name_of(self, grant: Grant) -> str:
        """A grant's resource as people call it."""
        if grant.resource_type == "experiment" and grant.resource != EVERY:
            return next((one.name for one in self.experiments.values() if one.id == grant.resource), f"with the id {grant.resource}")
        return grant.resource


def tags_of(row: dict[str, t.Any]) -> dict[str, str]:
    """MLflow's list of tags as a dictionary."""
    return {tag["key"]: tag.get("value", "") for tag in row.get("tags", [])}


def role_of(row: dict[str, t.Any]) -> Role:
    """A role from its JSON."""
    grants = [Grant(one["id"], one["resource_type"], one["resource_pattern"], one["permission"]) for one in row.get("permissions", [])]
    return Role(row["id"], row["name"], row.get("workspace", WORKSPACE), row.get("description") or "", grants)


def experiment_of(row: dict[str, t.Any]) -> Experiment:
    """An experiment from its JSON."""
    active = row.get("lifecycle_stage", "active") == "active"
    return Experiment(row["experiment_id"], row["name"], active, tags_of(row), row.get("artifact_location", ""))


def model_of(row: dict[str, t.Any]) -> Model:
    """A registered model from its JSON."""
    aliases = {one["alias"]: one["version"] for one in row.get("aliases", [])}
    versions = sorted((one["version"] for one in row.get("latest_versions", [])), key=int)
    return Model(row["name"], row.get("description", ""), tags_of(row), aliases, versions)


def read_people(api: Api, workspace: str = WORKSPACE) -> tuple[dict[str, User], dict[str, Role]]:
    """Users, and the roles of the workspace by their names, with members; two requests."""
    rows = api.call("GET", "users/list")["users"]
    roles = {one.id: one for one in map(role_of, api.call("GET", "roles/list", query={"workspace": workspace}, version="3.0")["roles"])}
    for row in rows:
        for held in row.get("roles", []):
            if held["id"] in roles:
                roles[held["id"]].members.add(row["username"])
    users = {row["username"]: User(row["username"], bool(row["is_admin"])) for row in rows}
    return users, {role.name: role for role in roles.values() if not OWN_ROLE.fullmatch(role.name)}


def read(api: Api, workspace: str = WORKSPACE) -> State:
    """Everything that a plan compares with."""
    users, roles = read_people(api, workspace)
    experiments = [experiment_of(row) for row in api.pages("POST", "experiments/search", "experiments", view_type="ALL")]
    models = [model_of(row) for row in api.pages("GET", "registered-models/search", "registered_models")]
    return State(users, roles, {one.name: one for one in experiments}, {one.name: one for one in models})


def read_experiment(api: Api, name: str) -> Experiment | None:
    """One experiment by its name, also a deleted one."""
    answer = api.found("GET", "experiments/get-by-name", query={"experiment_name": name})
    return experiment_of(answer["experiment"]) if answer else None


def read_model(api: Api, name: str) -> Model | None:
    """One registered model by its name."""
    answer = api.found("GET", "registered-models/get", query={"name": name})
    return model_of(answer["registered_model"]) if answer else None


def read_own_grants(api: Api, user: str) -> list[Grant]:
    """What a person owns or was given, apart from roles; MLflow does not tell the ids."""
    answer = api.call("GET", "users/permissions/list", query={"username": user}, version="3.0")
    return [Grant(0, row["resource_type"], row["resource_pattern"], row["permission"]) for row in answer["permissions"] if OWN_ROLE.fullmatch(row["role_name"])]
