# SPDX-License-Identifier: GPL-3.0-or-later
"""What is declared, compared with a server, becomes steps; the steps make the server as declared."""

from __future__ import annotations

import copy

import pytest
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_apply import Applier
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_plan import plan
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_state import State, User, read
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_wanted import AccessError, wanted
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_api import Api, ApiError
from plugins.fake_mlflow import ADMIN, PASSWORD, running

LAB = {
    "users": [{"name": "ana", "groups": ["imaging"]}, {"name": "bo", "groups": ["imaging", "theory"]}, {"name": "chris", "admin": True}],
    "groups": [{"name": "imaging", "description": "Looks."}, {"name": "theory"}],
    "experiments": [{"name": "cells", "tags": {"kind": 1}}, {"name": "shared"}],
    "models": [{"name": "segmenter", "description": "Cuts."}],
    "permissions": [
        {"group": "imaging", "experiment": "cells", "permission": "EDIT"},
        {"group": "everybody", "experiment": "shared", "permission": "READ"},
        {"group": "theory", "experiment": "*", "permission": "READ"},
        {"user": "ana", "registered_model": "segmenter", "permission": "MANAGE"},
    ],
}


class Passwords(dict):
    """One for everybody."""

    def __missing__(self, name):
        return f"password-of-{name}"


class Lab:
    """A declaration that changes, and a server."""

    def __init__(self, server):
        self.server, self.api, self.declared = server, Api(server.uri, ADMIN, PASSWORD, timeout=5), copy.deepcopy(LAB)

    def steps(self, **options):
        return plan(read(self.api), wanted(**self.declared), ADMIN, **options)

    def sentences(self, **options):
        return [step.sentence for step in self.steps(**options)]

    def run(self, **options):
        """Do it; what was done."""
        state = read(self.api)
        steps = plan(state, wanted(**self.declared), ADMIN, **options)
        Applier(self.api, state, Passwords()).do(steps)
        return [step.sentence for step in steps]

    def members(self, name):
        role = next(one for one in self.server.roles.values() if one["name"] == name)
        return self.server.members[role["id"]]


@pytest.fixture
def lab():
    with running() as server:
        yield Lab(server)


def test_all_is_made_once(lab):
    lab.run()
    assert set(lab.server.passwords) == {"admin", "ana", "bo", "chris"} and lab.server.admins == {"admin", "chris"}
    assert lab.server.passwords["ana"] == "password-of-ana"
    assert (lab.members("everybody"), lab.members("imaging"), lab.members("user:ana")) == ({"ana", "bo", "chris"}, {"ana", "bo"}, {"ana"})
    cells = next(one for one in lab.server.experiments.values() if one["name"] == "cells")
    imaging = next(one for one in lab.server.roles.values() if one["name"] == "imaging")
    assert [(one["resource_type"], one["resource_pattern"], one["permission"]) for one in imaging["permissions"]] == [
        ("experiment", cells["experiment_id"], "EDIT")
    ]
    assert imaging["description"] == "Looks. Managed by Ansible." and cells["tags"] == [{"key": "kind", "value": "1"}]
    assert lab.run() == [] and lab.steps(exclusive=True, removals_max=0) == []


def test_an_unchanged_server_is_read_in_four_requests(lab):
    lab.run()
    before = len(lab.server.log)
    lab.steps()
    assert len(lab.server.log) - before == 4


def test_what_is_taken_away_comes_first(lab):
    lab.run()
    lab.declared["users"] = [{"name": "bo", "groups": ["theory"]}, {"name": "dee"}]
    lab.declared["permissions"] = [{"group": "imaging", "experiment": "cells", "permission": "READ"}, {"group": "imaging", "prompt": "p", "permission": "USE"}]
    done = lab.run()
    kinds = [sentence.split()[0] for sentence in done]
    assert done[:2] == ["remove user ana", "remove user chris"]
    assert kinds.index("add") > max(index for index, kind in enumerate(kinds) if kind == "remove")
    assert "change group imaging: EDIT on experiment cells to group imaging: READ on experiment cells" in done
    assert "remove user bo in group imaging" in done and "remove group user:ana" in done
    assert set(lab.server.passwords) == {"admin", "bo", "dee"} and lab.run() == []


def test_nothing_that_people_have_made_is_removed(lab):
    lab.run()
    lab.declared.update(experiments=[], models=[], permissions=[])
    assert not [sentence for sentence in lab.run() if sentence.startswith(("remove experiment", "remove registered"))]
    assert len(lab.server.experiments) == 3 and "segmenter" in lab.server.models
    assert not [path for path in lab.server.log if path.startswith("DELETE") and ("experiments" in path or "models" in path)]


def test_a_deleted_experiment_comes_back_with_its_tags(lab):
    lab.run()
    cells = next(one for one in lab.server.experiments.values() if one["name"] == "cells")
    cells.update(lifecycle_stage="deleted", tags=[{"key": "kind", "value": "2"}, {"key": "own", "value": "x"}])
    assert lab.run() == ["change deleted experiment cells to experiment cells", "change experiment cells: kind=2 to experiment cells: kind=1"]
    assert cells["lifecycle_stage"] == "active" and {"key": "own", "value": "x"} in cells["tags"]


def test_the_login_in_use_stays_an_administrator(lab):
    lab.declared["users"].append({"name": ADMIN, "groups": ["theory"], "admin": False})
    lab.run()
    assert ADMIN in lab.server.admins and ADMIN in lab.members("theory")
    lab.declared["users"].pop()
    assert lab.run(exclusive=True) == ["remove user admin in group everybody", "remove user admin in group theory"]
    assert ADMIN in lab.server.passwords and ADMIN in lab.server.admins
    with pytest.raises(AccessError, match="that login is no administrator"):
        plan(State(users={ADMIN: User(ADMIN)}), wanted(**lab.declared), ADMIN)


def test_what_somebody_made_by_hand_stays(lab):
    lab.run()
    lab.server.passwords["visitor"] = "x"
    role = lab.server.post_roles_create({"name": "by-hand", "workspace": "default"})["role"]
    lab.server.members[role["id"]].add("ana")
    assert lab.run() == []
    assert lab.run(exclusive=True) == ["remove user visitor"] and lab.members("by-hand") == {"ana"}


def test_a_role_of_the_same_name_is_taken_over_when_told(lab):
    role = lab.server.post_roles_create({"name": "theory", "workspace": "default", "description": "Mine."})["role"]
    lab.server.members[role["id"]].add(ADMIN)
    before = len(lab.server.roles)
    with pytest.raises(AccessError, match=r"groups has 'theory': MLflow has a role of this name .* nothing was changed"):
        lab.run()
    assert len(lab.server.roles) == before and set(lab.server.passwords) == {ADMIN}
    lab.run(adopt=True)
    assert lab.members("theory") == {"bo"} and role["description"] == "A group. Managed by Ansible."


def test_a_slip_does_not_remove_the_lab(lab):
    lab.run()
    lab.declared["users"], lab.declared["permissions"] = [{"name": "ana", "groups": ["imaging"]}], []
    with pytest.raises(AccessError, match=r"removals_max has '1': 2 people would be removed \(bo, chris\)"):
        lab.run(removals_max=1)
    assert len(lab.server.passwords) == 4
    lab.run(removals_max=2)
    assert set(lab.server.passwords) == {ADMIN, "ana"}


@pytest.mark.parametrize("requests", range(1, 24))
def test_a_run_that_was_cut_off_anywhere_is_ended_by_the_next(lab, requests):
    state = read(lab.api)
    Applier(lab.api, state, Passwords()).do(plan(state, wanted(**lab.declared), ADMIN)[:requests])
    lab.run()
    assert lab.steps(exclusive=True) == []
    # whoever was made before the cut is known as declared, but for the moment between two requests
    lab.declared.update(users=[{"name": "dee"}], groups=[], permissions=[])
    lab.run()
    assert set(lab.server.passwords) == {ADMIN, "dee"}


def test_a_server_that_is_not_there_yet_is_predicted(lab):
    lab.declared["permissions"].append({"group": "theory", "experiment": "made by hand", "permission": "READ"})
    assert "add user ana" in [step.sentence for step in plan(State(is_known=False), wanted(**lab.declared), "")]
    with pytest.raises(AccessError, match="theory: experiment made by hand': MLflow has no such thing"):
        lab.steps()


def test_an_error_of_the_server_ends_the_run(lab):
    lab.server.passwords["ana"] = "x"
    state = State(users=read(lab.api).users)
    del state.users["ana"]
    with pytest.raises(ApiError, match="POST users/create"):
        Applier(lab.api, state, Passwords()).do(plan(state, wanted(**lab.declared), ADMIN))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"users": [{"name": "../x"}]}, r"users has '../x': that name cannot be used. Accepted: 1 to 64 letters"),
        ({"users": [{"name": "a:b"}]}, "that name cannot be used"),
        ({"users": [{"name": "a"}, {"name": "a"}]}, "it is there twice"),
        ({"users": [{"name": "a", "groups": ["x"]}]}, r"users has 'a in x': there is no such group. Accepted: groups \(imaging, theory\)"),
        ({"groups": [{"name": "everybody"}]}, "everybody is always a group"),
        ({"groups": [{"name": "__user_1__"}]}, "groups has '__user_1__': that name cannot be used"),
        ({"permissions": [{"permission": "READ", "experiment": "cells"}]}, "it is not clear whose it is"),
        ({"permissions": [{"user": "ana", "group": "theory", "permission": "READ", "experiment": "cells"}]}, "it is not clear whose it is"),
        ({"permissions": [{"user": "ana", "permission": "READ"}]}, "it names 0 things"),
        ({"permissions": [{"user": "ana", "permission": "READ", "experiment": "x", "prompt": "y"}]}, "it names 2 things"),
        ({"permissions": [{"user": "ana", "permission": "WRITE", "experiment": "x"}]}, "there is no such permission. Accepted: READ, USE, EDIT, MANAGE, DENY"),
        ({"permissions": [{"user": "nobody", "permission": "READ", "experiment": "x"}]}, "nobody has that name"),
        ({"permissions": [{"user": "ana", "permission": p, "experiment": "x"} for p in ("READ", "EDIT")]}, "another entry says READ"),
    ],
)
def test_declarations_that_are_refused(change, words):
    with pytest.raises(AccessError, match=words) as error:
        wanted(**{**LAB, **change})
    assert "Accepted: " in str(error.value) and "nothing was changed." in str(error.value)
