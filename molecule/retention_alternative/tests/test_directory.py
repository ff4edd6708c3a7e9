# SPDX-License-Identifier: GPL-3.0-or-later
"""A server with a directory of artifacts: the audit warns of its limits, the timer deletes what is old, old traces leave the database and stay readable."""

from __future__ import annotations

import json

import pytest

PYTHON = "/opt/labtrack/mlflow/main/current/bin/python"
MLFLOW = "/run/labtrack-mlflow-main/asgi.sock /var/lib/labtrack/mlflow/main/admin_credentials"
AGE = "update runs set deleted_time = deleted_time - 604800000 where lifecycle_stage = 'deleted'"


@pytest.fixture
def people(host):
    """One action of people.py; its answer."""

    def act(*words: str):
        done = host.run(f"env MLFLOW_DISABLE_TELEMETRY=true GIT_PYTHON_REFRESH=quiet {PYTHON} /opt/people.py {MLFLOW} {' '.join(words)}")
        assert done.rc == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])

    return act


@pytest.fixture
def site(host, people):
    """What people have made, once for all tests."""
    if not host.file("/opt/made.json").exists:
        host.check_output(f"printf %s '{json.dumps(people('make'))}' > /opt/made.json")
    return json.loads(host.file("/opt/made.json").content_string)


def metric(host, name: str) -> float:
    return float(host.check_output(f"sed -n 's/^{name} //p' /var/lib/prometheus/node-exporter/*.prom"))


def sql(host, statement: str) -> str:
    return host.check_output(f'runuser -u postgres -- psql -XAtq -d mlflowdb -c "{statement}"')


def test_the_audit_of_a_directory_warns_of_its_limits(site, host):
    host.check_output("systemctl start labtrack-artifact-audit.service")
    assert metric(host, "labtrack_artifacts_missing") == 0 and metric(host, "labtrack_artifacts_orphaned_objects") == 0
    assert metric(host, "labtrack_bucket_objects") > 15
    assert metric(host, "labtrack_bucket_objects_above_limit") == 1 and metric(host, "labtrack_bucket_bytes_above_limit") == 1
    assert "more objects than the limit" in host.check_output("journalctl -o cat -u labtrack-artifact-audit")


def test_the_timer_deletes_when_told_twice(site, host, people):
    people("delete_runs", *site["gone"])
    host.check_output("systemctl start labtrack-gc.service")
    assert sql(host, "select count(*) from runs where lifecycle_stage = 'deleted'") == "3"
    sql(host, AGE)
    host.check_output("systemctl start labtrack-gc.service")
    assert sql(host, "select count(*) from runs where lifecycle_stage = 'deleted'") == "0"
    assert metric(host, 'labtrack_gc_removed{kind="run"}') == 3
    folders = host.check_output(f"ls /var/lib/labtrack/mlflow/main/artifacts/{site['lab']}").split()
    assert not set(folders) & set(site["gone"]) and site["full"] in folders
    assert people("files", site["full"]) == ["a.txt", "sub"]


def test_old_traces_leave_the_database_and_stay_readable(site, host, people):
    spans = "select count(*) from spans where content <> ''"
    assert sql(host, spans) == "1"
    sql(host, "update trace_info set timestamp_ms = timestamp_ms - 604800000")
    host.check_output("systemctl start labtrack-trace-archival.service")
    assert "1 traces older than 1 days archived" in host.check_output("journalctl -o cat -u labtrack-trace-archival")
    assert sql(host, spans) == "0"
    assert people("trace", site["trace"]) == ["question"]
    report = json.loads(host.check_output("labtrack-artifacts audit --json --option grace_hours=0"))
    assert report["references"]["archived_trace"]["with_objects"] == 1 and report["missing"] == 0
    assert report["bucket"]["orphaned"]["objects"] == 0


def test_a_directory_keeps_no_versions(site, host):
    done = host.run(f"labtrack-artifacts recover --option kind=run --option id={site['full']}")
    assert done.rc == 1 and "keeps no versions" in done.stderr
