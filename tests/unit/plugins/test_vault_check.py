# SPDX-License-Identifier: GPL-3.0-or-later
"""The callback vault_check finds the vaulted files of an inventory and names those that do not open."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from ansible import context
from ansible.errors import AnsibleError
from ansible.module_utils.common.collections import ImmutableDict
from ansible_collections.labtrack.mlflow.plugins.callback.vault_check import CallbackModule, vaulted_files


@pytest.fixture
def inventory(tmp_path):
    files = {"group_vars/all/vault.yml": "$ANSIBLE_VAULT;1.1;AES256\n00\n", "group_vars/all/site.yml": "site_name: x\n", "hosts.yml": "all:\n"}
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("source", ["", "hosts.yml"], ids=["directory", "file"])
def test_only_encrypted_files_are_tried(inventory, source):
    assert vaulted_files([str(inventory / source)]) == [inventory / "group_vars/all/vault.yml"]


@pytest.mark.parametrize(
    ("opens", "files", "expected"),
    [(True, [], ""), (False, ["password"], "The vault password is wrong: "), (False, [], "The vault password is missing or wrong: ")],
)
def test_message(inventory, monkeypatch, opens, files, expected):
    monkeypatch.setattr(context, "CLIARGS", ImmutableDict(inventory=[str(inventory), "localhost,"], vault_password_files=files))
    said = []

    def load(path):
        if not opens:
            raise AnsibleError("no")

    callback = CallbackModule()
    callback._display = SimpleNamespace(error=said.append)
    callback.v2_playbook_on_start(SimpleNamespace(_loader=SimpleNamespace(load_from_file=load)))
    assert bool(said) is not opens
    assert all(message.startswith(expected) and str(inventory / "group_vars/all/vault.yml") in message for message in said)
