# SPDX-License-Identifier: GPL-3.0-or-later
"""The backups' repository is out of reach for a day: nobody but the administrator notices, and nothing that was written meanwhile is missing in the backups."""

from __future__ import annotations

import json
import time

from testbed.faults import wait

PSQL = "runuser -u postgres -- psql -XAtq -c"
WAL = "/var/lib/labtrack/postgresql/17/labtrack/pg_wal"
METRICS = "/var/lib/prometheus/node-exporter"
PORT = "add table inet faults; add chain inet faults x { type filter hook output priority -10; }; add rule inet faults x tcp dport 9443 reject with tcp reset"
ALERTS = {"BackupFailed", "PostgresqlArchiverFailing"}
JOBS = ["backup_incremental", "backup_configuration"]
SEGMENTS = 120  # two hours of them; a whole day's are 23 GB, which a test machine need not have
FILL = "select count(*) from generate_series(1, %d) i where pg_logical_emit_message(true, i::text, i::text) is not null and pg_switch_wal() is not null"
CURRENT = "select pg_walfile_name(pg_current_wal_lsn())"
FAILING = "select last_failed_time > to_timestamp(%f) from pg_stat_archiver"
LAST = "select last_archived_wal from pg_stat_archiver"


def waiting(machine) -> int:
    """Segments that no repository has yet."""
    return int(machine.sh(f"ls {WAL}/archive_status | grep -c ready || true"))


def succeeded(machine, job: str) -> float:
    """What the metric of its last run says."""
    return float(machine.sh(f"sed -n 's/^labtrack_job_last_run_success{{.*}} //p' {METRICS}/labtrack_job_{job}.prom"))


def alerts(machine) -> set[str]:
    """What Prometheus has a rule's reason for, told or not yet."""
    code = "import json, urllib.request; print(urllib.request.urlopen('http://127.0.0.1:9090/labtrack/prometheus/api/v1/alerts', timeout=20).read().decode())"
    found = machine.run(f'/opt/labtrack/mlflow/main/current/bin/python -c "{code}"').stdout or "{}"
    return {alert["labels"]["alertname"] for alert in json.loads(found).get("data", {}).get("alerts", [])}


def unit_of(job: str) -> str:
    return f"labtrack-{job.replace('_', '-')}.service"


def test_the_repository_of_the_backups_is_out_of_reach_for_a_day(scene, machine):
    """All jobs of a day fail once, and more WAL than a few minutes' waits on the machine. Then the newest backup of before, and the WAL since, are proven."""
    with scene("backup repository unreachable for a day") as now:
        machine.sh(f"nft '{PORT}'")
        try:
            wait(lambda: machine.sh(f"{PSQL} '{FAILING % now.begun_at}'") == "t", 180, "the archiver fails")
            machine.sh(f"{PSQL} '{FILL % SEGMENTS}'", 600)
            for job in JOBS:
                assert machine.run(f"systemctl start {unit_of(job)}", 1200).returncode != 0, f"{job} has found the repository"
                assert succeeded(machine, job) == 0
                assert ":9443" in machine.journal(unit_of(job), now.begun_at), "the reason is in the journal"
            wait(lambda: alerts(machine) >= ALERTS, 180, "monitoring knows")
            now.works("metrics")
            now.works("objects")
            last = machine.sh(f"{PSQL} '{CURRENT}'")
            machine.sh(f"{PSQL} '{FILL % 1}'")
            kept = waiting(machine)
            assert kept > SEGMENTS
        finally:
            machine.sh("nft delete table inet faults")
        now.over("repository answers again")
        wait(lambda: machine.sh(f"{PSQL} '{LAST}'") >= last, 600, "the archive has caught up by itself")
        now.says(
            f"nothing that a client sees; the day's backups fail with the reason in their journal; alerts {', '.join(sorted(ALERTS))}; "
            f"{kept} segments of WAL wait on the machine, and are in the repository {time.time() - now.over_at:.0f} s after"
        )
    # from the newest backup, which is of before, through all the WAL that had to wait
    machine.sh("labtrack-backup prove", 900)
    for job in JOBS:
        machine.sh(f"systemctl start {unit_of(job)}", 900)
        assert succeeded(machine, job) == 1
    wait(lambda: not ALERTS & alerts(machine), 180, "monitoring has seen the end")
