# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules as Ansible runs them, against a cloud in memory: results, check and diff mode, failures, documentation."""

from __future__ import annotations

import json
import tempfile

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.labtrack.mlflow.plugins.doc_fragments.openstack_server import ModuleDocFragment
from ansible_collections.labtrack.mlflow.plugins.module_utils import _openstack_server_manage as manage
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_messages import CloudError
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_messages import ServerError
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_options import SERVER
from ansible_collections.labtrack.mlflow.plugins.modules import openstack_server, openstack_server_info
from plugins.fake_openstack import KEY, FakeOpenStack

SECRET = "the-secret-of-the-credential"
MODULES = [openstack_server, openstack_server_info]


@pytest.fixture
def stack(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    stack = FakeOpenStack()
    for module in MODULES:
        monkeypatch.setattr(module, "connect", lambda arguments, profile, patience: stack.cloud())
    monkeypatch.setattr(manage.present, "__defaults__", (lambda address: [KEY],))
    return stack


@pytest.fixture
def play(stack, tmp_path, capsys):
    """Run a module: its result, as it is printed."""
    key = tmp_path / "key.pub"
    key.write_text("ssh-ed25519 AAAAmine me@here\n")
    plain = {
        "auth": {"application_credential_id": "id-1", "application_credential_secret": SECRET},
        "name": "lab-mlflow", "site": "lab", "host": "mlflow", "image": "debian-13*", "flavor": "p1-1.5gb", "network": "def-*-network",
        "external_network": "Public-Network", "volume_gb": 10, "public_key_file": str(key), "rules": [{"port": 22, "cidrs": ["192.0.2.0/24"]}],
    }  # fmt: skip

    def run(module=openstack_server, check=False, **options):
        given = {name: value for name, value in {**plain, **options}.items() if value is not None}
        with patch_module_args({**given, "_ansible_check_mode": check, "_ansible_diff": True}), pytest.raises(SystemExit):
            module.main()
        printed = capsys.readouterr().out
        assert SECRET not in printed
        return json.loads(printed)

    return run


def test_a_server_is_made_once_and_the_steps_are_told(play, stack):
    predicted = play(check=True)
    assert predicted["changed"] and not predicted["exists"] and stack.calls == []
    made = play()
    assert made["changed"] and made["exists"] and made["steps"] == predicted["steps"]
    assert made["diff"] == predicted["diff"] == {"prepared": "".join(f"{step}\n" for step in made["steps"])}
    assert made["server_id"] == stack.one("servers")["id"] and made["known_hosts"] == f"{made['public_address']} {KEY}\n"
    again = play()
    assert (again["changed"], again["steps"], again["diff"]) == (False, [], {"prepared": ""})


def test_another_machine_and_none(play, stack):
    first = play()["server_id"]
    second = play(state="rebuilt")
    assert second["changed"] and second["server_id"] != first
    predicted = play(state="absent", check=True)
    assert predicted["changed"] and stack.one("servers")["id"] == second["server_id"]
    gone = play(state="absent")
    assert gone["steps"] == predicted["steps"] and not gone["exists"] and len(gone["kept"]) == 2 and not stack.all("servers")
    assert play(state="absent", delete_data=True)["changed"] and not stack.all("volumes")
    assert not play(state="absent", delete_data=True)["changed"]


def test_a_removal_reads_no_key(play):
    assert not play(state="absent", public_key_file="/nowhere.pub")["changed"]


def test_what_a_person_has_to_know_is_a_warning(play, monkeypatch):
    shown = []
    monkeypatch.setattr(openstack_server.AnsibleModule, "warn", lambda module, text: shown.append(text))
    play()
    assert shown == []
    play(volume_gb=20)
    assert shown == ["lab-mlflow: the data volume has 10 GB, not 20; it is left as it is."]


def test_a_failure_tells_how_far_it_came(play, stack):
    stack.script = {2: 403}
    failed = play(variable_names={"cloud": "site_cloud"})
    assert failed["failed"] and failed["reason"] == "forbidden" and failed["changed"] and len(failed["steps"]) == 1
    assert failed["msg"].startswith("site_cloud: this login may not do what is needed") and failed["msg"].endswith(f"Done before: {failed['steps'][0]}.")


def test_a_refusal_before_the_first_step_changes_nothing(play, stack):
    failed = play(flavor="p9")
    assert (failed["reason"], failed["changed"], failed["steps"]) == ("flavor", False, []) and "Done before" not in failed["msg"]
    assert stack.calls == []


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"public_key_file": "/nowhere.pub"}, "public_key"),
        ({"profile": "arbutos"}, "profile"),
        ({"cloud": {"auth": {}}, "auth": None, "region_name": "x"}, "cloud_options"),
    ],
)
def test_options_that_cannot_be_used(play, stack, module, options, reason):
    failed = play(module, **options)
    assert failed["failed"] and failed["reason"] == reason and stack.calls == []


@pytest.mark.parametrize("module", MODULES)
def test_a_cloud_that_cannot_be_asked(play, module, monkeypatch):
    def refuse(*_arguments):
        raise ServerError("login", "401")

    monkeypatch.setattr(module, "connect", refuse)
    failed = play(module)
    assert failed["reason"] == "login" and failed["msg"].startswith("cloud: the cloud refuses the login (401). Accepted: ")


def test_info_tells_problems_as_messages_and_changes_nothing(play, stack):
    found = play(openstack_server_info, flavor="p9", variable_names={"flavor": "openstack_server_flavor"})
    assert len(found["problems"]) == 1 and found["problems"][0].startswith(
        "openstack_server_flavor is 'p9': no such flavor; there are cb1, p1-1.5gb. Accepted:"
    )
    assert not found["changed"] and found["plan"] == [] and stack.calls == []


def test_info_tells_what_would_be_done_and_who_is_logged_in(play, stack):
    found = play(openstack_server_info)
    assert found["problems"] == [] and not found["exists"] and found["plan"] == play(check=True)["steps"]
    assert found["quota"]["volumes"] == {"needed": 1, "free": 4}
    assert found["login"]["project_name"] == "lab" and found["login"]["roles"] == ["member"]
    play()
    after = play(openstack_server_info)
    assert (after["exists"], after["status"], after["plan"], after["quota"]["volumes"]["needed"]) == (True, "ACTIVE", [], 0)


def test_info_tells_a_machine_that_nobody_can_repair(play, stack):
    play()
    stack.one("servers")["status"] = "SHELVED"
    found = play(openstack_server_info)
    assert len(found["problems"]) == 1 and "server lab-mlflow is SHELVED" in found["problems"][0] and found["plan"] == []


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ServerError("network", "none", hint="Name it."), ("network", "none", {"hint": "Name it."})),
        (CloudError("no_s3", "of another role"), ("config", "of another role", {})),
    ],
)
def test_every_failure_has_a_message(error, expected):
    assert manage.failure(error) == expected


def test_a_final_refusal_names_the_request(play, stack):
    stack.script = {1: 400}
    assert play()["msg"].startswith("name is 'lab-mlflow': the cloud refuses it (compute, POST /os-keypairs: status 400: told to say 400)")


@pytest.mark.parametrize("module", MODULES)
def test_every_result_is_documented_with_a_sample(play, module):
    documented = yaml.safe_load(module.RETURN)
    results = [play(module), play(module, flavor="p9", image="x")]
    common = {"changed", "failed", "msg", "invocation", "diff", "warnings", "exception"}
    assert {name for result in results for name in result} - common <= set(documented)
    assert [name for name, value in documented.items() if "sample" not in value] == []
    for name, value in documented.items():
        assert isinstance(value["sample"], {"str": str, "bool": bool, "list": list, "dict": dict}[value["type"]]), name


def test_documentation_names_every_option_and_default():
    shared = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    own = yaml.safe_load(openstack_server.DOCUMENTATION)["options"]
    keys = ("type", "default", "required", "choices", "elements")
    for documented, spec in ((shared, SERVER), (own, openstack_server.OWN)):
        assert {name: [option.get(key) for key in keys] for name, option in documented.items()} == {
            name: [option.get(key) for key in keys] for name, option in spec.items()
        }
