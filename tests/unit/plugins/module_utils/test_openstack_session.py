# SPDX-License-Identifier: GPL-3.0-or-later
"""Login and requests with the real openstacksdk: against a cloud on loopback, and with sessions that fail in each way."""

from __future__ import annotations

import json
import os
import socket

import pytest
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_arguments import CLOUD, connect_arguments
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_messages import CloudError
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_patience import Patience
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_session import NoAnswerError, Transport, connect, is_transient, login_error
from keystoneauth1 import exceptions
from plugins.fake_cloud import Clock

from plugins import fake_cloud_http


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    """Nobody's clouds.yaml, nobody's variables."""
    for name in [name for name in os.environ if name.startswith("OS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tmp_path / "clouds.yaml"))


@pytest.fixture
def cloud():
    with fake_cloud_http.running() as server:
        yield server


def log_in(seconds=30, **options):
    clock = Clock()
    params = {**dict.fromkeys(CLOUD), "interface": "public", **options}
    return connect(connect_arguments(params), Patience(seconds, clock.now, clock.sleep))


def refusal(**options):
    with pytest.raises(CloudError) as error:
        log_in(**options)
    return error.value


def test_password(cloud):
    login, transport = log_in(auth=cloud.auth)
    assert (login.user_id, login.project_id, login.methods, login.url) == ("user-1", "project-1", ["password"], f"{cloud.url}/v3")
    cloud.keystone.add("a")
    assert transport.call("GET", "/users/user-1/credentials/OS-EC2").body["credentials"][0]["access"] == "a"
    assert transport.call("POST", "/users/user-1/credentials/OS-EC2", {"tenant_id": "project-1"}).status == 201
    assert transport.call("DELETE", "/users/user-1/credentials/OS-EC2/a").status == 204


def test_application_credential(cloud):
    cloud.token = {**cloud.token, "application_credential": {"id": "app-1", "name": "labtrack", "restricted": True}}
    login, _transport = log_in(auth=cloud.app_auth, auth_type="v3applicationcredential")
    assert login.is_application_credential and login.restricted
    assert "scope" not in cloud.logins[0]


def test_whole_configuration(cloud):
    assert log_in(cloud={"auth": cloud.auth, "region_name": "RegionOne"})[0].region == "RegionOne"


def test_clouds_yaml_and_environment(cloud, tmp_path, monkeypatch):
    (tmp_path / "clouds.yaml").write_text(json.dumps({"clouds": {"lab": {"auth": cloud.auth, "region_name": "RegionOne"}}}))
    assert log_in(cloud="lab")[0].region == "RegionOne"
    monkeypatch.setenv("OS_CLOUD", "lab")
    assert log_in()[0].user_id == "user-1"


def test_the_catalogue_is_not_asked_for_the_address(cloud):
    """Keystone's own entry may name an address that only the cloud's inside reaches."""
    cloud.token = {**cloud.token, "catalog": [{"type": "identity", "endpoints": [{"interface": "public", "region_id": "RegionOne", "url": "http://10.0.0.1"}]}]}
    login, transport = log_in(auth=cloud.auth)
    assert login.url == f"{cloud.url}/v3" and transport.call("GET", "/users/user-1/credentials/OS-EC2").status == 200


@pytest.mark.parametrize("scope", ["project_name", "project_id"])
def test_scope_beside_an_application_credential(cloud, scope):
    error = refusal(auth={**cloud.app_auth, scope: "lab"}, auth_type="v3applicationcredential")
    assert (error.reason, error.detail) == ("login_scope", scope)
    # a name without its domain is refused by keystoneauth itself
    assert ["scope" in auth for auth in cloud.logins] == ([True] if scope == "project_id" else [])


def test_scope_from_the_environment(cloud, monkeypatch):
    monkeypatch.setenv("OS_PROJECT_NAME", "lab")
    assert refusal(auth=cloud.app_auth, auth_type="v3applicationcredential").reason == "login_scope"


def test_wrong_password(cloud):
    error = refusal(auth={**cloud.auth, "password": "wrong-one"})
    assert error.reason == "login" and "wrong-one" not in str(error) and len(cloud.logins) == 1


def test_expired_token(cloud):
    error = refusal(auth={"auth_url": cloud.auth["auth_url"], "token": "old", "project_name": "lab", "project_domain_name": "Default"}, auth_type="v3token")
    assert error.reason == "login_expired"


def test_wrong_region(cloud):
    error = refusal(auth=cloud.auth, region_name="regionOne")
    assert (error.reason, error.detail) == ("wrong_region", "RegionOne")


def test_region_that_clouds_yaml_does_not_list(cloud, tmp_path):
    (tmp_path / "clouds.yaml").write_text(json.dumps({"clouds": {"lab": {"auth": cloud.auth, "regions": ["RegionOne", "Two"]}}}))
    error = refusal(cloud="lab", region_name="three")
    assert (error.reason, error.detail) == ("wrong_region", "RegionOne,Two")


@pytest.mark.parametrize(
    ("options", "word"), [({"cloud": "nowhere"}, "nowhere"), ({}, "auth"), ({"auth": {"auth_url": "http://x/v3"}, "auth_type": "nonsense"}, "nonsense")]
)
def test_no_way_to_log_in(options, word):
    error = refusal(**options)
    assert error.reason == "config" and word in error.detail


def test_a_login_without_keystone():
    assert refusal(auth={"endpoint": "http://127.0.0.1:1"}, auth_type="none").reason == "config"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_login_is_tried_again(cloud, status):
    cloud.login_script = [status, status]
    assert log_in(auth=cloud.auth)[0].user_id == "user-1"
    cloud.login_script = [status] * 99
    assert refusal(auth=cloud.auth).reason == "unavailable"


def closed():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


@pytest.mark.parametrize("path", ["/v3", ""])
def test_nobody_listens(path):
    auth = {"auth_url": f"http://127.0.0.1:{closed()}{path}", "username": "u", "password": "p", "project_name": "lab", "user_domain_name": "Default"}
    assert refusal(auth=auth, seconds=3).reason == "unavailable"


def test_an_unknown_host_is_not_waited_for():
    clock = Clock()
    auth = {"auth_url": "https://no-such-host.invalid/v3", "username": "u", "password": "p", "project_name": "lab", "user_domain_name": "Default"}
    params = {**dict.fromkeys(CLOUD), "interface": "public", "auth": auth}
    with pytest.raises(CloudError):
        connect(connect_arguments(params), Patience(9, clock.now, clock.sleep))
    error = exceptions.ConnectFailure("Unable to establish connection to https://x: [Errno -2] Name or service not known")
    assert not is_transient(error) and login_error(error, {}, "").reason == "config"


def test_no_tls_there(cloud):
    auth = {**cloud.auth, "auth_url": cloud.auth["auth_url"].replace("http:", "https:")}
    assert refusal(auth=auth).reason == "tls"


def test_an_address_that_is_no_keystone(cloud):
    assert refusal(auth={**cloud.auth, "auth_url": f"{cloud.url}/elsewhere"}).reason == "config"


def test_a_broken_connection_is_no_answer(cloud):
    _login, transport = log_in(auth=cloud.auth)
    cloud.keystone.script["POST"] = ["made and lost"]
    with pytest.raises(NoAnswerError):
        transport.call("POST", "/users/user-1/credentials/OS-EC2", {"tenant_id": "project-1"})


@pytest.mark.usefixtures("no_sdk")
def test_without_the_sdk():
    error = refusal()
    assert error.reason == "sdk" and "openstack" in error.detail


class Session:
    """Raises, or answers; remembers what it was asked to log."""

    def __init__(self, told):
        self.told, self.options = told, {}

    def request(self, url, method, **options):
        self.url, self.options = url, options
        if isinstance(self.told, Exception):
            raise self.told
        return self.told


class Answer:
    """Of requests."""

    def __init__(self, status, content, **headers):
        self.status_code, self.content, self.headers = status, content, {name.replace("_", "-"): value for name, value in headers.items()}

    def json(self):
        return json.loads(self.content)


def ask(told):
    session = Session(told)
    return session, Transport(session, "https://id.test/v3", exceptions).call("GET", "/x")


def test_secrets_are_never_logged():
    session, reply = ask(Answer(200, b'{"credentials": []}'))
    assert session.options["log"] is False and session.options["raise_exc"] is False and session.url == "https://id.test/v3/x"
    assert reply.body == {"credentials": []} and reply.message == ""


@pytest.mark.parametrize("content", [b"", b"<html/>", b"[]", b'"x"', b'{"error": "x"}'])
def test_answers_that_say_nothing(content):
    _session, reply = ask(Answer(502, content, Retry_After="Fri, 21 Nov 2026 12:00:00 GMT"))
    assert reply.status == 502 and reply.message == "" and reply.retry_after == 0


def test_retry_after():
    assert ask(Answer(429, b"{}", Retry_After="7"))[1].retry_after == 7


@pytest.mark.parametrize(
    "error", [exceptions.ConnectFailure("x"), exceptions.ConnectTimeout("x"), exceptions.UnknownConnectionError("x", None), exceptions.ServiceUnavailable("x")]
)
def test_what_may_have_been_carried_out(error):
    with pytest.raises(NoAnswerError):
        ask(error)


@pytest.mark.parametrize(
    ("error", "reason"), [(exceptions.SSLError("x"), "tls"), (exceptions.Unauthorized("x"), "login_expired"), (exceptions.EmptyCatalog("x"), "no_s3")]
)
def test_what_can_never_work(error, reason):
    with pytest.raises(CloudError) as found:
        ask(error)
    assert found.value.reason == reason


@pytest.mark.parametrize(
    ("error", "auth", "auth_type", "reason"),
    [
        (exceptions.Unauthorized("The token has expired"), {"username": "u"}, "password", "login_expired"),
        (exceptions.Forbidden("x"), {"username": "u"}, "password", "login"),
        (exceptions.HttpNotImplemented("x"), {"username": "u"}, "password", "no_s3"),
        (exceptions.EndpointNotFound("x"), {"username": "u"}, "password", "no_s3"),
        (exceptions.BadRequest("x"), {"application_credential_id": "a", "trust_id": "t"}, "v3applicationcredential", "login_scope"),
        (exceptions.AuthorizationFailure("cannot be scoped to multiple targets"), {"application_credential_id": "a", "domain_id": "d"}, "", "login_scope"),
        (exceptions.NotFound("x"), {"username": "u"}, "password", "config"),
        (exceptions.NotFound("x"), {"token": "t"}, "v3token", "config"),
        (exceptions.NotFound("Could not find Application Credential: a."), {"application_credential_id": "a"}, "v3applicationcredential", "login"),
        (exceptions.NotFound("Failed to validate token"), {"token": "t"}, "v3token", "login_expired"),
        (exceptions.NotFound("Failed to validate token"), {"token": "t"}, "token", "login_expired"),
    ],
)
def test_login_errors(error, auth, auth_type, reason):
    assert login_error(error, auth, auth_type).reason == reason
