# SPDX-License-Identifier: GPL-3.0-or-later
"""Some causes, made on the running machine: Alertmanager has the alert, and it is gone after. The whole list is in the scenario `alerts`."""

from __future__ import annotations

import json

import pytest
from stack import wait_until

METRICS = "/var/lib/prometheus/node-exporter"
JOB = f"/usr/local/lib/labtrack/labtrack-job --metrics-dir {METRICS}"
FORGET = f"rm -f {METRICS}/labtrack_job_backup_artifacts.prom {METRICS}/labtrack_job_backup_test.prom"


@pytest.fixture
def stopped(host):
    """nginx is down."""
    host.check_output("systemctl stop nginx.service")
    yield
    host.check_output("systemctl start nginx.service")


@pytest.fixture
def old_backup(host):
    """A backup that succeeded three days ago, and one that failed."""
    # by the program of all jobs: node exporter leaves out a metric that has another type or help than the others of its name
    host.check_output(f"{JOB} --name backup_artifacts -- true && ! {JOB} --name backup_test -- false")
    host.check_output(f"sed -i \"s/^\\(labtrack_job_last_success.* \\).*/\\1$(date -d '3 days ago' +%s)/\" {METRICS}/labtrack_job_backup_artifacts.prom")
    yield
    host.check_output(FORGET)


def test_nothing_fires_on_a_healthy_site(stack):
    # the kernel's counter is that of the host, whatever else it runs
    wait_until(lambda: not stack.told() - {"OutOfMemoryKill"}, 120, "no alert")


def test_a_stopped_proxy_is_told_and_forgotten(host, stack, stopped):
    wait_until(lambda: {"SiteUnreachable", "ServiceDown"} <= stack.told())
    host.check_output("systemctl start nginx.service")
    wait_until(lambda: not stack.told() & {"SiteUnreachable", "ServiceDown"}, 120)


def test_an_old_and_a_failed_backup_are_told_and_forgotten(host, stack, old_backup):
    wait_until(lambda: {"BackupTooOld", "BackupFailed"} <= stack.told())
    host.check_output("systemctl start labtrack-status.service")
    page = json.loads(host.file("/var/lib/labtrack-status/status.json").content_string)
    assert page["state"] == "critical"
    assert {"BackupTooOld", "BackupFailed"} <= {alert["name"] for alert in page["alerts"]}
    assert {job["job"]: job["state"] for job in page["jobs"]}["backup_artifacts"] == "old"
    host.check_output(FORGET)
    wait_until(lambda: not stack.told() & {"BackupTooOld", "BackupFailed"}, 120)
