# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets in files, replaced in steps that may be interrupted anywhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_rotation import RotationError, Secret, chosen, record


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A key in use."""
    path = tmp_path / "kek_passphrase"
    path.write_text("first\n", encoding="utf-8")
    path.chmod(0o640)
    return path


def test_a_made_one_replaces_the_first_which_stays_beside_it(file):
    secret = Secret(file)
    assert secret.is_due() and secret.begin()
    assert secret.earlier == "first" and len(secret.text) >= 43
    assert file.stat().st_mode & 0o777 == secret.old.stat().st_mode & 0o777 == 0o640


def test_a_repetition_makes_no_further_one(file):
    Secret(file).begin()
    made = Secret(file).text
    assert Secret(file).is_due() and not Secret(file).begin()
    assert Secret(file).text == made and Secret(file).earlier == "first"


def test_an_interruption_between_the_two_files_is_made_good(file):
    Secret(file).old.write_text("first\n", encoding="utf-8")
    assert Secret(file).begin()
    assert Secret(file).text != "first"


def test_a_given_one_is_written_once(file):
    assert Secret(file, "second").begin()
    assert (Secret(file).text, Secret(file).earlier) == ("second", "first")
    assert not Secret(file, "second").begin()


def test_a_given_one_in_use_is_not_due(file):
    assert not Secret(file, "first").is_due()
    assert Secret(file, "second").is_due()


def test_a_third_value_waits_for_the_second(file):
    Secret(file, "second").begin()
    with pytest.raises(RotationError, match="not finished"):
        Secret(file, "third").begin()
    assert (Secret(file).text, Secret(file).earlier) == ("second", "first")


def test_the_end(file):
    secret = Secret(file)
    secret.begin()
    secret.finish()
    assert not secret.earlier and not secret.old.exists()


def test_no_value_is_printed(file):
    assert "second" not in repr(Secret(file, "second"))


def test_the_uri_lies_with_the_configuration(tmp_path):
    found = chosen("/keys", "/config", ["kek_passphrase", "database_uri"], {"database_uri": "x"})
    assert [str(secret.path) for secret in found] == ["/keys/kek_passphrase", "/config/database_uri"]


def test_the_record_keeps_what_it_knows(tmp_path):
    path = tmp_path / "rotated.json"
    record(path, ["a"], now=1)
    record(path, ["b"], now=2)
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": 1, "b": 2}
    path.write_text("{", encoding="utf-8")
    record(path, ["c"], now=3)
    assert json.loads(path.read_text(encoding="utf-8")) == {"c": 3}
