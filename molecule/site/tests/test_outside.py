# SPDX-License-Identifier: GPL-3.0-or-later
"""What the network sees: ports, logins, headers."""

from __future__ import annotations

import re
import socket
import subprocess

import pytest

OPEN = {22, 80, 443}
# everything that some part of the site listens on, or would by default
CLOSED = [25, 111, 3000, 3300, 5000, 5001, 5432, 6432, 6789, 6800, 7443, 7480, 8080, 8888, 9090, 9100]
PATHS = [
    "/",
    "/version",
    "/static-files/static/js/main.js",
    "/api/2.0/mlflow/experiments/search?max_results=1",
    "/ajax-api/2.0/mlflow/experiments/search?max_results=1",
    "/api/3.0/mlflow/server-info",
    "/graphql",
    "/get-artifact?path=x&run_uuid=y",
    "/api/2.0/mlflow-artifacts/artifacts",
    "/v1/traces",
    "/gateway/",
    "/metrics",
    "/docs",
    "/openapi.json",
    "/signup",
    "/api/2.0/mlflow/users/list",
    "/ajax-api/3.0/jobs",
    "/no-such-page",
    "/health/x",
]


def test_the_real_client_logs_and_reads_back(run_url):
    assert "/#/experiments/" in run_url


def test_health_answers_without_a_login(site):
    assert site.status("/health") == 200


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_everything_else_wants_a_login(site, path, method):
    assert site.status(path, "-X", method, "--path-as-is") == 401


@pytest.mark.parametrize("path", PATHS[:8])
def test_a_wrong_password_is_as_good_as_none(site, path):
    assert site.status(path, "-H", "Authorization: Basic YWRtaW46d3Jvbmctd3Jvbmctd3Jvbmc=") == 401


def test_only_three_ports_answer(site):
    answering = set()
    for port in sorted(OPEN | set(CLOSED)):
        try:
            socket.create_connection((site.address, port), timeout=10 if port in OPEN else 0.5).close()
        except OSError:
            continue
        answering.add(port)
    assert answering == OPEN


def test_what_listens_beyond_loopback_is_what_answers(host):
    lines = host.check_output("ss -Hltn").splitlines()
    outside = {tuple(line.split()[3].rsplit(":", 1)) for line in lines}
    ports = {int(port) for address, port in outside if not address.startswith(("127.", "[::1]"))}
    assert ports <= OPEN, lines


def test_http_goes_to_https(site):
    done = subprocess.run(["curl", "-sSI", "--noproxy", "*", f"http://{site.address}/x?y=1"], capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout.splitlines()[0].split()[1] in ("301", "308")
    assert "location: https://" in done.stdout.lower()


def test_headers_keep_the_browser_on_https(site):
    headers = site.curl("/", "-I").lower()
    assert "strict-transport-security: max-age=" in headers
    assert "x-content-type-options: nosniff" in headers
    assert "server: nginx/" not in headers


def test_passwords_of_people_are_hashed_and_no_table_is_empty(host):
    query = "select count(*) from users where password_hash like 'scrypt:%'"
    with host.sudo("mlflow"):
        assert int(host.check_output(f'psql -XtA -U mlflowdb -d mlflowauth -c "{query}"')) >= 1


def test_static_files_come_from_their_compressed_copies(site):
    script = re.search(r'src="[./]*(static-files/static/js/main[^"]+\.js)"', site.curl("/", login=True)).group(1)
    headers = site.curl(f"/{script}", "-I", "-H", "Accept-Encoding: gzip", login=True).lower()
    assert "content-encoding: gzip" in headers
    assert "content-length: " in headers, "compressed on the way: its length was not known"
