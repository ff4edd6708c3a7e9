# SPDX-License-Identifier: GPL-3.0-or-later
"""For each alert: series that make it fire, and the same when its cause is gone. Times are seconds since 0, as promtool counts them.

The values are beyond any limit that a site may set: the rules on the machine have its limits in them.
"""

from __future__ import annotations

DAY = 86400
LATER = 10**9
UNIT = 'node_systemd_unit_state{{name="nginx.service",state="{}"}}'
ROOT = '{mountpoint="/",fstype="ext4",device="/dev/vda1"}'

OTHERS = ("prometheus", "alertmanager", "probe_site", "probe_store", "nginx", "access_log", "postgresql")

# alert: [(series, value while wrong, value when right)]; a value may be a step, as promtool writes it: "0+10"
CASES: dict[str, list[tuple[str, float | str, float | str]]] = {
    "SiteUnreachable": [('probe_success{probe="site",instance="https://a"}', 0, 1)],
    "StoreUnreachable": [('probe_success{probe="store",instance="https://s"}', 0, 1)],
    "ServiceDown": [(UNIT.format("active"), 0, 1)],
    "UnitFailed": [(UNIT.format("failed"), 1, 0)],
    "HighErrorRate": [
        ('labtrack_http_requests_total{kind="api",code="500"}', "0+10", "100000+0"),
        ('labtrack_http_requests_total{kind="api",code="200"}', "0+50", "100000+50"),
    ],
    "HighLatency": [
        ('labtrack_http_requests_total{kind="api",code="200"}', "0+50", "100000+50"),
        ('labtrack_http_request_duration_seconds_bucket{kind="api",le="0.1"}', "0+1", "100000+50"),
        ('labtrack_http_request_duration_seconds_bucket{kind="api",le="10"}', "0+50", "100000+50"),
        ('labtrack_http_request_duration_seconds_bucket{kind="api",le="+Inf"}', "0+50", "100000+50"),
    ],
    "ExpiresSoon": [('labtrack_expiry_timestamp_seconds{kind="application_credential",name="x"}', 10 * DAY, LATER)],
    "ExpiresVerySoon": [('labtrack_expiry_timestamp_seconds{kind="certificate",name="x"}', 2 * DAY, LATER)],
    "ServedCertificateExpires": [('probe_ssl_earliest_cert_expiry{instance="https://a"}', 10 * DAY, LATER)],
    "BackupFailed": [('labtrack_job_last_run_success{job="backup_full"}', 0, 1)],
    "BackupTooOld": [('labtrack_job_last_success_timestamp_seconds{job="backup_incremental"}', 1, LATER)],
    "RestoreNotProven": [('labtrack_job_last_run_success{job="backup_proof"}', 0, 1)],
    "JobFailed": [('labtrack_job_last_run_success{job="gc"}', 0, 1)],
    "JobTooOld": [('labtrack_job_last_success_timestamp_seconds{job="site_metrics"}', 1, LATER)],
    "JobNeverRan": [
        ('labtrack_job_expected{job="backup_incremental"}', 1, 1),
        ('labtrack_job_last_success_timestamp_seconds{job="backup_incremental"}', 0, LATER),
    ],
    "WeeklyJobNeverRan": [
        ('labtrack_job_expected{job="backup_full"}', 1, 1),
        ('labtrack_job_last_success_timestamp_seconds{job="backup_full"}', 0, LATER),
    ],
    "PostgresqlDown": [("pg_up", 0, 1)],
    "PostgresqlArchiverFailing": [("labtrack_postgresql_archiver_enabled", 1, 1), ("labtrack_postgresql_archiver_failing", 1, 0)],
    "PostgresqlConnectionsHigh": [("labtrack_postgresql_connections_used", 190, 5), ("labtrack_postgresql_connections_available", 197, 197)],
    "PostgresqlLongTransaction": [("labtrack_postgresql_transactions_oldest_seconds", 5000, 0)],
    "PostgresqlWraparound": [('labtrack_postgresql_wraparound_used_ratio{datname="mlflowdb"}', 0.6, 0.1)],
    "PostgresqlReplicationLag": [
        ('labtrack_postgresql_standby_lag_seconds{standby="b"}', 500, 0),
        ('labtrack_postgresql_standby_streaming{standby="b"}', 1, 1),
    ],
    "PostgresqlSlotHoldsLog": [('labtrack_postgresql_slot_retained_bytes{slot="b"}', 5e9, 1e6)],
    "DiskSpaceLow": [(f"node_filesystem_avail_bytes{ROOT}", 0.5, 90), (f"node_filesystem_size_bytes{ROOT}", 100, 100)],
    "DiskFull": [(f"node_filesystem_avail_bytes{ROOT}", 0.5, 90), (f"node_filesystem_size_bytes{ROOT}", 100, 100)],
    "InodesLow": [(f"node_filesystem_files_free{ROOT}", 0.5, 90), (f"node_filesystem_files{ROOT}", 100, 100)],
    "DiskWillBeFull": [(f"node_filesystem_avail_bytes{ROOT}", "3000000-5000", "90000000+0"), (f"node_filesystem_size_bytes{ROOT}", 100000000, 100000000)],
    "FilesystemReadOnly": [(f"node_filesystem_readonly{ROOT}", 1, 0)],
    "MemoryLow": [("node_memory_MemAvailable_bytes", 0.5, 50), ("node_memory_MemTotal_bytes", 100, 100)],
    "OutOfMemoryKill": [("node_vmstat_oom_kill", "0+1", "100000+0")],
    "ClockSkew": [("node_timex_offset_seconds", -30, 0.001)],
    "ObjectCountHigh": [("labtrack_bucket_objects", 1e9, 1)],
    "UsageAboveQuota": [('labtrack_usage_names_above_quota{kind="user",resource="bytes"}', 3, 0)],
    "ExporterDown": [('up{job="node"}', 0, 1)],
    # the expectation is a rule of the role; `up` of all but one is there
    "ExporterMissing": [(f'up{{job="{name}"}}', 1, 1) for name in OTHERS] + [('up{job="node"}', "_", 1)],
    "MetricFileUnreadable": [("node_textfile_scrape_error", 1, 0)],
    "SiteMetricsOld": [('node_textfile_mtime_seconds{file="/var/lib/prometheus/node-exporter/labtrack_site.prom"}', 1, LATER)],
    "RuleFails": [('prometheus_rule_evaluation_failures_total{rule_group="x"}', "0+1", "100000+0")],
    "NotificationsFail": [('alertmanager_notifications_failed_total{integration="email"}', "0+1", "100000+0")],
}
# the machine expects more jobs than the one of the case, and in these series none of them has ever run
LABELS = {"JobNeverRan": ',job="backup_incremental"', "WeeklyJobNeverRan": ',job="backup_full"'}
# half of a test, and how often rules are evaluated in it; the longest `for` is that of a daily job that never ran, 312 times the delay, and the longest
# age that of an incremental backup, 54 hours
QUICK, SLOW = (300, 5), (240000, 300)
TIMES = dict.fromkeys(("JobNeverRan", "WeeklyJobNeverRan", "BackupTooOld", "JobTooOld", "SiteMetricsOld"), SLOW) | {"DiskWillBeFull": (1500, 5)}


def _values(value: float | str, steps: int) -> str:
    if value == "_":
        return f"_x{steps + 1}"  # a value counts from 0, a gap from 1
    return f"{value}x{steps}" if isinstance(value, str) else f"{value:.15g}x{steps}"


def promtool_files(rule_files: list[str]) -> list[dict[str, object]]:
    """Files for `promtool test rules`: each alert fires at the end of the first half, and not at the end of the second."""
    tests: dict[int, list[dict[str, object]]] = {}
    for alert, series in CASES.items():
        half, interval = TIMES.get(alert, QUICK)
        expression, steps = f'count(ALERTS{{alertname="{alert}",alertstate="firing"{LABELS.get(alert, "")}}} == 1)', half // interval
        tests.setdefault(interval, []).append(
            {
                "name": alert,
                "interval": f"{interval}s",
                "input_series": [{"series": name, "values": f"{_values(wrong, steps)} {_values(right, steps)}"} for name, wrong, right in series],
                "promql_expr_test": [
                    {"expr": expression, "eval_time": f"{half}s", "exp_samples": [{"labels": "{}", "value": 1}]},
                    {"expr": expression, "eval_time": f"{2 * half}s", "exp_samples": []},
                ],
            }
        )
    return [{"rule_files": rule_files, "evaluation_interval": f"{interval}s", "tests": found} for interval, found in tests.items()]
