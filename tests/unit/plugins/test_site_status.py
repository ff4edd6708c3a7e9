# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of one site and of several; what a site that tells nothing looks like."""

from __future__ import annotations

import base64
import json
import time

import pytest
from ansible_collections.labtrack.mlflow.plugins.filter.site_status_report import report, state
from ansible_collections.labtrack.mlflow.plugins.module_utils import _site_status

NOW = 1_800_000_000


def data(**more):
    """A healthy site."""
    site = {"site": "physics", "url": "https://mlflow.physics.example", "generated_timestamp_seconds": NOW - 10, "state": "ok", "reason": "", "alerts": []}
    jobs = [{"job": "backup_full", "state": "ok", "last_success_timestamp_seconds": NOW - 7200}]
    disks = [{"mountpoint": "/", "free_bytes": 4e9, "size_bytes": 100e9}]
    expiry = [{"kind": "lab_ca", "name": "CA", "timestamp_seconds": NOW + 86400 * 5}]
    return {**site, "jobs": jobs, "disks": disks, "expiry": expiry, "versions": {"mlflow": "3.17.2"}, **more}


def read(content, **more):
    """A host as the playbook leaves it."""
    return {"site_name": "physics", "site_fqdn": "a.example", "status_file": {"stat": {"exists": True}}, "status_read": {"content": content}, **more}


def test_the_page_tells_state_jobs_dates_and_disks():
    page = _site_status.page([data()], NOW)
    for text in ("Everything works", "No open alerts", "2 hours ago", "in 5 days", "4 % free", "MLflow", "physics: Everything works"):
        assert text in page, text
    assert "http-equiv" not in page and "<script>" not in page


def test_what_a_site_tells_is_text_and_no_html():
    alert = {"name": "<b>", "severity": "critical", "since": "2026-11-30T20:00:00Z", "summary": "<script>x</script>", "description": "&", "action": "'\""}
    page = _site_status.page([data(state="critical", alerts=[alert], site="<i>")], NOW, 60)
    assert "<script>x" not in page and "<b>" not in page and "<i>" not in page
    assert 'http-equiv="refresh" content="60"' in page and 'id="old"' in page


def test_the_page_leads_to_the_usage_where_it_is_counted():
    link = 'href="https://mlflow.physics.example/labtrack/usage/"'
    assert link in _site_status.page([data(usage=True)], NOW) and link not in _site_status.page([data()], NOW)


def test_several_sites_have_a_table_in_front():
    page = _site_status.page([data(), data(site="biology", state="unreachable", reason="no login")], NOW)
    assert page.count("<tr><th>Site") == 1 and 'href="#biology"' in page and "Not reachable: no login" in page


@pytest.mark.parametrize(("value", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 KB"), (2.5e9, "2.5 GB"), (7e12, "7.0 TB")])
def test_amounts(value, text):
    assert _site_status.amount(value) == text


@pytest.mark.parametrize(("value", "text"), [(59, "59 s"), (600, "10 minutes"), (7200, "2 hours"), (86400 * 3, "3 days")])
def test_lengths_of_time(value, text):
    assert _site_status.ago(value) == text


def test_a_fresh_status_is_taken_as_it_is():
    fresh = data(generated_timestamp_seconds=time.time())
    assert state(read(base64.b64encode(json.dumps(fresh).encode()).decode()))["state"] == "ok"


def test_an_old_status_is_no_good_state():
    found = state(read(base64.b64encode(json.dumps(data(generated_timestamp_seconds=time.time() - 1000)).encode()).decode()))
    assert found["state"] == "unknown" and "old" in found["reason"]


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ({"site_name": "a"}, "no login"),
        ({"status_file": {"stat": {"exists": False}}}, "no status page"),
        ({"status_read": {"content": "e3g="}}, "cannot be read"),
    ],
)
def test_a_site_that_tells_nothing_is_in_the_report(host, reason):
    found = report([host])
    assert reason in json.loads(found["json"])[0]["reason"]
    assert next(iter(found["states"].values())) in ("unreachable", "unknown")
