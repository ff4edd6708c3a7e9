# SPDX-License-Identifier: GPL-3.0-or-later
"""From one bucket to another: what is new arrives, what goes stays for a while, what differs is said, an empty source empties nothing."""

from __future__ import annotations

import pytest

UNIT = "labtrack-backup-copy.service"
SOURCE, TARGET = "store:artifact-copy", "store:artifact-copy-target/artifact-copy"
REPORT = "/var/lib/labtrack/artifact_copy/main/report.txt"


@pytest.fixture
def rclone(host):
    """The test's own rclone."""
    return lambda words: host.check_output(f"rclone --ca-cert /etc/ssl/store-ca.pem {words}")


@pytest.fixture
def copy(host):
    """The timer's unit, now; its exit status."""
    return lambda: host.run(f"systemctl start {UNIT}").rc


def metric(host, name: str) -> float:
    return float(host.check_output(f"sed -n 's/^{name} //p' /var/lib/prometheus/node-exporter/*.prom"))


def put(host, rclone, name: str, text: str) -> None:
    host.check_output(f"printf %s '{text}' > /tmp/put")
    rclone(f"copyto /tmp/put '{SOURCE}/{name}'")


def test_what_is_new_arrives(host, rclone, copy):
    for name in ("1/a/x.txt", "1/a/y z.txt", "1/b/ä.txt", "backup/archive/not"):
        put(host, rclone, name, f"content of {name}")
    assert copy() == 0
    assert sorted(rclone(f"lsf -R --files-only {TARGET}/current").splitlines()) == ["1/a/x.txt", "1/a/y z.txt", "1/b/ä.txt"]
    assert rclone(f"cat {TARGET}/current/1/a/x.txt") == "content of 1/a/x.txt"
    assert metric(host, "labtrack_backup_copy_objects") == 3 and metric(host, "labtrack_backup_copy_differences") == 0
    assert metric(host, 'labtrack_job_last_run_success{job=\\"backup_copy\\"}'.replace('\\"', '"')) == 1


def test_what_is_deleted_or_overwritten_stays_for_a_while(host, rclone, copy):
    rclone(f"deletefile {SOURCE}/1/b/ä.txt")
    put(host, rclone, "1/a/x.txt", "other")
    assert copy() == 0
    assert rclone(f"cat {TARGET}/current/1/a/x.txt") == "other"
    removed = rclone(f"lsf --dirs-only {TARGET}/removed").strip()
    assert rclone(f"cat '{TARGET}/removed/{removed}1/b/ä.txt'") == "content of 1/b/ä.txt"
    assert rclone(f"cat {TARGET}/removed/{removed}1/a/x.txt") == "content of 1/a/x.txt"


def test_old_removals_go(host, rclone, copy):
    host.check_output("printf x > /tmp/put")
    rclone(f"copyto /tmp/put {TARGET}/removed/2020-01-01T000000Z/1/old")
    rclone(f"copyto /tmp/put {TARGET}/removed/a-person-s-folder/1/old")
    assert copy() == 0
    left = rclone(f"lsf --dirs-only {TARGET}/removed").split()
    assert "2020-01-01T000000Z/" not in left and "a-person-s-folder/" in left and len(left) == 2


def test_a_damaged_copy_is_noticed_and_mended(host, rclone, copy):
    host.check_output("printf damaged > /tmp/put")
    rclone(f"copyto /tmp/put '{TARGET}/current/1/a/y z.txt'")
    done = host.run("labtrack-artifact-copy --check-only /etc/labtrack/artifact_copy/main.json")
    assert done.rc == 3 and "different: 1/a/y z.txt" in done.stdout, done.stdout + done.stderr
    assert copy() == 0
    assert rclone(f"cat '{TARGET}/current/1/a/y z.txt'") == "content of 1/a/y z.txt"


def test_an_empty_source_empties_nothing(host, rclone, copy):
    before = rclone(f"lsf -R --files-only {TARGET}/current")
    rclone(f"delete {SOURCE}")
    assert copy() != 0
    assert rclone(f"lsf -R --files-only {TARGET}/current") == before
    assert metric(host, 'labtrack_job_last_run_success{job="backup_copy"}') == 0
    assert "Bring the artifacts back" in host.check_output(f"journalctl -o cat -u {UNIT}")
    assert host.service(UNIT).is_running is False and "failed" in host.run(f"systemctl is-failed {UNIT}").stdout
    rclone(f"copy {TARGET}/current {SOURCE}")  # as a person brings them back
    assert copy() == 0


def test_secrets_stay_in_their_files(host):
    assert host.file("/etc/labtrack/artifact_copy/main.conf").mode == 0o600
    secret = host.check_output("sed -n 's/^secret_access_key = //p' /etc/labtrack/artifact_copy/main.conf")
    seen = host.check_output(f"journalctl --no-pager -o cat; systemctl cat {UNIT}; cat {REPORT} /etc/labtrack/artifact_copy/main.json")
    assert len(secret) > 10 and secret not in seen
