# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything is measured, nothing listens beyond the machine, and who is not an administrator sees the status page only."""

from __future__ import annotations

import json
import re

import pytest
from stack import wait_until

PAGES = ["/labtrack/prometheus/api/v1/targets", "/labtrack/alertmanager/api/v2/alerts"]
SERVICES = ["prometheus", "prometheus-alertmanager", "prometheus-node-exporter", "prometheus-blackbox-exporter", "prometheus-nginx-exporter"]
SERVICES += ["prometheus-postgres-exporter", "mtail"]
EXPOSURE_MAX = {"prometheus-node-exporter": 3.6}  # it has to see the machine's file systems


def test_nothing_of_it_listens_beyond_loopback(host):
    lines = host.check_output("ss -Hltn").splitlines()
    places = {line.split()[3] for line in lines}
    assert {"127.0.0.1:9090", "127.0.0.1:9093", "127.0.0.1:9100", "127.0.0.1:9113", "127.0.0.1:9115", "127.0.0.1:9187", "127.0.0.1:3903"} <= places
    outside = {int(place.rsplit(":", 1)[1]) for place in places if not place.startswith(("127.", "[::1]"))}
    assert outside <= {22, 80, 443}, lines


def test_every_target_answers(stack):
    jobs = wait_until(lambda: (found := {entry["metric"]["job"]: entry["value"] for entry in stack.query("up")}) and min(found.values()) == 1 and found)
    assert set(jobs) == {"prometheus", "alertmanager", "node", "postgresql", "nginx", "access_log", "probe_site", "probe_store"}


def test_probes_succeed(stack):
    assert wait_until(lambda: {entry["metric"]["probe"] for entry in stack.query("probe_success == 1")} == {"site", "store"})


def test_requests_are_counted_by_kind_and_status(site, stack):
    query = 'labtrack_http_requests_total{{kind="api",code="{}"}}'.format
    before = {code: stack.value(query(code)) or 0 for code in ("200", "404")}
    for _ in range(5):
        assert site.status("/api/2.0/mlflow/experiments/search?max_results=1", login=True) == 200
    assert site.status("/api/2.0/mlflow/experiments/get?experiment_id=999999", login=True) == 404
    wait_until(lambda: (stack.value(query("200")) or 0) >= before["200"] + 5 and (stack.value(query("404")) or 0) >= before["404"] + 1)
    assert stack.value('labtrack_http_request_duration_seconds_count{kind="api"}') >= 6
    assert stack.value('labtrack_http_sent_bytes_total{kind="api"}') > 0


def test_what_mlflow_writes_is_counted(site, stack):
    query = 'labtrack_mlflow_table_inserts_total{table="experiments"}'
    before = stack.value(query)
    body = json.dumps({"name": f"counted-{before:.0f}"})
    assert site.status("/api/2.0/mlflow/experiments/create", "-X", "POST", "-H", "Content-Type: application/json", "-d", body, login=True) == 200
    wait_until(lambda: stack.value(query) > before)


@pytest.mark.parametrize("page", [*PAGES, "/labtrack/status/", "/labtrack/status/status.json"])
def test_pages_want_a_login(site, page):
    assert site.status(page) == 401
    assert site.status(page, "-H", "Authorization: Basic YWRtaW46d3Jvbmctd3Jvbmctd3Jvbmc=") == 401


@pytest.mark.parametrize("page", PAGES)
def test_only_administrators_see_measurements(site, plain, page):
    assert site.status(page, login=True) == 200
    assert plain.status("/api/2.0/mlflow/users/current", login=True) == 200
    assert plain.status(page, login=True) == 403


def test_everybody_sees_the_status_page(plain):
    assert plain.status("/labtrack/status/", login=True) == 200
    assert plain.status("/labtrack/status/", "-X", "POST", login=True) == 403


def test_another_page_cannot_use_the_login_of_a_browser(site):
    silences, body = "/labtrack/alertmanager/api/v2/silences", json.dumps({})
    post = ("-X", "POST", "-H", "Content-Type: application/json", "-d", body)
    assert site.status(silences, *post, "-H", "Origin: https://evil.example", login=True) == 403
    assert site.status(silences, *post, "-H", f"Origin: https://{site.fqdn}", login=True) in (400, 422)  # Alertmanager's own: there is nothing in it


def test_the_database_user_sees_statistics_and_no_data(host):
    command = "runuser -u prometheus -- psql -XtA -U %s -d mlflowdb -c %s"
    assert host.check_output(command, "prometheus", "select count(*) > 0 from pg_stat_user_tables") == "t"
    assert "permission denied" in host.run(command, "prometheus", "select * from runs").stderr
    assert "permission denied" in host.run(command, "prometheus", "create table public.x (y int)").stderr
    other = host.run(command, "mlflowdb", "select 1")
    assert other.rc and "peer authentication failed" in other.stderr.lower()


@pytest.mark.parametrize("service", SERVICES)
def test_units_are_hardened(host, service):
    found = re.search(r"exposure level for \S+: ([0-9.]+)", host.check_output(f"systemd-analyze security --no-pager {service}.service"))
    assert float(found[1]) <= EXPOSURE_MAX.get(service, 1.5), found[0]


def test_the_bucket_is_counted(host, stack):
    host.check_output("systemctl start labtrack-bucket_metrics.service")
    wait_until(lambda: stack.value("labtrack_bucket_objects") is not None)
    assert stack.value('labtrack_bucket_count_complete{method="counters"}') == 1
    assert stack.value('labtrack_job_last_run_success{job="bucket_metrics"}') == 1


def test_expiry_dates_and_versions_are_read(host, stack):
    host.check_output("systemctl start labtrack-site_metrics.service")
    wait_until(lambda: stack.value("labtrack_info") is not None)
    labels = stack.query("labtrack_info")[0]["metric"]
    assert labels["mlflow"].startswith("3.") and labels["postgresql"].startswith("17.") and labels["debian"].startswith("13.")
    days = {entry["metric"]["kind"]: entry["value"] for entry in stack.query("(labtrack_expiry_timestamp_seconds - time()) / 86400")}
    assert 390 < days["certificate"] < 398 and days["lab_ca"] > 3600
    served = stack.value('(probe_ssl_earliest_cert_expiry{probe="site"} - time()) / 86400')
    assert abs(served - days["certificate"]) < 1


def test_memory_stays_small(host):
    sizes = {}
    for service in SERVICES:
        pid = host.check_output(f"systemctl show -p MainPID --value {service}")
        sizes[service] = int(re.search(r"^Pss:\s+(\d+)", host.check_output(f"cat /proc/{pid}/smaps_rollup"), re.M)[1]) // 1024
    print(f"memory, MB (PSS): {sum(sizes.values())} = {sizes}")
    assert sum(sizes.values()) < 350, sizes
