# SPDX-License-Identifier: GPL-3.0-or-later
"""The record: private, whole, one run at a time; trying a key at the store."""

from __future__ import annotations

import json
import os
import stat
import threading

import pytest
from ansible_collections.labtrack.mlflow.plugins.module_utils._ec2_record import Record, fields
from ansible_collections.labtrack.mlflow.plugins.module_utils._ec2_store import NOBODY, Store
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_keys import Key
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_messages import CloudError
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_patience import Patience
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_http import Answer, StoreError
from plugins.fake_cloud import ENDPOINT, Clock

from plugins import fake_cloud

FULL = {"format": 1, "access_key": "a", "secret_key": "s", "s3_endpoint": ENDPOINT, "previous": {"access_key": "b", "secret_key": "t"}}


def test_only_the_owner_can_read_it(tmp_path):
    os.umask(os.umask(0))
    record = Record(str(tmp_path / "key.json"))
    record.data = {"access_key": "a", "secret_key": "s"}
    record.save()
    assert stat.S_IMODE(os.stat(record.path).st_mode) == 0o600
    assert os.listdir(tmp_path) == ["key.json"]
    assert json.loads((tmp_path / "key.json").read_text()) == {"format": 1, "access_key": "a", "secret_key": "s"}


def test_wider_rights_of_an_old_file_do_not_stay(tmp_path):
    path = tmp_path / "key.json"
    path.write_text(json.dumps(FULL))
    path.chmod(0o644)
    with Record(str(path)).locked() as record:
        assert record.access() == "a" and record.access("previous") == "b" and record.recorded() == {"a", "b"}
        record.save()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("text", "problem"), [("{", "no JSON"), ("[]", "format"), ('{"format": 2}', "format"), ("", "no JSON"), ("$ANSIBLE_VAULT;1.1;AES256\n", "encrypted")]
)
def test_what_is_no_record_is_left_alone(tmp_path, text, problem):
    path = tmp_path / "key.json"
    path.write_text(text)
    with pytest.raises(CloudError) as error:
        with Record(str(path)).locked():
            pass
    assert error.value.reason == "record" and problem in error.value.detail and path.read_text() == text


def test_a_directory_that_is_missing_or_no_directory(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "none" / "key.json", tmp_path / "file" / "key.json"):
        with pytest.raises(CloudError) as error:
            with Record(str(path)).locked():
                pass
        assert error.value.reason == "record" and str(path.parent) in error.value.detail


def test_a_file_that_cannot_be_replaced_leaves_no_rest(tmp_path):
    (tmp_path / "key.json").mkdir()
    with pytest.raises(CloudError):
        Record(str(tmp_path / "key.json")).save()
    assert os.listdir(tmp_path) == ["key.json"]


def test_a_second_run_waits_for_the_first(tmp_path):
    order, path = [], str(tmp_path / "key.json")

    def second():
        with Record(path).locked() as record:
            order.append(record.access())

    with Record(path).locked() as record:
        waiting = threading.Thread(target=second)
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
        record.data = {"access_key": "made by the first"}
        record.save()
    waiting.join(5)
    assert order == ["made by the first"]


def test_without_path_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Record("").locked() as record:
        record.data = {"access_key": "a"}
        record.save()
        record.remove()
    assert os.listdir(tmp_path) == []


def test_parts_for_the_lookup():
    found = fields(json.dumps(FULL))
    assert found["access_key"] == "a" and found["secret_key"] == "s" and found["previous_access_key"] == "b" and found["created_at"] == ""


@pytest.mark.parametrize("data", [{"format": 1}, {"format": 1, "candidate": {"access_key": "a"}}, {"format": 1, "access_key": "a"}])
def test_a_key_that_was_not_verified_is_not_given_out(data):
    with pytest.raises(ValueError, match="no verified key"):
        fields(json.dumps(data))


KEY = Key("a", "secret-of-a")


@pytest.fixture
def shop():
    keystone = fake_cloud.Keystone()
    keystone.add("a")
    return fake_cloud.Store(keystone)


def store(shop, clock):
    return Store(f"{ENDPOINT}/", "RegionOne", "/ca.pem", Patience(60, clock.now, clock.sleep), shop)


def test_a_key_that_works(shop):
    store(shop, Clock()).until_accepted(KEY)
    assert shop.where == (ENDPOINT, "RegionOne", "/ca.pem")


def test_the_store_may_learn_of_a_key_late(shop):
    clock, shop.late = Clock(), 3
    store(shop, clock).until_accepted(KEY)
    assert clock.slept == [0.5, 1, 2]


@pytest.mark.parametrize("kind", ["timeout", "refused", "network"])
def test_a_store_that_is_away_for_a_while(shop, kind):
    shop.broken = [kind] * 2
    store(shop, Clock()).until_accepted(KEY)
    shop.broken = [kind] * 2
    store(shop, Clock()).check()
    shop.broken = [kind] * 20
    with pytest.raises(StoreError, match=kind):
        store(shop, Clock()).until_accepted(KEY)


@pytest.mark.parametrize("kind", ["dns", "tls_ca", "ca_missing", "clock", "region", "not_s3"])
def test_what_waiting_does_not_change(shop, kind):
    for method, arguments in (("until_accepted", [KEY]), ("check", [])):
        clock, shop.broken = Clock(), [kind]
        with pytest.raises(StoreError, match=kind):
            getattr(store(shop, clock), method)(*arguments)
        assert clock.slept == []


def test_a_key_that_is_never_accepted(shop):
    clock = Clock()
    with pytest.raises(CloudError) as error:
        store(shop, clock).until_accepted(Key("b", "x"))
    assert error.value.reason == "verification" and "InvalidAccessKeyId" in error.value.detail and 45 <= clock.seconds <= 60


def test_a_store_is_found_without_a_key(shop):
    clock = Clock()
    store(shop, clock).check()
    assert shop.asked == [NOBODY.access] and clock.slept == []


class Told:
    """Answers what it was told."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def __call__(self, *_where):
        return self

    def get(self, _path):
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize("answer", [Answer(200, {}, b"<html>hello</html>"), Answer(301, {}, b""), Answer(307, {}, b"")])
def test_a_web_page_is_no_store(answer):
    with pytest.raises(StoreError, match="without a list of buckets"):
        store(Told(answer), Clock()).check()


@pytest.mark.parametrize("answer", [Answer(503, {}, b"", "SlowDown"), StoreError("not_s3", "status 502")])
def test_a_store_in_trouble(answer):
    good = Answer(200, {}, b"<ListAllMyBucketsResult/>")
    store(Told(answer, good), Clock()).until_accepted(KEY)
    with pytest.raises(CloudError) as error:
        store(Told(answer), Clock()).until_accepted(KEY)
    assert "status 50" in error.value.detail
    with pytest.raises(StoreError, match="server"):
        store(Told(answer), Clock()).check()


def test_a_key_without_rights_is_not_accepted():
    with pytest.raises(CloudError, match="AccessDenied"):
        store(Told(Answer(403, {}, b"", "AccessDenied")), Clock()).until_accepted(KEY)
