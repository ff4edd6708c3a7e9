# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins with the real openstacksdk against a Keystone on loopback; requests to a service, and each way in which they fail."""

from __future__ import annotations

import json
import os
from pathlib import Path

import openstack.config.loader  # remembers the working directory when it is loaded: not that of a test
import pytest
from ansible_collections.labtrack.mlflow.plugins.module_utils import _openstack_connect as connecting
from ansible_collections.labtrack.mlflow.plugins.module_utils._cloud_profiles import PROFILES
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_arguments import CLOUD, connect_arguments
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_cloud import Access, Cloud, RefusedError, said
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_connect import Sender, check_place, connect, translated
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_messages import CloudError
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_patience import Patience
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_messages import ServerError
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_session import NoAnswerError, Reply
from keystoneauth1 import exceptions
from plugins.fake_cloud import Clock

from plugins import fake_cloud_http


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    """Nobody's clouds.yaml, nobody's variables."""
    for name in [name for name in os.environ if name.startswith("OS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(openstack.config.loader, "CONFIG_FILES", [str(tmp_path / "clouds.yaml")])


@pytest.fixture
def keystone():
    with fake_cloud_http.running() as server:
        yield server


def log_in(profile="generic", **options):
    clock = Clock()
    params = {**dict.fromkeys(CLOUD), "interface": "public", "cloud": "", **options}
    return connect(connect_arguments(params), PROFILES[profile], Patience(30, clock.now, clock.sleep))


def refusal(**options):
    with pytest.raises(ServerError) as caught:
        log_in(**options)
    return caught.value


def write_clouds(keystone, **entries):
    Path("clouds.yaml").write_text(json.dumps({"clouds": {name: {"region_name": "RegionOne", **entry} for name, entry in entries.items()}}))


def test_an_entry_of_clouds_yaml(keystone):
    write_clouds(keystone, lab={"auth": keystone.auth})
    access = log_in(cloud="lab").access
    assert (access.project_id, access.region, access.identity_url) == ("project-1", "RegionOne", f"{keystone.url}/v3")


def test_the_environment(keystone, monkeypatch):
    for name, value in keystone.auth.items():
        monkeypatch.setenv(f"OS_{name.upper()}", value)
    assert log_in().access.methods == ("password",)


def test_the_environment_may_name_the_entry(keystone, monkeypatch):
    write_clouds(keystone, lab={"auth": keystone.auth})
    monkeypatch.setenv("OS_CLOUD", "lab")
    assert log_in().access.project_name == "lab"


def test_roles_come_from_the_token(keystone):
    write_clouds(keystone, lab={"auth": keystone.auth})
    keystone.token = {**keystone.token, "roles": [{"name": "reader"}, {"name": "member"}]}
    assert log_in(cloud="lab").access.roles == ("member", "reader")


def test_no_clouds_yaml(keystone):
    error = refusal(cloud="lab")
    assert error.reason == "no_clouds_yaml" and "openstack" in error.detail


def test_an_unknown_entry_is_told_with_those_there_are(keystone):
    write_clouds(keystone, one={"auth": keystone.auth}, two={"auth": keystone.auth})
    error = refusal(cloud="three")
    assert error.reason == "unknown_cloud" and error.detail.startswith("one, two (of ")


def test_nothing_says_how_to_log_in(keystone):
    assert refusal().reason == "no_login"
    write_clouds(keystone, one={"auth": keystone.auth})
    assert refusal().detail == "(one)"


def test_scope_beside_an_application_credential(keystone):
    write_clouds(keystone, lab={"auth_type": "v3applicationcredential", "auth": {**keystone.app_auth, "project_name": "lab"}})
    error = refusal(cloud="lab")
    assert (error.reason, error.detail) == ("login_scope", "project_name")


@pytest.mark.parametrize(("name", "value"), [("PROJECT_NAME", "lab"), ("PROJECT_ID", "project-1")])
def test_scope_beside_an_application_credential_in_the_environment(keystone, monkeypatch, name, value):
    for option, text in {**keystone.app_auth, "auth_type": "v3applicationcredential"}.items():
        monkeypatch.setenv(f"OS_{option.upper()}", text)
    monkeypatch.setenv(f"OS_{name}", value)
    error = refusal()
    assert (error.reason, error.detail) == ("login_scope", name.lower())


def test_a_wrong_secret_in_the_environment(keystone, monkeypatch):
    for option, text in {**keystone.app_auth, "application_credential_secret": "wrong", "auth_type": "v3applicationcredential"}.items():
        monkeypatch.setenv(f"OS_{option.upper()}", text)
    assert refusal().reason == "login"


def test_a_wrong_password(keystone):
    write_clouds(keystone, lab={"auth": {**keystone.auth, "password": "wrong"}})
    assert refusal(cloud="lab").reason == "login"


@pytest.mark.parametrize(("profile", "told"), [("generic", False), ("chameleon", True)])
def test_a_cloud_that_takes_no_password_says_so(profile, told):
    error = translated(CloudError("login", "401"), PROFILES[profile])
    assert ("passwords do not work there" in error.values.get("logins", "")) is told


def test_a_wrong_region(keystone):
    write_clouds(keystone, lab={"auth": keystone.auth, "region_name": "regionone"})
    error = refusal(cloud="lab")
    assert (error.reason, error.detail) == ("wrong_region", "RegionOne")


def test_a_wrong_address(keystone):
    write_clouds(keystone, lab={"auth": {**keystone.auth, "auth_url": "https://nowhere.invalid:5000/v3"}})
    assert refusal(cloud="lab").reason in ("config", "unavailable")


def test_a_login_without_keystone():
    assert refusal(auth={"endpoint": "http://127.0.0.1:1"}, auth_type="none").reason == "config"


def test_an_address_that_asks_for_a_login_is_no_keystone(keystone, monkeypatch):
    monkeypatch.setattr(connecting, "check_address", told("config", "is no Keystone"))
    write_clouds(keystone, lab={"auth": keystone.auth})
    assert refusal(cloud="lab").detail == "is no Keystone"


def test_a_value_that_openstacksdk_cannot_read(keystone):
    write_clouds(keystone, lab={"auth": keystone.auth, "api_timeout": "soon"})
    assert refusal(cloud="lab").reason == "config"


@pytest.mark.usefixtures("no_sdk")
def test_without_the_sdk():
    assert refusal(cloud="lab").reason == "sdk"


def told(reason, detail):
    def tell(*_arguments):
        raise CloudError(reason, detail)

    return tell


@pytest.mark.parametrize(
    ("url", "profile", "reason"),
    [
        ("https://arbutus.cloud.computecanada.ca:5000/v3", "arbutus", "retired"),
        ("https://arbutus.cloud.computecanada.ca:5000/v3", "generic", "retired"),
        ("https://pouta.csc.fi:5001/v3", "arbutus", "wrong_cloud"),
    ],
)
def test_a_login_at_another_cloud_than_the_profiles(url, profile, reason):
    with pytest.raises(ServerError) as caught:
        check_place(url, PROFILES[profile])
    assert caught.value.reason == reason


@pytest.mark.parametrize(("url", "profile"), [("https://identity.arbutus.alliancecan.ca/v3", "arbutus"), ("https://x.test:5000/v3", "generic")])
def test_a_login_at_the_profiles_cloud(url, profile):
    check_place(url, PROFILES[profile])


# requests
class Proxy:
    """One service of openstacksdk."""

    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def request(self, path, method, **options):
        self.asked.append((method, path, options))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Answer:
    """What requests returns."""

    def __init__(self, status, content=b"{}", **headers):
        self.status_code, self.content, self.headers = status, content, headers

    def json(self):
        return json.loads(self.content)


class SdkError(Exception):
    """The base of openstacksdk's."""


def sender(answer):
    connection = type("Connection", (), {})()
    connection.compute = Proxy(answer)
    return Sender(connection, exceptions, SdkError), connection.compute


def test_a_request_names_its_version_and_is_sent_once():
    send, proxy = sender(Answer(200, b'{"servers": []}'))
    assert send("compute", "GET", "/servers", None) == Reply(200, {"servers": []})
    assert proxy.asked == [("GET", "/servers", {"raise_exc": False, "connect_retries": 0, "microversion": "2.1", "timeout": 40.0})]


def test_an_answer_that_is_no_json_is_an_answer():
    assert sender(Answer(502, b"<html>Bad gateway", **{"Retry-After": "7"}))[0]("compute", "GET", "/", None) == Reply(502, {}, 7.0)


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (exceptions.ConnectFailure("x"), NoAnswerError, ""),
        (exceptions.http.ServiceUnavailable("x"), NoAnswerError, ""),
        (exceptions.EndpointNotFound("x"), ServerError, "no_service"),
        (exceptions.http.Unauthorized("x"), ServerError, "login_expired"),
        (SdkError("no such service"), ServerError, "no_service"),
        (OSError("invalid path of a CA bundle"), ServerError, "config"),
    ],
)
def test_a_request_without_an_answer(error, kind, reason):
    with pytest.raises(kind) as caught:
        sender(error)[0]("compute", "GET", "/", None)
    assert getattr(caught.value, "reason", "") == reason


def test_a_body_is_sent_as_json():
    send, proxy = sender(Answer(202, b""))
    assert send("compute", "POST", "/servers", {"server": {}}) == Reply(202, {})
    assert proxy.asked[0][2]["json"] == {"server": {}}
    assert "timeout" not in proxy.asked[0][2], "what changes something is waited for as long as the login says"


@pytest.mark.parametrize(("told", "seconds"), [(None, 40.0), (120, 40.0), (7, 7.0)])
def test_a_lost_answer_to_a_question_is_not_waited_for_long(keystone, told, seconds):
    write_clouds(keystone, lab={"auth": keystone.auth})
    assert log_in(cloud="lab", api_timeout=told).send.read_seconds == seconds


# retries
class Script:
    """Answers one after another; the last one for ever."""

    def __init__(self, *answers):
        self.answers, self.asked, self.clock = list(answers), [], Clock()

    def __call__(self, service, method, path, body):
        self.asked.append(f"{method} {path}")
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return Reply(*answer) if isinstance(answer, tuple) else Reply(answer, {})

    def cloud(self, seconds=300):
        return Cloud(self, Access("p"), Patience(seconds, self.clock.now, self.clock.sleep))


@pytest.mark.parametrize("failure", [429, 500, 502, 503, 504, 409, NoAnswerError("x")])
def test_what_passes_is_asked_again(failure):
    script = Script(failure, failure, (200, {"x": 1}))
    assert script.cloud().get("network", "/x") == {"x": 1} and len(script.asked) == 3


def test_the_server_says_how_long_to_wait():
    script = Script((429, {}, 20.0), 200)
    script.cloud().get("network", "/x")
    assert script.clock.slept == [20.0]


def test_a_conflict_that_lasts_is_final_and_a_quota_at_once():
    script = Script((409, {"NeutronError": {"message": "in use"}}))
    with pytest.raises(RefusedError, match="in use"):
        script.cloud().delete("network", "/x")
    assert 60 < script.clock.now() < 80
    script = Script((409, {"NeutronError": {"message": "Quota exceeded for resources: ['port']."}}))
    with pytest.raises(ServerError) as caught:
        script.cloud().create("network", "/ports", {"port": {}}, lambda: None)
    assert caught.value.reason == "quota" and len(script.asked) == 1


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ((403, {"forbidden": {"message": "Quota exceeded for cores"}}), "quota"),
        ((413, {"overLimit": {"message": "VolumeSizeExceedsAvailableQuota: Requested volume exceeds allowed gigabytes quota"}}), "quota"),
        ((403, {"forbidden": {"message": "Policy doesn't allow it"}}), "forbidden"),
        ((401, {}), "login_expired"),
    ],
)
def test_final_answers_have_a_reason(reply, reason):
    with pytest.raises(ServerError) as caught:
        Script(reply).cloud().get("compute", "/x")
    assert caught.value.reason == reason


def test_a_lost_answer_is_looked_for_before_another_try():
    found = {"id": "made"}
    script = Script(NoAnswerError("x"), (201, {"port": {"id": "twin"}}))
    assert script.cloud().create("network", "/ports", {"port": {}}, lambda: found) == found and len(script.asked) == 1
    assert script.cloud().create("network", "/ports", {"port": {}}, lambda: None) == {"id": "twin"}


def test_lists_are_read_to_their_end():
    pages = [(200, {"servers": [{"id": "a"}], "servers_links": [{"rel": "next", "href": "x"}]}), (200, {"servers": [{"id": "b"}]})]
    script = Script(*pages)
    assert [item["id"] for item in script.cloud().pages("compute", "/servers/detail?x=1", "servers")] == ["a", "b"]
    assert script.asked[1] == "GET /servers/detail?x=1&marker=a"
    script = Script((200, {"images": [{"id": "a"}], "next": "/v2/images?marker=a"}), (200, {"images": []}))
    assert len(script.cloud().pages("image", "/images", "images")) == 1 and script.asked[1] == "GET /images?marker=a"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"NeutronError": {"message": "No  more\nIP addresses", "type": "X"}}, "status 400: No more IP addresses"),
        ({"badRequest": {"message": "x", "code": 400}}, "status 400: x"),
        ({"message": "plain"}, "status 400: plain"),
        ({}, "status 400"),
    ],
)
def test_what_services_say(body, words):
    assert said(Reply(400, body)) == words
