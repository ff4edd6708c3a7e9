# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody without a login: every route, every method, names, origins, broken and slow requests, guessing."""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import statistics
import time
from pathlib import Path

import pytest
from attacked import API, FQDN, GATEWAY, MACHINE, on_machine
from testbed.load import Caller

OPEN = {"/health"}
ROUTES = Path(__file__).resolve().parents[1] / "files" / "routes.py"


def connection(site) -> ssl.SSLSocket:
    plain = socket.create_connection((site.address, 443), timeout=30)
    return ssl.create_default_context(cafile=str(site.ca_file)).wrap_socket(plain, server_hostname=site.fqdn)


def raw(site, request: bytes, seconds: float = 20) -> bytes:
    """What the server says to exactly these bytes, until it closes."""
    with connection(site) as stream:
        stream.settimeout(seconds)
        stream.sendall(request)
        answer = b""
        try:
            while piece := stream.recv(65536):
                answer += piece
        except (TimeoutError, ssl.SSLError, ConnectionError):
            pass
        return answer


def statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3})", answer)]


@pytest.fixture(scope="module")
def routes() -> list[tuple[str, str]]:
    """Every route of the installed release, its parameters replaced by a value."""
    on_machine("sh", "-c", f"cat > /run/routes.py <<'EOF'\n{ROUTES.read_text(encoding='utf-8')}\nEOF")
    command = (
        "set -a; . /etc/labtrack/mlflow/main/environment; . /etc/labtrack/object_store/environment; "
        "export SERVER_DIR=/opt/labtrack/mlflow/main/current/server MLFLOW_DISABLE_TELEMETRY=true; "
        "exec setpriv --reuid mlflow --regid mlflow --init-groups /opt/labtrack/mlflow/main/current/bin/python /run/routes.py 2>/run/routes.log"
    )
    found = json.loads(on_machine("bash", "-c", command))
    return sorted({(method, re.sub(r"<[^>]*>|\{[^}]*\}", "1", path) or "/") for method, path in found})


def test_every_route_of_the_release_wants_a_login(site, routes, table):
    assert len(routes) > 500, "the walk would be empty"
    caller = Caller(site, "", "")
    caller.login = ""
    opened = []
    for method, path in routes:
        status, body = caller.ask(method, path, None if method in ("GET", "HEAD", "OPTIONS") else b"{}")
        if status != 401 and path not in OPEN:
            opened.append((method, path, status, body[:60]))
    assert not opened
    table(f"outsider: {len(routes)} routes of MLflow, each method that it registers, no login", "401; open is /health")


def test_a_login_that_is_none_opens_nothing(site, routes, table):
    headers = ["Basic", "Basic =", "Basic Og==", "Bearer x", "Basic YWRtaW46", "Basic YWRtaW4=", "Digest username=admin", "basic  YWRtaW46cGFzc3dvcmQxMjM0"]
    paths = sorted({path for method, path in routes if method == "GET"})[::25]
    caller, opened = Caller(site, "", ""), []
    for header in headers:
        caller.login = header
        opened += [(header, path) for path in paths if path not in OPEN and caller.ask("GET", path)[0] != 401]
    assert not opened
    table(f"outsider: {len(headers)} broken or empty logins, tokens, MLflow's old default password", "401")


def test_names_of_people_are_not_told(site, admin, table):
    """The time of a refusal is the same for a name that exists: medians within a third."""

    def refusal(name: str) -> float:
        caller = Caller(site, name, "a-wrong-password")
        start = time.monotonic()
        assert caller.ask("GET", f"{API}experiments/search?max_results=1")[0] == 401
        return time.monotonic() - start

    pairs = [(refusal(site.user), refusal(f"nobody-{number}")) for number in range(15)]
    known, unknown = (statistics.median(times) for times in zip(*pairs, strict=True))
    assert 0.6 < known / unknown < 1.7, (known, unknown)
    table("outsider: which names exist, by the time of a refusal", f"known {known * 1000:.0f} ms, unknown {unknown * 1000:.0f} ms")


@pytest.mark.parametrize("name", ["evil.example", "localhost", "127.0.0.1", f"{FQDN}.evil.example", f"evil.example#{FQDN}", "a" * 300])
def test_other_names_are_refused(site, admin, table, name):
    login = admin.caller.login
    answer = raw(site, f"GET {API}users/current HTTP/1.1\r\nHost: {name}\r\nAuthorization: {login}\r\nConnection: close\r\n\r\n".encode())
    assert statuses(answer)[0] in (400, 421)
    table(f"rebinding: Host {name[:30]}", statuses(answer)[0])


ORIGINS = ["https://evil.example", "null", f"https://{FQDN}.evil.example", f"http://{FQDN}", "http://localhost:8888", "http://127.0.0.1:5000", "http://[::1]:1"]


@pytest.mark.parametrize("origin", ORIGINS)
def test_pages_of_others_cannot_use_a_login(alice, table, origin):
    body = b'{"name": "made-by-another-page"}'
    for path, kind in (
        (f"{API}experiments/create", "application/json"),
        (f"{API}experiments/create", "text/plain"),
        ("/api/3.0/mlflow/traces/search", "text/plain"),
    ):
        assert alice.ask("POST", path, body, Origin=origin, Content_Type=kind)[0] in (400, 403)
    connection = alice.caller._connected()
    connection.request("GET", f"{API}experiments/search?max_results=1", headers={"Authorization": alice.caller.login, "Origin": origin})
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 403 or answer.headers["Access-Control-Allow-Origin"] not in (origin, "*")
    table(f"page of {origin} writes, and reads, with a person's login", "403, no CORS header")


def test_forms_of_other_pages_do_nothing(alice, table):
    """What a form can send without a preflight: three kinds of content, no header of its own."""
    for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"):
        status, _body = alice.ask("POST", f"{API}experiments/create", b'{"name": "made-by-a-form"}', Content_Type=kind)
        assert status in (400, 403, 415)
    assert alice.ask("GET", f"{API}experiments/get-by-name?experiment_name=made-by-a-form")[0] == 404
    table("cross-site form posts", "400")


SMUGGLED = f"GET {API}users/list HTTP/1.1\r\nHost: {FQDN}\r\n\r\n"
SHAPES = {
    "CL and TE": f"POST /health HTTP/1.1\r\nHost: {FQDN}\r\nContent-Length: 200\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}",
    "TE twice": f"POST /health HTTP/1.1\r\nHost: {FQDN}\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n{SMUGGLED}",
    "TE obscured": f"POST /health HTTP/1.1\r\nHost: {FQDN}\r\nTransfer-Encoding : chunked\r\nContent-Length: 3\r\n\r\nabc{SMUGGLED}",
    "TE unknown": f"POST /health HTTP/1.1\r\nHost: {FQDN}\r\nTransfer-Encoding: xchunked\r\nContent-Length: 3\r\n\r\nabc{SMUGGLED}",
    "CL twice": f"POST /health HTTP/1.1\r\nHost: {FQDN}\r\nContent-Length: 0\r\nContent-Length: {len(SMUGGLED)}\r\n\r\n{SMUGGLED}",
    "CL negative": f"POST /health HTTP/1.1\r\nHost: {FQDN}\r\nContent-Length: -1\r\n\r\n{SMUGGLED}",
    "CL plus": f"POST /health HTTP/1.1\r\nHost: {FQDN}\r\nContent-Length: +0\r\n\r\n{SMUGGLED}",
    "chunk size broken": f"POST /health HTTP/1.1\r\nHost: {FQDN}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{SMUGGLED}",
    "Host twice": f"GET /health HTTP/1.1\r\nHost: {FQDN}\r\nHost: evil.example\r\n\r\n",
    "line feed in a header": f"GET /health HTTP/1.1\r\nHost: {FQDN}\r\nX: a\nAuthorization: Basic eDp5\r\nConnection: close\r\n\r\n",
    "absolute target": f"GET https://evil.example/health HTTP/1.1\r\nHost: {FQDN}\r\nConnection: close\r\n\r\n",
    "upgrade to h2c": f"GET {API}users/list HTTP/1.1\r\nHost: {FQDN}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAM\r\n\r\n",
    "no version": f"GET {API}users/list\r\n",
    "NUL in the path": f"GET /health\0x HTTP/1.1\r\nHost: {FQDN}\r\nConnection: close\r\n\r\n",
    "space in the path": f"GET /health {API}users/list HTTP/1.1\r\nHost: {FQDN}\r\nConnection: close\r\n\r\n",
    "CONNECT": f"CONNECT 127.0.0.1:7443 HTTP/1.1\r\nHost: {FQDN}\r\n\r\n",
    "TRACE": f"TRACE / HTTP/1.1\r\nHost: {FQDN}\r\nConnection: close\r\n\r\n",
    "header of 40 kB": f"GET /health HTTP/1.1\r\nHost: {FQDN}\r\nX: {'a' * 40000}\r\n\r\n",
    "200 headers of 1 kB": f"GET /health HTTP/1.1\r\nHost: {FQDN}\r\n" + "".join(f"X{n}: {'a' * 1000}\r\n" for n in range(200)) + "\r\n",
    "TLS renegotiation of the scheme": "\x16\x03\x01\x00\x05",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_no_second_request_hides_in_one(site, table, shape):
    """Each shape gets a refusal, or the answer to the first request; a second answer would want a login (401)."""
    answer = raw(site, SHAPES[shape].encode("latin-1"), seconds=3)
    got = statuses(answer)
    assert b'"users"' not in answer
    assert not [status for status in got if status in (500, 502, 504, 101)]
    assert [status for status in got if status < 300] in ([], [200]), answer[:300]
    table(f"request shape: {shape}", got or "closed")


def test_broken_bodies_are_refused_and_break_nothing(alice, table):
    tried = [b"", b"{", b"[]", b"null", b"\xff\xfe", b'"x"', b"{" * 100_000, b'{"name": ' + b"[" * 50_000, b'{"name": 1e999999}', b'{"name": "\\ud800"}']
    seen = {}
    for body in tried:
        for path in (f"{API}experiments/create", f"{API}runs/log-batch", "/api/3.0/mlflow/traces/search", "/graphql", "/v1/traces"):
            seen.setdefault(alice.ask("POST", path, body, Content_Type="application/json")[0], []).append((path, body[:20]))
    assert not [status for status in seen if status >= 502], seen
    assert alice.ask("GET", f"{API}experiments/search?max_results=1")[0] == 200
    table(f"{5 * len(tried)} malformed bodies (nested, not UTF-8, infinite numbers)", {status: len(paths) for status, paths in sorted(seen.items())})


def test_a_huge_body_is_refused_before_it_is_sent(site, alice, table):
    head = f"POST {API}runs/log-batch HTTP/1.1\r\nHost: {FQDN}\r\nAuthorization: {alice.caller.login}\r\nContent-Length: 200000000\r\n\r\n"
    assert statuses(raw(site, head.encode(), seconds=5))[:1] == [413]
    outsider = f"PUT /api/2.0/mlflow-artifacts/artifacts/1/x HTTP/1.1\r\nHost: {FQDN}\r\nContent-Length: 99999999999\r\n\r\n"
    assert statuses(raw(site, outsider.encode(), seconds=5))[:1] == [401]
    table("200 MB of JSON; 100 GB of artifact without a login", "413; 401, before the body")


def test_slow_senders_keep_nobody_out(site, alice, table):
    """150 connections that send a byte now and then, half of them within a header, half within a body of somebody with a login."""
    head = f"POST {API}runs/log-batch HTTP/1.1\r\nHost: {FQDN}\r\nAuthorization: {alice.caller.login}\r\nContent-Length: 1000\r\n\r\n{{".encode()
    slow = [connection(site) for _ in range(150)]
    try:
        for number, stream in enumerate(slow):
            stream.sendall(head if number % 2 else b"GET / HTTP/1.1\r\nHost: ")
        waits = []
        for _ in range(10):
            for stream in slow[::10]:
                stream.sendall(b"a")
            start = time.monotonic()
            assert alice.ask("GET", f"{API}experiments/search?max_results=1")[0] == 200
            assert alice.ask("GET", f"/api/3.0/mlflow/traces/{alice.trace}")[0] == 200
            waits.append(time.monotonic() - start)
        assert max(waits) < 10
    finally:
        for stream in slow:
            stream.close()
    table("150 slow senders of headers and bodies", f"others wait {max(waits):.1f} s at most")


def test_guessing_ends_with_a_ban(site, table):
    on_machine("fail2ban-client", "set", "labtrack-login", "delignoreip", GATEWAY)
    tries = 0
    try:
        for tries in range(1, 60):
            try:
                assert Caller(site, "admin", f"guess-{tries}").ask("GET", f"{API}users/current")[0] == 401
            except (OSError, http.client.HTTPException):
                break
            time.sleep(0.1)
        assert tries < 50, "fail2ban did not stop it"
    finally:
        on_machine("fail2ban-client", "set", "labtrack-login", "addignoreip", GATEWAY)
        on_machine("fail2ban-client", "unban", GATEWAY)
    table("guessing a password", f"banned after {tries - 1} tries (it counts 10 within 10 minutes)")


def test_only_three_ports_answer(site, table):
    ports = [21, 22, 25, 80, 111, 443, 3300, 5000, 5432, 6789, 6800, 6801, 7443, 7480, 8080, 9090, 9093, 9100, 9187]
    answering = []
    for port in ports:
        try:
            socket.create_connection((site.address, port), timeout=0.5).close()
        except OSError:
            continue
        answering.append(port)
    assert answering == [22, 80, 443]
    table(f"{len(ports)} ports of {MACHINE.removeprefix('lt-')}'s machine, the object store's and PostgreSQL's among them", "22, 80, 443")
