# SPDX-License-Identifier: GPL-3.0-or-later
"""Every option changed: two sites, other ports, an allow-list behind a load balancer, small limits."""

from __future__ import annotations

import ssl
import threading
import time

import pytest
from https_client import RIGHT, WRONG

CALL = "/api/2.0/mlflow/x"


def test_each_name_has_its_own_site(sites, inside):
    for name, socket in (("one", "asgi"), ("two", "api")):
        reply = sites[name].ask(CALL, RIGHT, **inside)
        assert (reply.status, reply.document["site"], reply.document["socket"]) == (200, name, socket)
        assert sites[name].ask("/", plain=True, **inside).headers["Location"] == f"https://{name}.labtrack.test:8443/"
    assert sites["one"].ask("/", RIGHT, Host="mlflow.labtrack.test", **inside).status == 421


@pytest.mark.parametrize("path", ["/health", "/", CALL, "/static-files/x.js"])
def test_other_networks_are_refused(sites, inside, outside, path):
    assert sites["one"].ask(path, RIGHT, **inside).status == 200
    for headers in (outside, {}, {"X_Forwarded_For": "192.0.2.7, 198.51.100.7"}):
        assert sites["one"].ask(path, RIGHT, **headers).status == 403
        assert sites["one"].ask(path, **headers).status == 403


def test_acme_challenges_are_answered_to_everybody(host, sites, outside):
    host.check_output("mkdir -p /srv/acme/.well-known/acme-challenge && echo proof >/srv/acme/.well-known/acme-challenge/token")
    assert sites["two"].ask("/.well-known/acme-challenge/token", plain=True, **outside).body == b"proof\n"


def test_mlflow_and_log_see_the_client(host, sites, inside):
    assert sites["two"].ask(CALL, RIGHT, **inside).document["headers"]["X-Forwarded-For"] == "192.0.2.7"
    assert '192.0.2.7 "alice" 200 "POST /api/2.0/mlflow/log-canary' not in host.file("/var/log/nginx/access.log").content_string
    sites["two"].ask("/api/2.0/mlflow/log-canary", RIGHT, method="POST", body=b"{}", **inside)
    assert '192.0.2.7 "alice" 200 "POST /api/2.0/mlflow/log-canary HTTP/1.1" site=two' in host.file("/var/log/nginx/access.log").content_string


def test_headers_follow_the_variables(sites, inside):
    headers = sites["one"].ask("/health", **inside).headers
    assert headers["Strict-Transport-Security"] is None
    assert headers["Content-Security-Policy"] == "frame-ancestors 'self' https://hub.labtrack.test"


def test_rest_calls_have_a_limit_and_files_none(sites, inside):
    body = bytes(3 << 20)
    assert sites["two"].ask("/api/2.0/mlflow-artifacts/artifacts/1/x", RIGHT, method="PUT", body=body, **inside).document["size"] == len(body)
    assert sites["two"].ask(CALL, RIGHT, method="POST", body=bytes(1 << 20), **inside).status == 200
    assert sites["two"].ask(CALL, RIGHT, method="POST", body=bytes((1 << 20) + 1), **inside).status == 413


def test_files_come_from_mlflow_where_no_directory_is_given(sites, inside):
    reply = sites["one"].ask("/static-files/main.0123abcd.js", RIGHT, **inside)
    assert (reply.document["site"], reply.headers["Cache-Control"]) == ("one", "private, max-age=31536000, immutable")
    assert sites["one"].ask("/static-files/main.0123abcd.js", WRONG, **inside).status == 401


def test_pages_are_limited_by_client(sites, inside):
    statuses = [sites["one"].ask("/version", RIGHT, **inside).status for _ in range(20)]
    assert set(statuses) == {200, 429}
    other = {"X_Forwarded_For": "192.0.2.8"}
    assert sites["one"].ask("/version", RIGHT, **other).status == 200


def test_account_calls_wait_and_are_limited(sites):
    statuses, client = [], {"X_Forwarded_For": "192.0.2.9"}

    def ask():
        statuses.append(sites["one"].ask("/api/2.0/mlflow/users/get", RIGHT, **client).status)

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(statuses) == {200, 429}


def test_http_2_is_offered_on_this_release(sites):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2", "http/1.1"])
    client = sites["one"]
    connection = type(client)(client.address, client.name, context, client.https_port).connect()
    assert connection.sock.selected_alpn_protocol() == "h2"
    connection.close()


def test_bans_follow_the_variables(host, sites):
    def banned():
        return host.check_output("fail2ban-client get labtrack-login banip").split()

    for client in ("192.0.2.50", "192.0.2.66"):
        for _ in range(3):
            assert sites["two"].ask(CALL, WRONG, X_Forwarded_For=client).status == 401
    deadline = time.monotonic() + 20
    while "192.0.2.66" not in banned() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert banned() == ["192.0.2.66"]
    assert "tcp dport { 8080, 8443 }" in host.check_output("nft list table inet f2b-table")
    assert host.check_output("fail2ban-client get labtrack-login bantime") == "120"


def test_only_the_chosen_ports_are_open(host):
    listening = host.check_output("ss -Hltn").split()
    assert "0.0.0.0:8443" in listening and "0.0.0.0:8080" in listening
    assert not [entry for entry in listening if entry.endswith((":80", ":443"))]
