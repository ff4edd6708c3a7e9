# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS, headers, redirect, compression and caching, log."""

from __future__ import annotations

import gzip
import ssl

import pytest
from https_client import RIGHT, WRONG

HASHED, PLAIN = "/static-files/static/js/main.0123abcd.js", "/static-files/static/js/plain.js"


def version_context(version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    return context


def test_tls_1_1_is_refused_by_the_server(client):
    client = type(client)(client.address, client.name, version_context(ssl.TLSVersion.TLSv1_1))
    with pytest.raises(ssl.SSLError, match="alert protocol version"):
        client.ask("/health")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_1_2_and_1_3_work(client, version):
    assert type(client)(client.address, client.name, version_context(version)).ask("/health").status == 200


def test_http_2_is_offered(client):
    context = version_context(ssl.TLSVersion.TLSv1_3)
    context.set_alpn_protocols(["h2", "http/1.1"])
    connection = type(client)(client.address, client.name, context).connect()
    assert connection.sock.selected_alpn_protocol() == "h2"
    connection.close()


@pytest.mark.parametrize(("path", "login"), [("/health", None), ("/", None), ("/", WRONG), ("/", RIGHT), (HASHED, RIGHT), ("/api/2.0/mlflow/x", RIGHT)])
def test_security_headers_are_on_every_answer(client, path, login):
    headers = client.ask(path, login).headers
    assert headers.get_all("Strict-Transport-Security") == ["max-age=31536000"]
    assert headers.get_all("X-Content-Type-Options") == ["nosniff"]
    assert headers.get_all("Referrer-Policy") == ["same-origin"]
    assert headers.get_all("Content-Security-Policy") == ["frame-ancestors 'self'"]
    assert headers.get_all("X-Frame-Options") is None
    assert headers["Server"] == "nginx"


def test_browsers_are_redirected(client):
    reply = client.ask("/path?query=1", plain=True)
    assert (reply.status, reply.headers["Location"]) == (301, "https://mlflow.labtrack.test/path?query=1")


def test_a_client_that_would_send_its_password_in_clear_text_is_told(client):
    reply = client.ask("/api/2.0/mlflow/runs/create", RIGHT, method="POST", plain=True, body=b"{}")
    assert reply.status == 403
    assert "https://mlflow.labtrack.test" in reply.document["message"]


def test_acme_challenges_are_answered(host, client):
    with_challenge = "/var/lib/labtrack-acme/.well-known/acme-challenge"
    host.check_output("mkdir -p %s && echo proof >%s/token", with_challenge, with_challenge)
    assert client.ask("/.well-known/acme-challenge/token", plain=True).body == b"proof\n"
    assert client.ask("/.well-known/acme-challenge/other", plain=True).status == 404


def test_files_are_served_compressed_and_cached(client):
    reply = client.ask(HASHED, RIGHT, Accept_Encoding="gzip")
    assert gzip.decompress(reply.body).startswith(b"/* a file served by nginx */")
    assert reply.headers.get_all("Cache-Control") == ["private, max-age=31536000, immutable"]
    assert client.ask(HASHED, RIGHT, If_None_Match=reply.headers["ETag"]).status == 304
    assert client.ask(PLAIN, RIGHT).headers.get_all("Cache-Control") == ["private, no-cache"]
    assert client.ask(HASHED, WRONG).headers["Cache-Control"] is None


def test_what_mlflow_sees(client):
    headers = client.ask("/api/2.0/mlflow/x", RIGHT, X_Forwarded_For="198.51.100.1", X_Forwarded_Host="evil", Forwarded="for=evil").document["headers"]
    assert headers["Host"] == headers["X-Forwarded-Host"] == "mlflow.labtrack.test"
    assert headers["X-Forwarded-Proto"] == "https"
    assert headers["X-Forwarded-For"] != "198.51.100.1"
    assert "Forwarded" not in headers


def test_log_names_the_user_and_holds_no_secret(host, client):
    secret = {"Cookie": "cookie-canary", "X-Amz-Security-Token": "header-canary"}
    client.ask("/get-artifact?X-Amz-Signature=query-canary", RIGHT, Referer="https://x.example/?referer-canary", **secret)
    client.ask("/version?query-canary", WRONG)
    log = host.file("/var/log/nginx/access.log")
    assert (log.user, log.group, oct(log.mode)) == ("www-data", "adm", "0o640")
    assert '"alice" 200 "GET /get-artifact HTTP/1.1" site=main' in log.content_string
    for canary in ("canary", RIGHT[1], "Basic ", "YWxpY2"):
        assert canary not in log.content_string


def test_default_site_is_gone_and_debians_configuration_is_kept(host):
    assert not host.file("/etc/nginx/sites-enabled/default").exists
    assert "/etc/nginx/nginx.conf" not in host.check_output("dpkg --verify nginx-common")


def test_nginx_starts_at_boot(host):
    for name in ("nginx", "fail2ban"):
        assert host.service(name).is_enabled and host.service(name).is_running
