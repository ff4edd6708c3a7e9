# SPDX-License-Identifier: GPL-3.0-or-later
"""How the upgrade program is started, and what its answer means."""

from __future__ import annotations

import json

import pytest
from ansible_collections.labtrack.mlflow.plugins.module_utils import _mlflow_instance as instance
from ansible_collections.labtrack.mlflow.plugins.module_utils import _mlflow_upgrade as upgrade

REQUEST = {"unit": "labtrack-mlflow-main", "serving": "byhand", "program_dir": "/opt/main", "state_dir": "/var/lib/main"}


def test_the_gate_belongs_to_the_service_that_serves():
    found = upgrade.complete(REQUEST)
    assert found["gate"] == "/usr/bin/python3 -B /opt/main/upgrade gate /var/lib/main/upgrade byhand"
    assert found["lock"] == "/run/labtrack-mlflow-main-upgrade.lock"


@pytest.mark.parametrize(("step", "expected"), [("", False), ("done", False), ("reverted", False), ("swap", True), ("recover", True)])
def test_a_step_that_is_not_final_is_unfinished(tmp_path, step, expected):
    (tmp_path / "upgrade").mkdir()
    (tmp_path / "upgrade" / "journal.json").write_text(json.dumps({"step": step}))
    assert upgrade.unfinished({"state_dir": str(tmp_path)}) is expected


def test_without_a_journal_nothing_is_unfinished(tmp_path):
    assert upgrade.unfinished({"state_dir": str(tmp_path)}) is False


def test_answers(tmp_path):
    request = {"result": str(tmp_path / "result.json")}
    with pytest.raises(upgrade.UpgradeError, match="was killed"):
        upgrade.read_answer(request, "it was killed")
    (tmp_path / "result.json").write_text(json.dumps({"ok": False, "error": "no space"}))
    with pytest.raises(upgrade.UpgradeError, match="no space"):
        upgrade.read_answer(request, "it was killed")
    (tmp_path / "result.json").write_text(json.dumps({"ok": True, "result": {"record": 1}}))
    assert upgrade.read_answer(request, "it was killed") == {"record": 1}


def test_requests_are_for_root_only(tmp_path):
    upgrade.write_request(tmp_path / "request.json", {"a": 1})
    assert (tmp_path / "request.json").stat().st_mode & 0o777 == 0o600


def test_an_id_ends_a_database_name():
    assert len(upgrade.new_id()) == 15 and upgrade.new_id().replace("t", "").isdigit()


def test_releases_that_are_linked_or_kept(tmp_path):
    releases = tmp_path / "releases"
    releases.mkdir()
    assert instance.linked_release(str(releases)) == ""
    (tmp_path / "current").symlink_to("releases/3.17.2-b")
    assert instance.linked_release(str(releases)) == "3.17.2-b"
    records = {"1": {"from": "3.15.2-a"}, "2": {"from": "3.16.1-a", "rolled_back": {}}, "3": {"from": ""}}
    for name, record in records.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "record.json").write_text(json.dumps(record))
    assert instance.kept_releases(str(tmp_path)) == ["3.15.2-a"]
    assert instance.kept_releases("") == []
