# SPDX-License-Identifier: GPL-3.0-or-later
"""One connection to MLflow's REST API, and what a person reads when it does not work."""

from __future__ import annotations

import pytest
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_api import Api, ApiError
from plugins.fake_mlflow import ADMIN, PASSWORD, running


@pytest.fixture
def mlflow():
    with running() as server:
        yield server


@pytest.fixture
def api(mlflow):
    return Api(mlflow.uri, ADMIN, PASSWORD, timeout=5)


def test_one_connection_serves_many_requests(api, mlflow):
    first = api.call("GET", "users/list") and api.connection.sock
    assert api.call("GET", "roles/list", version="3.0") == {"roles": []} and api.connection.sock is first
    assert mlflow.log == ["GET /api/2.0/mlflow/users/list", "GET /api/3.0/mlflow/roles/list"] and api.requests == 2


def test_an_idle_connection_that_was_closed_is_opened_again(api, mlflow):
    mlflow.hang_up_after = 1
    api.call("GET", "users/list")
    assert api.call("GET", "users/list")["users"] and len(mlflow.log) == 2


def test_pages_are_read_to_the_end(api, mlflow):
    mlflow.page = 2
    for number in range(5):
        mlflow.post_experiments_create({"name": f"e{number}", "tags": []})
    rows = api.pages("POST", "experiments/search", "experiments", view_type="ALL")
    assert [row["name"] for row in rows] == ["Default", "e0", "e1", "e2", "e3", "e4"] and len(mlflow.log) == 3


def test_what_is_not_there_is_none_and_other_errors_stay(api):
    assert api.found("GET", "experiments/get-by-name", query={"experiment_name": "x"}) is None
    api.call("POST", "users/create", {"username": "ana", "password": "first-password"})
    with pytest.raises(ApiError, match=r"answered 400 to 'POST users/create': refused by the test") as error:
        api.found("POST", "users/create", {"username": "ana", "password": "first-password"})
    assert (error.value.status, error.value.code) == (400, "RESOURCE_ALREADY_EXISTS")


def test_a_login_is_tried_without_losing_the_own_one(api, mlflow):
    mlflow.passwords["ana"] = "password-of-ana"
    assert api.is_accepted("ana", "password-of-ana") and not api.is_accepted("ana", "another")
    assert api.call("GET", "users/list")


def test_a_wrong_password_and_missing_rights_are_told_apart_and_no_password_is_shown(mlflow):
    mlflow.passwords["ana"] = "password-of-ana"
    with pytest.raises(ApiError, match=r"username is 'ana': MLflow at \S+ refuses this login .* Correct username and password") as error:
        Api(mlflow.uri, "ana", "a-wrong-secret").call("GET", "users/list")
    assert "a-wrong-secret" not in str(error.value) and error.value.status == 401
    with pytest.raises(ApiError, match=r"forbids 'GET users/list'. Accepted: the login of an administrator"):
        Api(mlflow.uri, "ana", "password-of-ana").call("GET", "users/list")


@pytest.mark.parametrize("uri", ["mlflow.lab", "http://mlflow.lab", "ftp://mlflow.lab", "https://", "https://me:secret@mlflow.lab", "https://mlflow.lab:port"])
def test_addresses_that_are_refused(uri):
    with pytest.raises(ApiError, match=r"that is no address of a server. Accepted: https://") as error:
        Api(uri, "a", "b")
    assert "secret" not in str(error.value)


def test_a_missing_ca_and_a_silent_server(tmp_path):
    with pytest.raises(ApiError, match=r"ca_file is '.*none.pem': it cannot be used"):
        Api("https://mlflow.lab", "a", "b", ca_file=str(tmp_path / "none.pem"))
    with pytest.raises(ApiError, match=r"tracking_uri is 'unix:.*': MLflow does not answer"):
        Api(f"unix:{tmp_path}/none.sock", "a", "b").call("GET", "users/list")
