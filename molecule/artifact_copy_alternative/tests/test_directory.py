# SPDX-License-Identifier: GPL-3.0-or-later
"""From a directory to another one, with limits; MLflow's own user writes the source."""

from __future__ import annotations

UNIT = "labtrack-backup-copy.service"


def test_a_directory_is_copied(host):
    host.check_output("install -d -o nobody -m 0700 /srv/artifacts/1 /srv/artifacts/scratch")
    host.check_output(
        "bash -c 'echo one > /srv/artifacts/1/x; echo no > /srv/artifacts/scratch/y; chown -R nobody /srv/artifacts; chmod 0600 /srv/artifacts/1/x'"
    )
    host.check_output(f"systemctl start {UNIT}")
    assert host.file("/srv/second/current/1/x").content_string == "one\n"
    assert not host.file("/srv/second/current/scratch").exists
    host.check_output("bash -c 'echo other > /srv/artifacts/1/x; rm -r /srv/artifacts/scratch'")
    host.check_output(f"systemctl start {UNIT}")
    assert host.check_output("cat /srv/second/removed/*/1/x") == "one"
    assert "1 artifacts are the same" in host.file("/var/lib/labtrack/artifact_copy/main/report.txt").content_string


def test_the_unit_is_hardened(host):
    score = host.check_output(f"systemd-analyze security {UNIT} --no-pager | sed -n 's/.*exposure level for .*: \\([0-9.]*\\) .*/\\1/p'")
    assert float(score) <= 2.5
    assert "--bwlimit" not in host.check_output(f"systemctl cat {UNIT}")
    assert host.service("labtrack-backup-copy.timer").is_running
