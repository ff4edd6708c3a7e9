# SPDX-License-Identifier: GPL-3.0-or-later
"""Two playbooks at once on one machine: the second says who is at work since when and what to do, before it changes anything."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest
from testbed.faults import wait

ROOT = Path(__file__).resolve().parents[3]
MACHINE, LOCK = "lt-site-lock", "/run/labtrack/site.lock"
AT_WORK = "molecule/site_lock/files/at_work.yml"
# with what they need to come as far as their first change
PLAYBOOKS = {
    "destroy": [],
    "gc": ["gc_delete=true", "gc_confirm=lock"],
    "import_site": ["import_source=/srv/dump", "import_apply=true"],
    "move_artifacts": ["move_apply=true"],
    "recover_artifacts": ["recover_run=0123456789abcdef0123456789abcdef", "recover_apply=true"],
    "restore": [],
    "rollback": ["rollback_confirm=lock"],
    "rotate_credentials": ["object_store_credentials=create", "tracking_server_artifacts_mode=proxied"],
    "rotate_secrets": ["rotate_secrets=kek"],
    "site": [],
    "upgrade": [],
}
SAID = (
    r"This machine is being changed by 'site.yml' of \S+@\S+ since \d{4}-\d\d-\d\d \d\d:\d\d UTC \(\d+ min; it is connected\)"
    r".* Accepted: one run at a time\. Wait"
)
WATCHED = (
    "find /etc /opt /usr /srv /root /var/lib -xdev -not -path '*/.ansible*' -not -path '/var/lib/systemd/*' -printf '%p %T@ %s %m %u\\n' | sort | sha256sum;"
    " dpkg -l | sha256sum; systemctl list-unit-files | sha256sum"
)


def sh(command: str) -> str:
    """Run it on the machine."""
    return subprocess.run(["docker", "exec", MACHINE, "sh", "-c", command], capture_output=True, text=True, check=True).stdout


def command(playbook: str, *variables: str) -> list[str]:
    """The command line of a playbook."""
    inventory = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory" / "hosts.yml"
    more = [word for variable in variables for word in ("-e", variable)]
    return [str(Path(sys.executable).parent / "ansible-playbook"), playbook, "-i", str(inventory), *more]


def environment() -> dict[str, str]:
    """Ansible as a person has it, without colours."""
    return {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "LABTRACK_REPORT_DIR": "", "ANSIBLE_FORCE_COLOR": "0"}


def play(playbook: str, *variables: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(command(playbook, *variables), cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)


@contextlib.contextmanager
def at_work() -> t.Iterator[subprocess.Popen]:
    """A run that has the lock."""
    sh("rm -f /run/labtrack/enough")
    first = subprocess.Popen(command(AT_WORK), cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        wait(lambda: first.poll() is not None or sh(f"cat {LOCK} 2>/dev/null || true"), 120, "the first run has the lock")
        yield first
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(first.pid, signal.SIGKILL)
        first.wait()


@pytest.fixture(scope="module")
def busy():
    with at_work() as first:
        yield first


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_the_second_is_refused_and_changes_nothing(busy, name):
    before = sh(WATCHED)
    done = play("site.yml" if name == "site" else f"playbooks/{name}.yml", *PLAYBOOKS[name])
    message = " ".join(done.stdout.split())
    assert done.returncode != 0 and re.search(SAID, message), message[-3000:]
    assert "site_lock_take_over=true; nothing was changed" in message
    assert re.search(r"changed=0 .*failed=1", message)
    assert busy.poll() is None and sh(WATCHED) == before


def test_what_only_looks_is_not_refused(busy):
    """It fails later: nothing is deployed here."""
    done = play("playbooks/gc.yml")
    assert busy.poll() is None and "being changed by" not in done.stdout


def test_a_run_that_ends_gives_it_back():
    with at_work() as first:
        sh("touch /run/labtrack/enough")
        assert first.wait(120) == 0
    assert sh(f"cat {LOCK}") == ""


def test_a_killed_run_is_no_obstacle_and_a_refused_rollback_leaves_none():
    with at_work():
        pass
    assert "site.yml" in sh(f"cat {LOCK}")
    done = play("playbooks/rollback.yml")
    assert done.returncode != 0 and "being changed by" not in done.stdout
    assert sh(f"cat {LOCK}") == ""
