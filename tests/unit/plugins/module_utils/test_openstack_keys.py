# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys on Keystone: every answer that it may give."""

from __future__ import annotations

import pytest
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_keys import Key, Keystone
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_login import Login
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_messages import CloudError, LostAnswerError, explain
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_patience import Patience
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_session import Reply
from plugins.fake_cloud import BLOCKED, RESTRICTED, TOKEN, Clock, app_token

from plugins import fake_cloud


@pytest.fixture
def cloud():
    return fake_cloud.Keystone()


@pytest.fixture
def clock():
    return Clock()


def client(cloud, clock, token=TOKEN):
    return Keystone(cloud, Login.from_token("https://id.cloud.test/v3", token), Patience(60, clock.now, clock.sleep))


def said(status, message):
    return Reply(status, {"error": {"message": message}})


def test_only_keys_of_the_project_are_seen(cloud, clock):
    cloud.add("a")
    cloud.add("b", project="project-2")
    cloud.add("c", user="user-2")
    assert client(cloud, clock).keys() == {"a": Key("a", "secret-of-a", "project-1", "user-1", "")}
    assert cloud.calls == [("GET", "/users/user-1/credentials/OS-EC2", None)]


def test_a_secret_is_not_printed():
    assert "hidden" not in repr(Key("a", "hidden"))


def test_a_new_key(cloud, clock):
    assert client(cloud, clock).create().access == "new-1"
    assert cloud.posts() == [("POST", "/users/user-1/credentials/OS-EC2", {"tenant_id": "project-1"})]


@pytest.mark.parametrize("status", [409, 429, 500, 502, 503, 504, "lost"])
def test_reading_is_tried_again(cloud, clock, status):
    cloud.add("a")
    cloud.script["GET"] = [status, status]
    assert set(client(cloud, clock).keys()) == {"a"} and clock.slept == [0.5, 1]


@pytest.mark.parametrize("status", [503, "lost"])
def test_reading_is_not_tried_for_ever(cloud, clock, status):
    cloud.script["GET"] = [status] * 100
    with pytest.raises(CloudError) as error:
        client(cloud, clock).keys()
    assert error.value.reason == "unavailable" and clock.seconds <= 60 and len(cloud.calls) == 8
    assert "timeout is '60'" in explain(error.value, {"timeout": 60})


def test_retry_after_is_obeyed(cloud, clock):
    cloud.script["GET"] = [Reply(429, {}, 20.0)]
    client(cloud, clock).keys()
    assert clock.slept == [20]


@pytest.mark.parametrize("status", [409, 429])
def test_a_creation_that_was_refused_for_now_is_tried_again(cloud, clock, status):
    cloud.script["POST"] = [status]
    assert client(cloud, clock).create().access == "new-1" and clock.slept == [0.5]


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, "lost", "made and lost", "made and 504", Reply(201, {}), Reply(201, {"credential": {}})])
def test_a_creation_without_answer_is_not_repeated_blindly(cloud, clock, status):
    cloud.script["POST"] = [status]
    with pytest.raises(LostAnswerError):
        client(cloud, clock).create()
    assert len(cloud.posts()) == 1


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (said(403, BLOCKED), "delegated"),
        (said(403, RESTRICTED), "delegated"),
        (said(403, "no role"), "forbidden"),
        (said(404, "gone"), "no_s3"),
        (said(410, "gone"), "no_s3"),
        (said(501, "not implemented"), "no_s3"),
        (said(401, "requires authentication"), "login_expired"),
        (said(403, "Unable to create additional credentials, maximum of 2 already exceeded for user."), "quota"),
        (said(418, "?"), "unavailable"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_refusals(cloud, clock, method, reply, reason):
    cloud.script[method] = [reply]
    keystone = client(cloud, clock)
    with pytest.raises(CloudError) as error:
        keystone.keys() if method == "GET" else keystone.create()
    assert error.value.reason == reason and f"status {reply.status}" in error.value.detail


def test_an_application_credential_is_told_three_ways_out(cloud, clock):
    cloud.script["POST"] = [said(403, RESTRICTED)]
    with pytest.raises(CloudError) as error:
        client(cloud, clock, app_token()).create()
    message = explain(error.value, {})
    assert all(way in message for way in ("(a) Log in once", "v3websso", "(b) Make an unrestricted", "(c) Ask"))


@pytest.mark.parametrize(("token", "text"), [(app_token(False), "no"), (app_token(True), BLOCKED)])
def test_the_way_that_does_not_lead_out_is_marked(cloud, clock, token, text):
    cloud.script["GET"] = [said(403, text)]
    with pytest.raises(CloudError) as error:
        client(cloud, clock, token).keys()
    assert "seems to refuse unrestricted ones, too" in explain(error.value, {})


def test_deleting(cloud, clock):
    cloud.add("a")
    client(cloud, clock).delete("a")
    assert not cloud.keys and cloud.calls == [("DELETE", "/users/user-1/credentials/OS-EC2/a", None)]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_key_that_is_gone_need_not_be_deleted(cloud, clock, status):
    cloud.script["DELETE"] = [status]
    client(cloud, clock).delete("a")


def test_a_key_that_stays_is_an_error(cloud, clock):
    cloud.add("a")
    cloud.script["DELETE"] = [403]
    with pytest.raises(CloudError) as error:
        client(cloud, clock).delete("a")
    assert error.value.reason == "forbidden"


def test_a_deletion_whose_answer_was_lost(cloud, clock):
    cloud.script["DELETE"] = ["lost"]
    client(cloud, clock).delete("a")
    assert [call[0] for call in cloud.calls] == ["DELETE", "DELETE", "GET"]


@pytest.mark.parametrize(
    ("found", "end"),
    [({"expires_at": "2027-01-31T00:00:00.000000"}, ("2027-01-31T00:00:00.000000", True)), ({"expires_at": None}, (None, True)), ({}, (None, False))],
)
def test_end_of_an_application_credential(cloud, clock, found, end):
    cloud.application_credentials["app-1"] = found
    assert client(cloud, clock, app_token()).application_credential_end() == end


def test_end_that_may_not_be_asked_for(cloud, clock):
    cloud.script["GET"] = [403]
    assert client(cloud, clock, app_token()).application_credential_end() == (None, False)
    cloud.script["GET"] = [503] * 100
    assert client(cloud, clock, app_token()).application_credential_end() == (None, False)


def test_other_logins_have_no_such_end(cloud, clock):
    assert client(cloud, clock).application_credential_end() == (None, True)
    assert cloud.calls == []
