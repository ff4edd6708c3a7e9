# SPDX-License-Identifier: GPL-3.0-or-later
"""Wrong passwords lead to a ban; nothing else does."""

from __future__ import annotations

import time

import pytest
from https_client import RIGHT, WRONG, basic


def start_afresh(host):
    """Forget bans and failures; the jail has its configured exemptions again."""
    host.check_output("fail2ban-client restart --unban labtrack-login")


@pytest.fixture
def banable(host, client, own_address):
    """The tests' address, not exempt from bans, with a clean record before and after."""
    start_afresh(host)
    yield own_address
    start_afresh(host)
    host.check_output("fail2ban-client set labtrack-login addignoreip %s", own_address)


def failures(host):
    return int([line for line in host.check_output("fail2ban-client status labtrack-login").splitlines() if "Total failed" in line][0].split()[-1])


def wait_for(condition, seconds=15):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.2)
    return condition()


def banned(host, address):
    return address in host.check_output("fail2ban-client status labtrack-login").rpartition("Banned IP list:")[2].split()


def test_wrong_passwords_are_banned_and_nothing_else(host, client, banable):
    host.check_output("logrotate --force /etc/logrotate.d/nginx")  # counting goes on in the new file
    before = failures(host)
    for _ in range(12):
        client.ask("/")  # a browser's first request
        client.ask("/api/2.0/mlflow/x", method="POST", body=b"{}")  # a job without a login
        client.ask("/api/2.0/mlflow/x", RIGHT, method="POST", body=b"{}")
        client.ask("/ajax-api/2.0/mlflow/users/current", ("mlflow-logged-out-mi3x", "mlflow-logged-out-mi3x"))  # "Logout" of the user interface
    client.ask("/", WRONG)
    assert wait_for(lambda: failures(host) > before)
    assert failures(host) == before + 1, "only the wrong password counts"
    for path in ("/version", "/api/2.0/mlflow/x", "/static-files/static/js/plain.js") * 3:
        assert client.ask(path, WRONG).status == 401
    assert wait_for(lambda: banned(host, banable))
    with pytest.raises(OSError, match="refused"):
        client.ask("/health")
    with pytest.raises(OSError, match="refused"):
        client.ask("/", plain=True)
    assert "f2b-table" in host.check_output("nft list tables")
    host.check_output("fail2ban-client unban %s", banable)
    assert wait_for(lambda: not banned(host, banable))
    assert client.ask("/health").status == 200


def test_a_user_name_cannot_forge_a_line_of_the_log(host, client, banable):
    before = failures(host)
    for name in ("2020-01-01T00:00:00+00:00 x", 'alice" 200 "', "a b", "127.0.0.1"):
        client.ask("/version", (name, "x"))
    assert wait_for(lambda: failures(host) == before + 4)


def test_pages_are_limited_and_calls_are_not(client):
    connection = client.connect()
    statuses = set()
    for _ in range(400):
        connection.request("GET", "/version", headers={"Authorization": basic(RIGHT)})
        answer = connection.getresponse()
        answer.read()
        statuses.add(answer.status)
        if answer.status == 429:
            assert answer.headers["Retry-After"] == "5"
    assert statuses == {200, 429}
    statuses = set()
    for _ in range(400):
        connection.request("POST", "/api/2.0/mlflow/runs/log-metric", body=b"{}", headers={"Authorization": basic(RIGHT)})
        answer = connection.getresponse()
        answer.read()
        statuses.add(answer.status)
    assert statuses == {200}
