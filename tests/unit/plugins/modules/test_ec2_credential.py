# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules as Ansible runs them, with openstacksdk, against a cloud on loopback; the lookup reads what they wrote."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.labtrack.mlflow.plugins.doc_fragments.openstack import ModuleDocFragment
from ansible_collections.labtrack.mlflow.plugins.module_utils._ec2_store import STORE
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_arguments import CLOUD
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_messages import MESSAGES
from ansible_collections.labtrack.mlflow.plugins.modules import ec2_credential, ec2_credential_info
from plugins.fake_cloud import BLOCKED
from plugins.fake_cloud_http import PASSWORD
from suite.paths import BIN, tool_environment

from plugins import fake_cloud_http


@pytest.fixture
def cloud(monkeypatch, tmp_path):
    for name in [name for name in os.environ if name.startswith("OS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))
    with fake_cloud_http.running() as server:
        yield server


@pytest.fixture
def play(cloud, tmp_path, capsys):
    """Run a module: its result, as it is printed."""

    def run(module=ec2_credential, check=False, **options):
        plain = {"auth": cloud.auth, "timeout": 5}
        if module is ec2_credential:
            plain.update(path=str(tmp_path / "key.json"))
        with patch_module_args({**plain, **options, "_ansible_check_mode": check}), pytest.raises(SystemExit):
            module.main()
        printed = capsys.readouterr().out
        assert PASSWORD not in printed
        return json.loads(printed)

    return run


def test_a_key_and_its_rotation(play, cloud, tmp_path):
    assert play(check=True)["done"] == ["create"] and not cloud.keystone.keys
    first = play()
    assert first["changed"] and first["access_key"] == "new-1" and first["s3_endpoint"] == cloud.url
    assert "secret-of-new-1" not in json.dumps(first)
    assert not play()["changed"]
    second = play(state="rotated")
    assert (second["access_key"], second["previous_access_key"]) == ("new-2", "new-1")
    assert second["diff"]["before"]["access_key"] == "new-1" and second["diff"]["after"]["access_key"] == "new-2"
    assert play(state="retired")["changed"] and set(cloud.keystone.keys) == {"new-2"}
    assert play(return_secret=True)["secret_key"] == "secret-of-new-2"
    assert play(state="absent")["changed"] and not cloud.keystone.keys and not (tmp_path / "key.json").exists()


def test_a_failure_has_a_reason(play, cloud):
    cloud.keystone.script["GET"] = [fake_cloud_http.Keystone().call("GET", "/users/x/credentials/OS-EC2").__class__(403, {"error": {"message": BLOCKED}})]
    found = play(variable_names={"access_key": "site_s3_access_key"})
    assert found["failed"] and found["reason"] == "delegated" and "(c) Ask" in found["msg"]


def test_a_store_that_cannot_be_used_has_a_kind(play):
    found = play(s3_endpoint="https://no-such-host.invalid")
    assert (found["reason"], found["kind"]) == ("store", "dns") and found["msg"].startswith("s3_endpoint is 'https://no-such-host.invalid'")


def test_a_configuration_in_the_task_is_hidden(play, cloud):
    assert not play(cloud={"auth": {**cloud.auth, "password": "wrong-one"}}, auth=None).get("changed")
    found = play(cloud={"auth": cloud.auth}, auth=None)
    assert found["access_key"] == "new-1" and PASSWORD not in json.dumps(found)


def test_a_warning_is_shown(play, cloud, monkeypatch):
    shown = []
    monkeypatch.setattr(ec2_credential.AnsibleModule, "warn", lambda module, text: shown.append(text))
    cloud.token = {**cloud.token, "application_credential": {"id": "app-1", "name": "n", "restricted": True}}
    play(check=True, auth=cloud.app_auth, auth_type="v3applicationcredential")
    assert len(shown) == 1 and "restricted application credential" in shown[0]


def test_info(play, cloud):
    cloud.keystone.add("a")
    found = play(ec2_credential_info)
    assert [key["access_key"] for key in found["credentials"]] == ["a"] and "secret-of-a" not in json.dumps(found)
    assert found["login"]["user_name"] == "someone" and found["s3_endpoints"] == [cloud.url]
    assert play(ec2_credential_info, return_secrets=True)["credentials"][0]["secret_key"] == "secret-of-a"
    assert play(ec2_credential_info, auth={**cloud.auth, "password": "wrong-one"})["reason"] == "login"


def test_documentation_names_every_option_default_and_alias():
    shared = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    assert set(shared) == set(CLOUD)
    for name, option in shared.items():
        assert {key: CLOUD[name].get(key) for key in ("type", "default", "choices", "aliases")} == {
            key: option.get(key) for key in ("type", "default", "choices", "aliases")
        }, name
    own = yaml.safe_load(ec2_credential.DOCUMENTATION)["options"]
    spec = {**STORE, **ec2_credential.KEY}
    assert {name: (option["type"], option.get("default")) for name, option in own.items()} == {
        name: (option["type"], option.get("default")) for name, option in spec.items()
    }


def test_documentation_names_every_reason():
    text = " ".join(yaml.safe_load(ec2_credential.RETURN)["reason"]["description"])
    assert not [reason for reason in [*MESSAGES, "store"] if f"V({reason})" not in text]


def look(path, field="all"):
    """Ansible itself, asked for the lookup's result."""
    message = f"{{{{ lookup('labtrack.mlflow.ec2_credential', '{path}', field='{field}') | to_json }}}}"
    command = [str(BIN / "ansible"), "localhost", "-i", "localhost,", "-m", "ansible.builtin.debug", "-a", json.dumps({"msg": message})]
    done = subprocess.run(command, env=tool_environment(ANSIBLE_FORCE_COLOR="0"), capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_lookup_reads_what_was_written(play, cloud, tmp_path):
    play()
    code, output = look(tmp_path / "key.json")
    assert code == 0 and "access_key" in output and "secret-of-new-1" in output and cloud.url in output
    code, output = look(tmp_path / "key.json", "access_key")
    assert code == 0 and "new-1" in output and "secret" not in output


@pytest.mark.parametrize(("text", "problem"), [(None, "is no file on this machine"), ('{"format": 1}', "no verified key")])
def test_the_lookup_says_what_is_missing(tmp_path, text, problem):
    path = tmp_path / "key.json"
    if text is not None:
        path.write_text(text)
    code, output = look(path)
    assert code and problem in output and str(path) in output and "Run that module" in output
