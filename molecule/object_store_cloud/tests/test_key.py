# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of a key: made, rotated, kept by logins that can make none, deleted. The tests go on from each other, in this order."""

from __future__ import annotations

import datetime
import json
import shutil
import stat

import pytest
import yaml
from conftest import PROJECT, RECORD, WORK

ROTATE = PROJECT / "playbooks" / "rotate_credentials.yml"
BUCKET = "object-store-cloud-mlflow"
# all of them have the machine as a parameter: pytest would put those that have before those that have not
pytestmark = pytest.mark.usefixtures("host")


def changed(done) -> int:
    """Tasks that changed something, in a run that has to succeed."""
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    return sum(int(line.partition("changed=")[2].split()[0]) for line in done.stdout.splitlines() if "changed=" in line and "unreachable=" in line)


def words(done) -> str:
    """What a person reads, on one line."""
    return " ".join((done.stdout + done.stderr).split())


def test_the_key_is_recorded_for_its_owner_only(record, keys):
    assert stat.S_IMODE(RECORD.stat().st_mode) == 0o600
    assert record()["access_key"] in keys()


def test_mlflow_uses_it(record, used):
    assert used() == {record()["access_key"]}


def test_the_endpoint_came_from_the_catalogue(host, record):
    assert f"MLFLOW_S3_ENDPOINT_URL={record()['s3_endpoint']}" in host.file("/etc/labtrack/object_store/environment").content_string.splitlines()
    verdict = json.loads(host.file("/etc/labtrack/object_store/main.json").content_string)
    assert (verdict["bucket"], verdict["endpoint"]) == (BUCKET, record()["s3_endpoint"])


def test_check_mode_predicts_a_key_and_makes_none(play, keys):
    before, elsewhere = keys(), WORK / "fresh" / "host_vars" / "mlflow" / "ec2_credential.txt"
    shutil.rmtree(WORK / "fresh", ignore_errors=True)
    for prepared in (False, True):
        if prepared:
            elsewhere.parent.mkdir(parents=True)
        assert changed(play("converge.yml", "--check", as_record=str(elsewhere))) == 1, "the directory, then the key"
        assert keys() == before and not elsewhere.exists() and elsewhere.parent.exists() is prepared


def test_an_application_credential_makes_no_key_and_says_what_can_be_done(play, keys):
    before, elsewhere = keys(), WORK / "nowhere" / "host_vars" / "mlflow" / "ec2_credential.txt"
    for options in ((), ("--check",)):
        done = play("entry.yml", *options, entry="main", as_login="lab-b-app", as_record=str(elsewhere))
        assert done.returncode != 0
        for text in ("site_cloud 'lab-b-app'", "(a)", "(b)", "(c)", "site_s3_access_key", "object_store_credentials to provide"):
            assert text in words(done)
    assert keys() == before and not elsewhere.parent.exists()


def test_an_application_credential_works_with_the_recorded_key(play, keys):
    before = keys()
    assert changed(play("converge.yml", as_login="lab-b-app")) == 0
    assert keys() == before


def test_a_login_that_ends_is_told_in_time(play, lab, clouds_file, tmp_path):
    user, name = lab.current_user_id, "lt-object-store-cloud"
    ends = (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=10)).strftime("%Y-%m-%dT%H:%M:%S")
    for old in lab.identity.application_credentials(user, name=name):
        lab.identity.delete_application_credential(user, old)
    made = lab.identity.create_application_credential(user, name, expires_at=ends)
    clouds = yaml.safe_load(clouds_file.read_text(encoding="utf-8"))["clouds"]
    mine = {**clouds["lab-b-app"], "auth": {**clouds["lab-b-app"]["auth"], "application_credential_id": made.id, "application_credential_secret": made.secret}}
    (tmp_path / "clouds.yaml").write_text(yaml.safe_dump({"clouds": {"soon": mine}}), encoding="utf-8")
    try:
        for days, warned in ((30, True), (5, False)):
            done = play("entry.yml", entry="main", as_login="soon", as_clouds=str(tmp_path / "clouds.yaml"), object_store_credential_warn_days=days)
            assert changed(done) == 0
            summary = words(done).partition("SUMMARY")[2]
            assert (f"ends on {ends[:10]}" in summary) is warned, summary
    finally:
        lab.identity.delete_application_credential(user, made)


def test_an_interrupted_rotation_goes_on(play, record, keys, used):
    first = record()
    assert changed(play("entry.yml", entry="rotate")) == 1
    second = record()
    assert second["access_key"] != first["access_key"] and {first["access_key"], second["access_key"]} <= keys()
    assert used() == {first["access_key"]}, "the server has not been told yet"
    done = play(ROTATE)
    assert changed(done) > 0
    assert used() == {second["access_key"]} == {record()["access_key"]}, "no third key"
    assert second["access_key"] in keys() and first["access_key"] not in keys()
    assert second["access_key"] in words(done).partition("SUMMARY")[2]
    for secret in (first["secret_key"], second["secret_key"]):
        assert secret not in done.stdout + done.stderr, "a secret is in the log"


def test_after_a_rotation_nothing_is_left_to_do(play):
    assert changed(play("converge.yml")) == 0


def test_a_whole_rotation(play, record, keys, used):
    first = record()["access_key"]
    assert changed(play(ROTATE)) > 0
    assert record()["access_key"] != first and first not in keys()
    assert used() == {record()["access_key"]}


def test_given_keys_are_not_rotated(play, record):
    before = record()
    done = play(ROTATE, as_credentials="provide")
    assert changed(done) == 0 and record() == before
    assert "site_s3_secret_key" in words(done).partition("SUMMARY")[2]


def test_absent_keeps_the_key_unless_told_twice(host, play, record, keys):
    access = record()["access_key"]
    assert changed(play("entry.yml", entry="absent")) > 0
    assert access in keys() and RECORD.exists()
    wrong = play("entry.yml", entry="absent_data", object_store_destroy_data=True, object_store_destroy_confirm="another")
    assert wrong.returncode and "object_store_destroy_confirm 'another'" in words(wrong)
    assert access in keys() and RECORD.exists()
    twice = {"object_store_destroy_data": True, "object_store_destroy_confirm": "object-store-cloud"}
    assert changed(play("entry.yml", entry="absent_data", **twice)) == 2, "bucket and key"
    assert access not in keys() and not RECORD.exists()
    assert changed(play("entry.yml", entry="absent_data", **twice)) == 0
