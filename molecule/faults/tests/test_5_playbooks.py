# SPDX-License-Identifier: GPL-3.0-or-later
"""Two people run site.yml at once; one of the runs is killed."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from testbed.faults import wait

ROOT = Path(__file__).resolve().parents[3]
LOCK = "/run/labtrack/site.lock"


def test_two_playbooks_at_once(scene, machine, command, play):
    with scene("two playbooks at once, the first one killed") as now:
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "LABTRACK_REPORT_DIR": ""}
        first = subprocess.Popen(command("site.yml"), cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            wait(lambda: first.poll() is not None or machine.run(f"test -s {LOCK}").returncode == 0, 240, "the first run has the lock")
            assert first.poll() is None, "the first run has ended without a lock"
            second = play("playbooks/deploy.yml")
        finally:
            os.killpg(first.pid, signal.SIGKILL)
            first.wait()
        message = " ".join(second.stdout.split())
        assert second.returncode != 0 and "This machine is being changed by 'site.yml' of" in message, second.stdout[-3000:]
        now.says("second run: " + message.split("machine is being")[1].split("Accepted")[0].join(["This machine is being", "Accepted: one run at a time."]))
        assert machine.sh(f"cat {LOCK}"), "a killed run gives nothing back"
        third = play("site.yml")
        assert third.returncode == 0, third.stdout[-3000:]
        assert machine.sh(f"cat {LOCK}") == ""
        now.over("the next run takes the lock of the killed one")


def test_nothing_is_left_to_do(play):
    """Neither the faults nor what an administrator did against them has changed the site."""
    done = play("site.yml")
    assert done.returncode == 0, done.stdout[-3000:]
    assert "changed=0" in done.stdout, done.stdout[-3000:]


def test_everything_that_was_ever_acknowledged_is_there(lab):
    lines = list(lab.lines())
    assert len(lines) > 100
    assert lab.lost(lines) == []
