# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit: a site with everything that MLflow writes is complete; what is taken away is missed; what is put there belongs to nothing."""

from __future__ import annotations

import json


def test_a_whole_site_is_complete(site, artifacts):
    report = artifacts("audit", grace_hours=0)
    assert report["missing"] == 0 and report["bucket"]["orphaned"]["objects"] == 0, report["samples"]
    rows = {"experiment": 3, "run": 9, "logged_model": 1, "model_version": 2, "trace": 1, "noted_artifact": 1}
    assert {kind: found["rows"] for kind, found in report["references"].items()} == rows
    assert report["experiments"][site["lab"]]["objects"] > 10 and report["users"]["admin"]["bytes"] > 1000
    assert report["root"] == "s3://retention-mlflow" and report["bucket"]["versioned"]


def test_the_timer_s_run_keeps_report_lists_and_metrics(site, host, metrics):
    host.check_output("systemctl start labtrack-artifact-audit.service")
    found = metrics()
    assert found['labtrack_job_last_run_success{job="artifact_audit"}'] == 1
    assert found["labtrack_artifacts_missing"] == 0 and found["labtrack_bucket_objects"] > 15 and found["labtrack_bucket_bytes"] > 1000
    assert "in the store" in host.file("/var/lib/labtrack/retention/main/audit/report.txt").content_string
    folder = host.file("/var/lib/labtrack/retention/main/audit")
    assert (folder.mode, folder.user) == (0o700, "mlflow")
    assert host.check_output("ls /var/lib/labtrack/retention/main/audit").count("manifest-") == 1


def test_what_is_taken_away_is_missed_and_what_is_put_there_is_orphaned(site, s3, artifacts):
    model = f"1/models/{site['twice']['model']}/artifacts/MLmodel"
    lost = f"1/{site['full']}/artifacts/a.txt"
    stray = "1/0123456789abcdef0123456789abcdef/artifacts/stray"
    s3(
        f"[client.delete_object(Bucket=bucket, Key=key) for key in ('{model}', '{lost}')]; client.put_object(Bucket=bucket, Key='{stray}', Body=b'x' * 50)",
    )
    try:
        report = artifacts("audit", folder="/var/lib/labtrack/retention/main/audit", grace_hours=0)
        assert [entry["key"] for entry in report["samples"]["missing"]] == [model]
        assert {entry["key"]: entry["owner"].split()[0] for entry in report["samples"]["vanished"]} == {model: "logged_model", lost: "run"}
        assert report["samples"]["orphans"][0]["prefix"] == "1/0123456789abcdef0123456789abcdef/"
        assert report["bucket"]["orphaned"] == {"objects": 1, "bytes": 50}
        assert f"missing: logged_model {site['twice']['model']}" in report["text"]
        young = artifacts("audit")
        assert young["bucket"]["orphaned"]["objects"] == 0 and young["bucket"]["young"]["objects"] == 1
    finally:
        s3(f"client.delete_object(Bucket=bucket, Key='{stray}')")
        for key in (model, lost):
            artifacts("recover", prefix=key, apply=True)
    assert artifacts("audit")["missing"] == 0


def test_the_module_answers_the_same(site, play, tmp_path):
    book = tmp_path / "audit.yml"
    book.write_text(
        json.dumps(
            [
                {
                    "name": "Audit",
                    "hosts": "all",
                    "become": True,
                    "gather_facts": False,
                    "tasks": [
                        {"name": "Ask", "labtrack.mlflow.artifact_audit": {"grace_hours": 1}, "register": "found"},
                        {
                            "name": "Say",
                            "ansible.builtin.debug": {"msg": "missing={{ found.missing }} runs={{ found.references.run.rows }} {{ found.changed }}"},
                        },
                    ],
                }
            ]
        )
    )
    done = play(str(book))
    assert "missing=0 runs=9 False" in done.stdout, done.stdout[-3000:]


def test_another_database_can_be_audited(site, artifacts):
    """As a restore does that has put one beside. This one names no artifacts."""
    report = artifacts("audit", database="mlflowauth", grace_hours=0)
    assert report["references"] == {} and report["bucket"]["orphaned"]["objects"] > 15 and report["orphaned_prefixes"] == 2


def test_nobody_else_reads_what_the_audit_found(host):
    assert host.run("runuser -u nobody -- cat /var/lib/labtrack/retention/main/audit/report.json").rc != 0
    seen = host.check_output("journalctl --no-pager -o cat -u labtrack-artifact-audit; cat /etc/labtrack/retention/main.json; systemctl cat 'labtrack-*'")
    secret = host.check_output("sed -n 's/^AWS_SECRET_ACCESS_KEY=//p' /etc/labtrack/object_store/environment")
    assert len(secret) > 10 and secret not in seen


def test_the_units_are_hardened(host):
    for job in ("artifact-audit", "gc", "usage"):
        score = host.check_output(f"systemd-analyze security labtrack-{job}.service --no-pager | sed -n 's/.*exposure level for .*: \\([0-9.]*\\) .*/\\1/p'")
        assert float(score) <= 2.5
        assert host.service(f"labtrack-{job}.timer").is_running and host.service(f"labtrack-{job}.timer").is_enabled
    assert not host.service("labtrack-trace-archival.timer").is_running
