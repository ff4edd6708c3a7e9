# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules for people, roles, experiments and models as Ansible runs them, against a server on loopback."""

from __future__ import annotations

import importlib
import json
import subprocess

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.labtrack.mlflow.plugins.doc_fragments.mlflow import ModuleDocFragment
from ansible_collections.labtrack.mlflow.plugins.filter.mlflow_access_problems import mlflow_access_problems
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_input import OPTIONS
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_arguments import CONNECTION
from ansible_collections.labtrack.mlflow.plugins.modules import mlflow_access
from plugins.fake_mlflow import ADMIN, PASSWORD, running
from suite.paths import BIN, ROOT, tool_environment

LONG = "a-long-enough-password"
SHARED = ("type", "required", "default", "choices", "elements")


@pytest.fixture
def mlflow():
    with running() as server:
        yield server


@pytest.fixture
def play(mlflow, capsys):
    """`play("user", name="ana")`: a module's result; no password is printed."""

    def run(what: str, check: bool = False, **options):
        module = importlib.import_module(f"ansible_collections.labtrack.mlflow.plugins.modules.mlflow_{what}")
        login = {"tracking_uri": mlflow.uri, "username": ADMIN, "password": PASSWORD, "timeout_seconds": 5}
        before = len(mlflow.log)
        with patch_module_args({**login, **options, "_ansible_check_mode": check}), pytest.raises(SystemExit):
            module.main()
        printed = capsys.readouterr().out
        assert PASSWORD not in printed and LONG not in printed
        if check:
            assert not [line for line in mlflow.log[before:] if not line.startswith("GET") and "search" not in line]
        return json.loads(printed)

    return run


def twice(play, what, **options):
    """Predicted, done, then nothing to do."""
    predicted = play(what, check=True, **options)
    done = play(what, **options)
    assert done.get("changed") and (predicted["changed"], predicted["done"], predicted["diff"]) == (done["changed"], done["done"], done["diff"]), done
    again = play(what, **options)
    assert not again["changed"] and not again["done"] and again["diff"] == {"before": "", "after": ""}
    return done


def test_user(play, mlflow):
    assert twice(play, "user", name="ana", user_password=LONG)["user"] == {"name": "ana", "is_admin": False, "roles": []}
    assert mlflow.passwords["ana"] == LONG
    assert not play("user", name="ana", user_password=f"{LONG}-2")["changed"]
    assert twice(play, "user", name="ana", user_password=f"{LONG}-2", update_password="always")["done"] == ["change password of ana to another password of ana"]
    assert twice(play, "user", name="ana", admin=True)["diff"] == {"before": "user ana\n", "after": "administrator ana\n"}
    assert play("user", name="ana")["user"]["is_admin"]
    assert twice(play, "user", name="ana", state="absent")["done"] == ["remove user ana"] and set(mlflow.passwords) == {ADMIN}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"name": "ana", "user_password": "abc"}, "user_password has 'ana': the password is missing or too short (not shown). Accepted: 12 characters"),
        ({"name": "a b"}, "name has 'a b': that name cannot be used"),
        ({"name": ADMIN, "state": "absent"}, "that is the login in use"),
        ({"name": ADMIN, "admin": False}, "so that nobody locks themselves out"),
    ],
)
def test_users_that_are_refused(play, mlflow, options, words):
    result = play("user", **options)
    assert result["failed"] and words in result["msg"] and set(mlflow.passwords) == {ADMIN} == mlflow.admins


def test_role(play, mlflow):
    play("user", name="ana", user_password=LONG)
    play("experiment", name="cells")
    edit = [{"experiment": "cells", "permission": "EDIT"}]
    assert len(twice(play, "role", name="imaging", members=["ana"], permissions=edit, description="Looks.")["done"]) == 3
    assert not play("role", name="imaging")["changed"]
    assert twice(play, "role", name="imaging", members=[])["done"] == ["remove user ana in group imaging"]
    assert twice(play, "role", name="imaging", permissions=[{"experiment": "*", "permission": "READ"}])["diff"]["before"] == (
        "group imaging: EDIT on experiment cells\n"
    )
    found = play("role_info", name="imaging")["roles"]
    assert found == [
        {"name": "imaging", "description": "Looks.", "members": [], "permissions": [{"resource_type": "experiment", "name": "*", "permission": "READ"}]}
    ]
    assert twice(play, "role", name="imaging", state="absent") and play("role_info")["roles"] == []
    assert "nobody has that name" in play("role", name="imaging", members=["bo"])["msg"] and not mlflow.roles
    assert "MLflow has no such thing" in play("role", name="x", permissions=[{"experiment": "y", "permission": "READ"}])["msg"]
    assert "MLflow keeps such names" in play("role", name="__user_1__")["msg"]
    # an earlier task would make them
    assert play("role", check=True, name="imaging", members=["bo"], permissions=[{"experiment": "y", "permission": "READ"}])["changed"]


def test_permission(play, mlflow):
    play("user", name="ana", user_password=LONG)
    play("role", name="imaging", members=["ana"])
    play("experiment", name="cells")
    assert twice(play, "permission", user="ana", experiment="cells", permission="READ")["done"] == ["add READ on experiment cells for ana"]
    assert twice(play, "permission", user="ana", experiment="cells", permission="MANAGE")["previous"] == "READ"
    assert twice(play, "permission", role="imaging", registered_model="*", permission="USE")["previous"] == ""
    assert twice(play, "permission", role="imaging", registered_model="*", permission="EDIT")["previous"] == "USE"
    assert play("permission_info", user="ana")["permissions"] == [
        {"role": "", "own": True, "resource_type": "experiment", "name": "cells", "permission": "MANAGE"},
        {"role": "imaging", "own": False, "resource_type": "registered_model", "name": "*", "permission": "EDIT"},
    ]
    assert twice(play, "permission", user="ana", experiment="cells", state="absent")
    assert twice(play, "permission", role="imaging", registered_model="*", state="absent")
    assert play("permission_info", user="ana")["permissions"] == [] == play("permission_info", user="nobody")["permissions"]
    assert not play("permission", user="nobody", experiment="cells", state="absent")["changed"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"user": "bo", "experiment": "*", "permission": "READ"}, "user has 'bo': nobody has that name"),
        ({"role": "r", "experiment": "*", "permission": "READ"}, "role has 'r': nobody has that name"),
        ({"user": ADMIN, "experiment": "x", "permission": "READ"}, "experiment x': MLflow has no such thing"),
        ({"user": ADMIN, "experiment": "*", "permission": "WRITE"}, "there is no such permission. Accepted: READ, USE"),
        ({"user": ADMIN, "experiment": "*"}, "permission"),
    ],
)
def test_permissions_that_are_refused(play, options, words):
    assert words in play("permission", **options)["msg"]


def test_experiment(play, mlflow):
    number = twice(play, "experiment", name="cells", tags={"kind": 1})["experiment_id"]
    assert play("experiment", name="cells")["experiment_id"] == number
    assert twice(play, "experiment", name="cells", tags={"kind": 2})["diff"] == {"before": "experiment cells: kind=1\n", "after": "experiment cells: kind=2\n"}
    assert twice(play, "experiment", name="cells", state="absent") and twice(play, "experiment", name="cells")["experiment_id"] == number
    assert "MLflow does not move artifacts" in play("experiment", name="cells", artifact_location="s3://elsewhere")["msg"]
    assert not play("experiment", name="cells", artifact_location=f"mlflow-artifacts:/{number}/")["changed"]
    found = play("experiment_info", name="cells")["experiments"]
    assert found == [{"experiment_id": number, "name": "cells", "active": True, "tags": {"kind": "2"}, "artifact_location": f"mlflow-artifacts:/{number}"}]
    assert play("experiment_info", name="x")["experiments"] == [] and len(play("experiment_info")["experiments"]) == 2


def test_registered_model(play, mlflow):
    twice(play, "registered_model", name="m", description="One.", tags={"a": 1})
    assert (
        twice(play, "registered_model", name="m", description="Two.", tags={"a": 2})["done"][0] == "change registered model m: One. to registered model m: Two."
    )
    mlflow.models["m"]["latest_versions"] = [{"version": "7"}]
    twice(play, "registered_model", name="m", aliases={"champion": 6})
    assert twice(play, "registered_model", name="m", aliases={"champion": "7"})["done"] == ["change m@champion: version 6 to m@champion: version 7"]
    assert play("registered_model_info", name="m")["registered_models"][0]["aliases"] == {"champion": "7"}
    twice(play, "registered_model", name="m", aliases={"champion": ""})
    refused = play("registered_model", name="m", state="absent")["msg"]
    assert "the model has versions (the newest: 7), which would be lost" in refused and "m" in mlflow.models
    twice(play, "registered_model", name="m", state="absent", versions_removed=True)
    assert play("registered_model_info")["registered_models"] == [] == play("registered_model_info", name="m")["registered_models"]


def test_access_tells_what_it_did_and_wants_passwords(play, mlflow):
    declared = {"users": [{"name": "ana", "groups": ["g"]}], "groups": [{"name": "g"}]}
    assert "first_passwords has 'ana': the password is missing" in play("access", **declared)["msg"] and not mlflow.roles
    done = twice(play, "access", **declared, first_passwords={"ana": LONG})
    assert (done["new_users"], done["undeclared"]) == (["ana"], []) and mlflow.passwords["ana"] == LONG
    mlflow.passwords["visitor"] = "x"
    assert play("access", **declared)["undeclared"] == ["visitor"] and play("access", **declared)["requests"] == 4
    assert play("access", plan_only=True, users=[{"name": "bo"}])["new_users"] == ["bo"] and "bo" not in mlflow.passwords
    renewed = play("access", **declared, logins_renewed=["ana"], first_passwords={"ana": f"{LONG}-2"})
    assert renewed["new_users"] == ["ana"] and mlflow.passwords["ana"] == f"{LONG}-2"
    assert "nobody has that name" in play("access", **declared, logins_renewed=["bo"])["msg"]
    assert play("user_info", name="ana")["users"] == [{"name": "ana", "is_admin": False, "roles": ["everybody", "g"]}]


def test_access_refuses_what_an_older_server_does_not_know_before_any_change(play, mlflow):
    options = {"users": [{"name": "ana"}], "permissions": [{"user": "ana", "experiment": "*", "permission": "DENY"}], "first_passwords": {"ana": LONG}}
    mlflow.version = "3.16.1"
    assert "permissions has 'DENY': MLflow 3.16.1 does not know it" in play("access", **options)["msg"] and "ana" not in mlflow.passwords
    mlflow.version = "3.17.0"
    twice(play, "access", **options)


def test_access_predicts_where_there_is_no_server_yet(play, tmp_path):
    options = {"tracking_uri": f"unix:{tmp_path}/none.sock", "credentials_file": str(tmp_path / "none"), "users": [{"name": "ana"}]}
    assert "add user ana" in play("access", check=True, **options)["done"]
    assert "there is no login" in play("access", **options)["msg"]


def test_first_passwords_are_made_on_the_control_machine_and_shown_nowhere(mlflow, tmp_path):
    task = {
        "labtrack.mlflow.mlflow_access": {"users": [{"name": "ana"}, {"name": "bo"}], "logins_dir": str(tmp_path / "logins")},
        "name": "People",
    }
    defaults = {"group/labtrack.mlflow.mlflow": {"tracking_uri": mlflow.uri, "username": ADMIN, "password": PASSWORD}}
    playbook = tmp_path / "play.yml"
    playbook.write_text(yaml.safe_dump([{"name": "P", "hosts": "localhost", "gather_facts": False, "module_defaults": defaults, "tasks": [task]}]))

    def run(*options):
        command = [str(BIN / "ansible-playbook"), "-i", "localhost,", "-c", "local", "-e", f"ansible_python_interpreter={BIN}/python", str(playbook), *options]
        return subprocess.run(command, cwd=ROOT, env=tool_environment(), capture_output=True, text=True, check=False)

    assert "changed=1" in run("--check").stdout and not (tmp_path / "logins").exists()
    done = run("-vvv", "--diff")
    assert "changed=1" in done.stdout, done.stdout + done.stderr
    for name in ("ana", "bo"):
        path = tmp_path / "logins" / name / "credentials"
        assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
        assert f"mlflow_tracking_password = {mlflow.passwords[name]}\n" in path.read_text() and len(mlflow.passwords[name]) >= 32
        assert mlflow.passwords[name] not in done.stdout + done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    assert "changed=0" in run().stdout


def test_the_filter_names_the_variable_of_the_role():
    assert mlflow_access_problems([{"name": "ana"}], [], [], [], []) == []
    found = mlflow_access_problems([{"name": "a b"}], [], [], [], [], prefix="tracking_access_")
    assert found[0].startswith("tracking_access_users has 'a b': that name cannot be used.")


def options_of(text):
    return {name: {key: option[key] for key in SHARED if key in option} for name, option in yaml.safe_load(text)["options"].items()}


def test_documented_options_are_those_of_the_modules():
    documented = options_of(ModuleDocFragment.DOCUMENTATION)
    assert documented == {name: {key: option[key] for key in SHARED if key in option} for name, option in CONNECTION.items()}
    assert options_of(mlflow_access.DOCUMENTATION) == {name: {key: option[key] for key in SHARED if key in option} for name, option in OPTIONS.items()}


def test_the_group_has_all_modules_with_these_options():
    group = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))["action_groups"]["mlflow"]
    modules = (ROOT / "plugins" / "modules").glob("mlflow_*.py")
    assert sorted(group) == sorted(path.stem for path in modules if "fragment: [labtrack.mlflow.mlflow" in path.read_text(encoding="utf-8"))
