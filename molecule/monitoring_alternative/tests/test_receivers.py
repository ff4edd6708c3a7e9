# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian 12's versions with other ports; a real alert reaches people by mail and by webhook, and no secret is seen."""

from __future__ import annotations

import json
import time
import urllib.parse

import pytest

CANARIES = ["CANARY-smtp-0123456789abcdef", "CANARY-hook-0123456789abcdef"]
JOBS = ("prometheus", "alertmanager", "node", "postgresql", "nginx", "access_log", "probe_site")
FETCH = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=20).read().decode())"


def wait_until(condition, seconds=120):
    """The first true answer; an error when there was none in time."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, answer
        time.sleep(1)
    return answer


def query(host, text):
    """Samples of an instant vector, as pairs of labels and value."""
    url = f"http://127.0.0.1:19090/labtrack/prometheus/api/v1/query?query={urllib.parse.quote(text)}"
    found = json.loads(host.check_output("python3 -c %s %s", FETCH, url))["data"]["result"]
    return [(entry["metric"], float(entry["value"][1])) for entry in found]


def received(host):
    """What the receivers got."""
    return [json.loads(line) for line in host.check_output("cat /run/received 2>/dev/null || true").splitlines()]


@pytest.fixture(autouse=True)
def _explained(request, host):
    """What Alertmanager and the receivers said, when a test fails."""
    failed = request.session.testsfailed
    yield
    if request.session.testsfailed > failed:
        print(host.run("journalctl --no-pager -n 40 -u prometheus-alertmanager -u receivers; cat /run/received").stdout)


def test_every_exporter_answers_on_its_port(host):
    wait_until(lambda: {labels["job"]: value for labels, value in query(host, "up")} == dict.fromkeys(JOBS, 1.0))
    places = {line.split()[3] for line in host.check_output("ss -Hltn").splitlines()}
    assert {f"127.0.0.1:{port}" for port in (19090, 19093, 19100, 19113, 19115, 19187, 13903)} <= places
    assert not [place for place in places if place.rsplit(":", 1)[1] in ("9090", "9093", "9094", "9100", "9113", "9115", "9187", "3903")]


@pytest.mark.parametrize("metric", ["labtrack_postgresql_wraparound_used_ratio", "labtrack_postgresql_connections_used", "pg_stat_database_xact_commit"])
def test_the_older_postgresql_exporter_tells_the_same(host, metric):
    assert wait_until(lambda: query(host, metric))


def test_the_older_mtail_counts_the_same_log(host):
    line = '2026-11-30T20:00:00+00:00 192.0.2.7 "ada" {} "{} {} HTTP/1.1" site=main in=321 out=654 time=0.012 upstream="0.011" agent="x"'
    lines = [
        line.format(200, "POST", "/api/2.0/mlflow/runs/log-metric"),
        line.format(500, "GET", "/ajax-api/2.0/mlflow/runs/search"),
        line.format(200, "PUT", "/api/2.0/mlflow-artifacts/artifacts/0/x"),
        line.format(401, "GET", "/"),
    ]
    host.check_output("printf '%%s\\n' %s %s %s %s >> /var/log/nginx/access.log", *lines)

    def counted():
        return {(labels["kind"], labels["code"]) for labels, value in query(host, "labtrack_http_requests_total") if value}

    wait_until(lambda: {("api", "200"), ("api", "500"), ("artifact", "200"), ("page", "401")} <= counted())
    assert query(host, 'sum(labtrack_http_received_bytes_total{kind="api"})')[0][1] >= 642


def test_limits_and_dates_of_the_site_are_used(host):
    ages = {labels["job"]: value for labels, value in wait_until(lambda: query(host, "labtrack_job_age_limit_seconds"))}
    assert ages["own_job"] == 3600 and ages["backup_full"] == 360000 and ages["gc"] == 192 * 3600
    expected = {labels["job"] for labels, _value in query(host, "labtrack_job_expected")}
    assert expected == {"own_job", "backup_full"}
    host.check_output("systemctl start labtrack-site_metrics.service")
    ends = {labels["kind"]: value for labels, value in wait_until(lambda: query(host, "labtrack_expiry_timestamp_seconds"))}
    assert ends["application_credential"] == 1935360000


def test_people_hear_of_an_alert_and_of_its_end(host):
    host.check_output("systemd-run --unit=broken false; sh -c 'until systemctl is-failed -q broken; do sleep 0.2; done'")
    mails = wait_until(lambda: [entry for entry in received(host) if entry["kind"] == "mail" and "broken.service has failed" in entry["text"]])
    assert all(mail["tls"] and mail["sender"] == "mlflow@other.test" for mail in mails)
    wait_until(lambda: {mail["to"][0] for mail in received(host) if mail["kind"] == "mail"} >= {"admin@other.test", "second@other.test"})
    hooks = wait_until(lambda: [entry for entry in received(host) if entry["kind"] == "hook" and "UnitFailed" in entry["alerts"]])
    assert hooks[0]["path"] == "/hook/" + CANARIES[1]
    host.check_output("systemctl reset-failed broken.service")
    wait_until(lambda: [entry for entry in received(host) if entry["kind"] == "hook" and "UnitFailed" in entry["alerts"] and entry["status"] == "resolved"])


def test_secrets_are_nowhere_to_be_seen(host):
    texts = {
        "command lines": host.check_output("cat /proc/[0-9]*/cmdline | tr '\\0' '\\n'"),
        "units": host.run("systemctl cat 'prometheus*' 'labtrack*'; systemctl show 'prometheus*' 'labtrack*'").stdout,
        "journal": host.run("journalctl --no-pager -u 'prometheus*' -u 'labtrack*'").stdout,
        "records": host.check_output("cat /var/lib/labtrack-config/*.json /var/lib/labtrack-status/*"),
    }
    assert not [name for name, text in texts.items() for canary in CANARIES if canary in text]
    for name in host.check_output("grep -rlsF CANARY /etc").split():
        found = host.file(name)
        assert found.mode == 0o640 and found.user == "root" and found.group == "prometheus", name
