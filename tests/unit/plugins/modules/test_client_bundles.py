# SPDX-License-Identifier: GPL-3.0-or-later
"""Bundles of many people from the one of a placeholder."""

from __future__ import annotations

import json

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_database import write_credentials
from ansible_collections.labtrack.mlflow.plugins.modules import client_bundles


@pytest.fixture
def bundles(tmp_path):
    pattern = tmp_path / ".pattern"
    write_credentials(str(pattern / "credentials"), "nobody-yet", "secret-of-nobody")
    (pattern / "README.txt").write_text(f"User: nobody-yet\nsource {pattern}/mlflow_env.sh\n")
    (pattern / "labtrack-doctor").write_text("#!/bin/sh\n")
    (pattern / "labtrack-doctor").chmod(0o755)
    (pattern / ".state").mkdir()
    for name in ("ana", "bo"):
        write_credentials(str(tmp_path / name / "credentials"), name, f"password-of-{name}")
    return tmp_path


@pytest.fixture
def play(bundles, capsys):
    def run(check=False, **options):
        arguments = {"pattern_dir": str(bundles / ".pattern"), "pattern_username": "nobody-yet", "bundles_dir": str(bundles), "users": ["ana", "bo"]}
        with patch_module_args({**arguments, **options, "_ansible_check_mode": check}), pytest.raises(SystemExit):
            client_bundles.main()
        printed = capsys.readouterr().out
        assert "password-of" not in printed and "secret-of" not in printed
        return json.loads(printed)

    return run


def test_each_person_gets_all_files_with_their_own_login(play, bundles):
    assert len(play(check=True)["files"]) == 4 and not (bundles / "ana" / "README.txt").exists()
    assert play()["changed"]
    assert (bundles / "ana" / "README.txt").read_text() == f"User: ana\nsource {bundles}/ana/mlflow_env.sh\n"
    assert (bundles / "bo" / "credentials").read_text() == "[mlflow]\nmlflow_tracking_username = bo\nmlflow_tracking_password = password-of-bo\n\n"
    modes = {path.name: path.stat().st_mode & 0o777 for path in (bundles / "bo").iterdir()}
    assert modes == {"credentials": 0o600, "README.txt": (bundles / ".pattern" / "README.txt").stat().st_mode & 0o777, "labtrack-doctor": 0o755}
    assert not play()["changed"]


def test_what_is_missing_is_told(play):
    assert "users has 'chris': " in play(users=["chris"])["msg"]
    assert "there is no bundle of somebody" in play(pattern_username="somebody")["msg"]
    assert "there is no bundle of nobody-yet" in play(pattern_dir="/none")["msg"]
