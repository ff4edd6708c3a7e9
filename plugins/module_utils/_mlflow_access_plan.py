# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be done so that a server is as declared: the same list for check mode and for the real run. Plain Python, knows nothing of Ansible.

What takes something away comes first. The login that is used is never removed and never loses its rights, so nobody locks themselves out. Nobody's
experiments, models and runs are removed.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_state import Experiment, Model, Role, State
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_wanted import EVERYBODY, MARK, Wanted, WantedRole, check_targets, refuse


@dataclass(frozen=True)
class Step:
    """A method of `Applier` with its arguments, and the lines that it takes away and makes, for people."""

    verb: str
    arguments: tuple
    before: str = ""
    after: str = ""

    @property
    def sentence(self) -> str:
        """One line for a report."""
        if self.before and self.after:
            return f"change {self.before} to {self.after}"
        return f"add {self.after}" if self.after else f"remove {self.before}"


def is_managed(role: Role) -> bool:
    """Whether the role came from an inventory."""
    return role.description.endswith(MARK)


def managed_users(state: State) -> set[str]:
    """People that an inventory has declared, now or earlier."""
    everybody = state.roles.get(EVERYBODY)
    return set(everybody.members) if everybody and is_managed(everybody) else set()


def plan(state: State, declared: Wanted, login: str, adopt: bool = False, exclusive: bool = False, removals_max: int | None = None) -> list[Step]:
    """All steps; raises AccessError.

    Args:
        login: Whose login is used.
        adopt: Take over roles of the same name that somebody has made by hand.
        exclusive: Also remove people that no inventory has ever declared.
        removals_max: More people are not removed at once; perhaps a part of the inventory was not read.
    """
    if login in state.users and not state.users[login].is_admin:
        refuse("username", login, "that login is no administrator", "an administrator's login", "Use another login")
    if state.is_known:
        check_targets(declared, {name for name, one in state.experiments.items() if one.active}, set(state.models))
    gone = ((set(state.users) if exclusive else managed_users(state) & set(state.users)) - set(declared.users)) - {login}
    if removals_max is not None and len(gone) > removals_max:
        refuse("removals_max", removals_max, f"{len(gone)} people would be removed ({', '.join(sorted(gone)[:20])})", "that number or a higher one",
               "Is a part of the inventory missing? Otherwise raise it for this run")  # fmt: skip
    taken: list[Step] = [Step("delete_user", (name,), f"user {name}") for name in sorted(gone)]
    given: list[Step] = []
    for name, one in sorted(state.users.items()):
        if name in declared.users and name != login and one.is_admin != declared.users[name]:
            (given if declared.users[name] else taken).append(admin_step(name, declared.users[name]))
    for name, tags in declared.experiments.items():
        given += experiment_steps(state.experiments.get(name), name, tags)
    for name, wished in declared.models.items():
        given += model_steps(state.models.get(name), name, wished)
    joins: dict[str, list[Step]] = {}
    for name in sorted(set(state.roles) | set(declared.roles)):
        _role(state, declared.roles.get(name), state.roles.get(name), gone, adopt, (taken, given, joins))
    for name, admin in declared.users.items():
        if name not in state.users:
            given.append(Step("create_user", (name,), "", f"user {name}"))
            if admin:
                given.append(admin_step(name, True))
        given += joins.pop(name, [])  # at once, so that a run that is cut off leaves nobody whose removal would go unseen
    return taken + given


def admin_step(name: str, is_admin: bool) -> Step:
    """The right to do everything is given, or taken away."""
    lines = [f"user {name}", f"administrator {name}"]
    return Step("set_admin", (name, is_admin), *(lines if is_admin else reversed(lines)))


def password_step(name: str) -> Step:
    """Another password."""
    return Step("set_password", (name,), f"password of {name}", f"another password of {name}")


def experiment_steps(found: Experiment | None, name: str, tags: dict[str, str], artifact_location: str = "") -> list[Step]:
    """What is missing of an experiment."""
    if not found:
        return [Step("create_experiment", (name, tags, artifact_location), "", f"experiment {name}")]
    steps = [] if found.active else [Step("restore_experiment", (found.id,), f"deleted experiment {name}", f"experiment {name}")]
    return steps + _tags("tag_experiment", found.id, f"experiment {name}", found.tags, tags)


def model_steps(found: Model | None, name: str, wished: dict[str, t.Any]) -> list[Step]:
    """What is missing of a registered model."""
    if not found:
        return [Step("create_model", (name, wished["description"] or "", wished["tags"]), "", f"registered model {name}")]
    steps = []
    if wished["description"] is not None and wished["description"] != found.description:
        lines = [f"registered model {name}: {text}" for text in (found.description, wished["description"])]
        steps = [Step("describe_model", (name, wished["description"]), *lines)]
    return steps + _tags("tag_model", name, f"registered model {name}", found.tags, wished["tags"])


def _tags(verb: str, target: str, what: str, found: dict[str, str], tags: dict[str, str]) -> list[Step]:
    """MLflow's own way of one request for each tag."""
    return [
        Step(verb, (target, key, value), f"{what}: {key}={found[key]}" if key in found else "", f"{what}: {key}={value}")
        for key, value in tags.items()
        if found.get(key) != value
    ]


def role_steps(state: State, wish: WantedRole) -> list[Step]:
    """What is missing of one role, and what it has too much."""
    taken: list[Step] = []
    given: list[Step] = []
    joins: dict[str, list[Step]] = {}
    _role(state, wish, state.roles.get(wish.name), set(), True, (taken, given, joins))
    return taken + given + [step for steps in joins.values() for step in steps]


def _role(state: State, wish: WantedRole | None, found: Role | None, gone: set[str], adopt: bool, steps: tuple) -> None:
    taken, given, joins = steps
    if not wish:
        if found and is_managed(found):
            taken.append(Step("delete_role", (found.id,), f"group {found.name}"))
        return
    if found and not is_managed(found) and not adopt:
        refuse("groups", wish.name, "MLflow has a role of this name that somebody has made by hand", "a name that is free, or adopt",
               "Choose another name, or set adopt (tracking_access_roles_adopted) to take the role over with all its members and permissions")  # fmt: skip
    if not found:
        given.append(Step("create_role", (wish.name, wish.description), "", f"group {wish.name}"))
    elif found.description != wish.description:
        given.append(Step("describe_role", (found.id, wish.description), f"group {found.name}: {found.description}", f"group {found.name}: {wish.description}"))
    _grants(state, wish, found, taken, given)
    members = found.members if found else set()
    for name in sorted(members - wish.members - gone):
        taken.append(Step("unassign", (name, found.id if found else 0), f"user {name} in group {wish.name}"))
    for name in sorted(wish.members - members):
        joins.setdefault(name, []).append(Step("assign", (name, wish.name), "", f"user {name} in group {wish.name}"))


def _grants(state: State, wish: WantedRole, found: Role | None, taken: list[Step], given: list[Step]) -> None:
    left = dict(wish.grants)
    for grant in found.grants if found else []:
        name = state.name_of(grant)
        line = f"group {wish.name}: {{}} on {grant.resource_type} {name}"
        permission = left.pop((grant.resource_type, name), None)
        if permission is None:
            taken.append(Step("remove_grant", (grant.id,), line.format(grant.permission)))
        elif permission != grant.permission:
            taken.append(Step("update_grant", (grant.id, permission), line.format(grant.permission), line.format(permission)))
    for (kind, name), permission in sorted(left.items()):
        given.append(Step("add_grant", (wish.name, kind, name, permission), "", f"group {wish.name}: {permission} on {kind} {name}"))
