# SPDX-License-Identifier: GPL-3.0-or-later
"""Each mistake is refused before anything is changed, with the variable, its value, what is accepted, what to do."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from cases import CASES
from conftest import base, fingerprint, play


def test_the_machine_without_mistakes_passes(outcome):
    assert "good" not in outcome.messages, outcome.messages["good"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_mistake(outcome, case):
    assert case.name in outcome.messages, "it was let through"
    message = outcome.messages[case.name]
    for pattern in case.expected:
        assert re.search(pattern, message), message


def test_nothing_was_changed(outcome):
    assert outcome.changed == 0
    assert outcome.before == outcome.after


@pytest.mark.parametrize(("password", "said"), [("not-the-password", "is wrong"), (None, "is missing or wrong")], ids=["wrong", "missing"])
def test_vault_password(tmp_path, password, said):
    vault, right, given = tmp_path / "group_vars" / "all" / "vault.yml", tmp_path / "right", tmp_path / "given"
    vault.parent.mkdir(parents=True)
    vault.write_text("vault_s3_secret_key: canary-of-the-vault\n", encoding="utf-8")
    right.write_text("the-password\n", encoding="utf-8")
    subprocess.run([Path(sys.executable).parent / "ansible-vault", "encrypt", "--vault-password-file", right, vault], check=True, capture_output=True)
    machine, common = base()
    inventory = {"all": {"hosts": {"vaulted": machine}, "vars": common, "children": {"tracking_servers": {"hosts": {"vaulted": {}}}}}}
    options = []
    if password:
        given.write_text(f"{password}\n", encoding="utf-8")
        options = ["--vault-password-file", str(given)]
    before = fingerprint()
    done = play(inventory, tmp_path, *options)
    message = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0 and fingerprint() == before
    for part in (f"The vault password {said}: '{vault}' cannot be decrypted", "Accepted: the password", "nothing was changed"):
        assert part in message, message


def test_there_are_thirty():
    assert len(CASES) >= 30
