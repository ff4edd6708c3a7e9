# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gets in: nobody without a right password, to no kind of path."""

from __future__ import annotations

import pytest
from https_client import RIGHT, WRONG, basic

API = [
    "/api/2.0/mlflow/experiments/search",
    "/ajax-api/2.0/mlflow/experiments/search",
    "/api/2.0/mlflow/users/get",
    "/ajax-api/2.0/mlflow/upload-artifact",
    "/graphql",
]
ASGI = [
    "/",
    "/version",
    "/get-artifact",
    "/model-versions/get-artifact",
    "/api/2.0/mlflow-artifacts/artifacts/1/a/artifacts/model.pkl",
    "/ajax-api/2.0/mlflow-artifacts/artifacts/1/a",
    "/api/3.0/mlflow/traces",
    "/api/3.0/mlflow/server-info",
    "/ajax-api/3.0/mlflow/server-info",
    "/api/2.0/mlflow/server-info",
    "/ajax-api/3.0/jobs/1",
    "/ajax-api/3.0/mlflow/assistant/x",
    "/gateway/chat",
    "/v1/traces",
    "/signup",
    "/healthy",
    "/health/more",
    "/static",
    "/favicon.ico",
    "/metrics",
    "/something/that/comes/later",
]
FILES = ["/static-files/static/js/main.0123abcd.js", "/static-files/static/js/plain.js", "/static-files/only-mlflow-has-it.js"]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def test_health_needs_no_login(client):
    assert client.ask("/health").status == 200


@pytest.mark.parametrize("path", API + ASGI + FILES)
def test_nothing_without_a_login(client, path):
    for method in METHODS:
        reply = client.ask(path, method=method)
        assert (reply.status, reply.headers["WWW-Authenticate"]) == (401, 'Basic realm="mlflow"'), method
        assert reply.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("path", API + ASGI + FILES)
def test_nothing_with_a_wrong_password(client, path):
    for method in ("GET", "POST"):
        reply = client.ask(path, WRONG, method=method)
        assert (reply.status, reply.headers.get_all("WWW-Authenticate")) == (401, ['Basic realm="mlflow"']), method


@pytest.mark.parametrize("value", ["Bearer token", "Basic", "Basic !", "Digest username=alice", "basic:YTpi", ""])
def test_only_a_basic_login_is_passed_on(client, value):
    assert client.ask("/api/2.0/mlflow/x", Authorization=value).status == 401


@pytest.mark.parametrize(("paths", "socket"), [(API, "api"), (ASGI, "asgi")])
def test_each_route_goes_to_its_application(client, paths, socket):
    for path in paths:
        reply = client.ask(path, RIGHT, method="POST", body=b"{}")
        assert (reply.status, reply.document["socket"], reply.document["path"]) == (200, socket, path)


def test_gateway_takes_its_own_header(client):
    assert client.ask("/gateway/chat", Authorization="Bearer provider-key", X_MLflow_Authorization=basic(RIGHT)).status == 200
    assert client.ask("/gateway/chat", Authorization="Bearer provider-key", X_MLflow_Authorization=basic(WRONG)).status == 401
    assert client.ask("/version", X_MLflow_Authorization=basic(RIGHT)).status == 401


@pytest.mark.parametrize(
    "path",
    ["/health/../version", "/static-files/..%2f..%2fversion", "/health/%2e%2e/version", "/./version", "/static-files/..\\version", "/a/..", "/a/..?b"],
)
def test_crooked_paths_are_refused(client, path):
    assert client.ask(path, RIGHT).status == 400
    assert client.ask(path).status in (400, 401)


def test_query_and_dots_in_names_are_no_crooked_paths(client):
    assert client.ask("/get-artifact?path=../x", RIGHT).status == 200
    assert client.ask("/api/2.0/mlflow-artifacts/artifacts/a..b/.hidden/c.", RIGHT).status == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "path",
    ["artifacts/backup", "artifacts/backup/lab/a", "artifacts/%62ackup/a", "artifacts//backup/a", "mpu/create/backup/a", "artifacts?path=backup"],
)
def test_backups_in_the_bucket_are_out_of_reach(client, path, method):
    assert client.ask(f"/api/2.0/mlflow-artifacts/{path}", RIGHT, method=method).status == 403


@pytest.mark.parametrize("path", ["artifacts/1/run/artifacts/backup/a", "artifacts/backups", "artifacts?path=1/run/artifacts/backup"])
def test_artifacts_of_a_similar_name_are_served(client, path):
    assert client.ask(f"/api/2.0/mlflow-artifacts/{path}", RIGHT).status == 200


def test_other_names_are_refused(client):
    for headers in ({"Host": "evil.example.org"}, {"Host": "mlflow.labtrack.test.evil.example.org"}):
        assert client.ask("/", RIGHT, **headers).status == 421
        assert client.ask("/", plain=True, **headers).status == 421


def test_alternative_name_and_address_are_served(client, address):
    for name in ("alias.labtrack.test", address):
        assert client.ask("/version", RIGHT, Host=name).status == 200


@pytest.mark.parametrize("origin", ["http://localhost:8888", "https://localhost", "http://127.0.0.1:5000", "http://[::1]:1"])
def test_pages_of_the_persons_own_computer_are_refused(client, origin):
    """MLflow would let them use the login, with credentials."""
    for path in ("/api/2.0/mlflow/x", "/api/3.0/mlflow/x", "/version"):
        assert client.ask(path, RIGHT, method="POST", body=b"{}", Origin=origin).status == 403
    assert client.ask("/api/2.0/mlflow/x", RIGHT, method="POST", body=b"{}", Origin="https://localhost.example.org").status == 200
