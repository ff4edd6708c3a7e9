# SPDX-License-Identifier: GPL-3.0-or-later
"""Kill `ansible-playbook site.yml` at five task boundaries; repeat it; compare with an undisturbed site."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
# pytest puts tests without this fixture behind the others: all have it, so that they run as written
pytestmark = pytest.mark.usefixtures("host")
# the task that begins when the controller dies
BOUNDARIES = [
    r"TASK \[labtrack.mlflow.certificate : lab_ca ",
    r"TASK \[labtrack.mlflow.object_store_server : service ",
    r"TASK \[labtrack.mlflow.postgresql : service ",
    r"TASK \[labtrack.mlflow.tracking_server : service ",
    r"RUNNING HANDLER \[labtrack.mlflow.reverse_proxy : Reload nginx",
]


def command() -> list[str]:
    """site.yml with the example inventory and the scenario's own."""
    inventory = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory" / "hosts.yml"
    tool = Path(sys.executable).parent / "ansible-playbook"
    return [str(tool), "site.yml", "-i", "inventories/example_single_vm", "-i", str(inventory)]


def environment() -> dict[str, str]:
    """The checkout's own ansible.cfg, as a lab admin has it."""
    return {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}


def run_until(boundary: str) -> str:
    """Run the play and kill the controller with all its children when the task begins; the output so far."""
    process = subprocess.Popen(command(), cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)
    output = []
    try:
        for line in process.stdout:
            output.append(line)
            if re.search(boundary, line):
                return "".join(output)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    pytest.fail(f"the play ended before '{boundary}':\n{''.join(output)[-3000:]}")


def run_whole() -> str:
    """Run the play to its end; its output."""
    done = subprocess.run(command(), cwd=ROOT, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_killed(boundary):
    assert "failed=1" not in run_until(boundary)


def test_repeated_run_converges(host):
    run_whole()
    failed = {line.split()[0] for line in host.check_output("systemctl --failed --plain --no-legend").splitlines()}
    assert failed <= {"nvmf-autoconnect.service"}  # of a package below Ceph's: it loads a kernel module, which a container may not


def test_and_then_changes_nothing():
    recap = re.search(r"^mlflow\s+: ok=\d+\s+changed=(\d+)", run_whole(), re.M)
    assert recap and recap.group(1) == "0"


@pytest.mark.parametrize("record", ["host_base", "certificate", "object_store_server", "tracking_server_main", "reverse_proxy"])
def test_the_services_run_with_what_is_written(host, record):
    with host.sudo():
        data = json.loads(host.file(f"/var/lib/labtrack-config/{record}.json").content_string)
    assert data["current"] == data["applied"]
