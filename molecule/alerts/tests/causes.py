# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes each alert fire on a real machine, and what makes it good again; commands for a shell of root on it."""

from __future__ import annotations

import dataclasses

METRICS = "/var/lib/prometheus/node-exporter"
CONFIG = "/etc/labtrack/monitoring"
JOB = f"/usr/local/lib/labtrack/labtrack-job --metrics-dir {METRICS}"
USAGE = "labtrack-artifacts usage --keep"
RUNS = """insert into runs (run_uuid, experiment_id, user_id, lifecycle_stage, status, source_type) select 'quota-' || n, min(experiment_id), 'greedy',
'active', 'FINISHED', 'LOCAL' from experiments, generate_series(1, 3) n group by n"""
NO_RUNS = "delete from runs where user_id = 'greedy'"
END_SLEEP = "select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep(3600)' and pid <> pg_backend_pid()"
PSQL = "runuser -u postgres -- psql -XtA -c"
POSTGRESQL = "postgresql@17-labtrack.service"
PYTHON = "/opt/labtrack/mlflow/main/current/bin/python"
BUCKET = '"$(sed -n \'s/.*"bucket": "\\(.*\\)".*/\\1/p\' /etc/labtrack/monitoring/programs.json)"'
S3 = f"set -a; . /etc/labtrack/object_store/environment; set +a; AWS_ENDPOINT_URL_S3=$MLFLOW_S3_ENDPOINT_URL {PYTHON} -c"


@dataclasses.dataclass
class Cause:
    """`make` and `undo` are scripts; `again` is repeated while the alert is waited for."""

    alerts: set[str]
    make: str
    undo: str
    again: str = ""


def old(job: str) -> str:
    """A job whose last success was long ago; node exporter leaves out a metric that has another type or help than the others of its name."""
    file = f"{METRICS}/labtrack_job_{job}.prom"
    return f"""{JOB} --name {job} -- true; sed -i "s/^\\(labtrack_job_last_success.* \\).*/\\1$(date -d '20 days ago' +%s)/" {file}"""


# these do not disturb each other
TOGETHER = [
    Cause({"UnitFailed"}, "systemd-run --unit=broken false", "systemctl reset-failed broken.service"),
    Cause({"BackupFailed"}, f"{JOB} --name backup_test -- false || true", f"rm {METRICS}/labtrack_job_backup_test.prom"),
    Cause({"BackupTooOld"}, old("backup_artifacts"), f"rm {METRICS}/labtrack_job_backup_artifacts.prom"),
    Cause({"RestoreNotProven"}, f"{JOB} --name backup_proof -- false || true", f"{JOB} --name backup_proof -- true"),
    Cause({"JobFailed"}, f"{JOB} --name gc -- false || true", f"{JOB} --name gc -- true"),
    Cause({"JobTooOld"}, old("artifact_audit"), f"{JOB} --name artifact_audit -- true"),
    Cause(
        {"ExpiresSoon", "ExpiresVerySoon", "ServedCertificateExpires"},
        """set -e; cd /etc/labtrack/tls; cp -p fullchain.pem /root/fullchain.kept; ca=/var/lib/labtrack/certificate
        openssl req -new -key privkey.pem -subj /CN=short -out /root/short.csr
        echo "subjectAltName=$(openssl x509 -in fullchain.pem -noout -ext subjectAltName | tail -1 | sed 's/IP Address:/IP:/g')" > /root/short.ext
        openssl x509 -req -in /root/short.csr -CA $ca/ca.pem -CAkey $ca/ca.key -days 2 -extfile /root/short.ext -out /root/short.pem
        cat /root/short.pem > fullchain.pem; systemctl reload nginx; systemctl start labtrack-site_metrics""",
        "cat /root/fullchain.kept > /etc/labtrack/tls/fullchain.pem; systemctl reload nginx; systemctl start labtrack-site_metrics",
    ),
    Cause(
        {"DiskSpaceLow", "DiskFull", "InodesLow"},
        "mkdir -p /srv/small; mount -t tmpfs -o size=8m,nr_inodes=6 tmpfs /srv/small; touch /srv/small/1 /srv/small/2 /srv/small/3 /srv/small/4; "
        "dd if=/dev/zero of=/srv/small/5 bs=1M 2>/dev/null; true",
        "umount /srv/small",
    ),
    Cause(
        {"DiskWillBeFull"},
        "mkdir -p /srv/filling; mount -t tmpfs -o size=400m tmpfs /srv/filling; head -c 250M /dev/zero > /srv/filling/1",
        "umount /srv/filling",
        "head -c 1M /dev/zero >> /srv/filling/1",
    ),
    Cause({"FilesystemReadOnly"}, "mkdir -p /srv/ro; mount -t tmpfs -o ro tmpfs /srv/ro", "umount /srv/ro"),
    Cause(
        {"OutOfMemoryKill"},
        f"systemd-run --wait --unit=greedy -p MemoryMax=30M -p MemorySwapMax=0 {PYTHON} -c 'x = bytearray(300000000)' || true",
        "systemctl reset-failed greedy.service || true",
    ),
    Cause(
        {"ObjectCountHigh"},
        f"""{S3} "import boto3; s = boto3.client('s3'); [s.put_object(Bucket='$B', Key=f'alerts/{{n}}', Body=b'x') for n in range(1500)]" """,
        # the bucket keeps versions, and Ceph counts them
        f"""{S3} "import boto3; b = boto3.resource('s3').Bucket('$B'); [o.delete() for o in b.object_versions.filter(Prefix='alerts/')]" """,
    ),
    Cause(
        {"UsageAboveQuota"},
        f"""{PSQL} "{RUNS}" mlflowdb; {USAGE} --option 'quotas=[{{"each": "user", "runs": 2}}]'""",
        f"""{PSQL} "{NO_RUNS}" mlflowdb; {USAGE}""",
    ),
    Cause(
        {"PostgresqlLongTransaction"},
        f"systemd-run --unit=sleeper {PSQL} 'begin; select pg_sleep(3600)'",
        f'{PSQL} "{END_SLEEP}"; systemctl reset-failed sleeper.service || true',
    ),
    Cause(
        {"PostgresqlSlotHoldsLog"},
        f"{PSQL} \"select pg_create_physical_replication_slot('forgotten', true)\"; for n in 1 2 3; do "
        f"{PSQL} \"select pg_logical_emit_message(true, 'test', 'x'), pg_switch_wal()\"; done",
        f"{PSQL} \"select pg_drop_replication_slot('forgotten')\"",
    ),
    Cause(
        {"PostgresqlConnectionsHigh"},
        "systemd-run --unit=hoarder --uid=postgres /usr/bin/python3 -c "
        "'import psycopg2, time; kept = [psycopg2.connect(\"\") for n in range(175)]; time.sleep(3600)'",
        "systemctl stop hoarder.service",
    ),
    Cause({"ExporterDown"}, "systemctl stop mtail", "systemctl start mtail"),
    Cause({"MetricFileUnreadable"}, f"echo 'no metric' > {METRICS}/labtrack_bad.prom", f"rm {METRICS}/labtrack_bad.prom"),
]
# after those, because they change Prometheus itself or stop what others need
ALONE = [
    Cause(
        {"StoreUnreachable"}, "echo '127.0.0.1 labtrack-store' >> /etc/hosts", "sed '/labtrack-store/d' /etc/hosts > /root/hosts; cat /root/hosts > /etc/hosts"
    ),
    Cause({"SiteMetricsOld"}, f"touch -d '5 hours ago' {METRICS}/labtrack_site.prom", "systemctl start labtrack-site_metrics"),
    Cause(
        {"ExporterMissing"},
        f"cp {CONFIG}/prometheus.yml /root/; sed -i '/job_name: nginx/,/job_name: access_log/{{/job_name: access_log/!d}}' {CONFIG}/prometheus.yml; "
        "systemctl reload prometheus",
        f"cat /root/prometheus.yml > {CONFIG}/prometheus.yml; systemctl reload prometheus",
    ),
    Cause(
        {"RuleFails"},
        f"printf 'groups: [{{name: bad, rules: [{{record: bad, expr: up * on () up}}]}}]' > {CONFIG}/rules/bad.yml; systemctl reload prometheus",
        f"rm {CONFIG}/rules/bad.yml; systemctl reload prometheus",
    ),
    Cause(
        {"NotificationsFail", "UnitFailed"},
        f"cp -p {CONFIG}/alertmanager.yml /root/; printf '    webhook_configs: [{{url: \"http://127.0.0.1:1/\"}}]\\n' >> {CONFIG}/alertmanager.yml; "
        "systemctl reload prometheus-alertmanager; systemd-run --unit=broken false",
        f"cat /root/alertmanager.yml > {CONFIG}/alertmanager.yml; systemctl reload prometheus-alertmanager; systemctl reset-failed broken.service",
    ),
    Cause(
        {"PostgresqlArchiverFailing"},
        f'{PSQL} "alter system set archive_mode = on"; {PSQL} "alter system set archive_command = \'false\'"; systemctl restart {POSTGRESQL}; '
        f"{PSQL} \"select pg_logical_emit_message(true, 'test', 'x'), pg_switch_wal()\"",
        f"{PSQL} 'alter system reset archive_mode'; {PSQL} 'alter system reset archive_command'; systemctl restart {POSTGRESQL}",
    ),
    Cause({"PostgresqlDown", "ServiceDown"}, f"systemctl stop {POSTGRESQL}", f"systemctl start {POSTGRESQL}"),
    Cause({"SiteUnreachable"}, "systemctl stop nginx", "systemctl start nginx"),
]
UNIT = "labtrack-mlflow-main"
STOPPED = Cause({"HighErrorRate"}, f"systemctl stop {UNIT}.socket {UNIT}.service", f"systemctl start {UNIT}.socket {UNIT}.service")
SLOW = Cause({"HighLatency"}, f"systemctl kill -s STOP {UNIT}.service", f"systemctl kill -s CONT {UNIT}.service")
# what no test can make on a machine that it shares: promtool shows these in the scenario `monitoring`
NOT_MADE = {
    "ClockSkew": "the clock belongs to the host of the container",
    "MemoryLow": "the memory belongs to the host of the container",
    "PostgresqlWraparound": "a thousand million transactions",
    "PostgresqlReplicationLag": "a site has no standby",
    "JobNeverRan": "it waits for 26 hours, or 26 minutes here",
    "WeeklyJobNeverRan": "it waits for eight days",
}
