# SPDX-License-Identifier: GPL-3.0-or-later
"""People with MLflow's client, and an admin with the playbooks."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
INVENTORY = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory" / "hosts.yml"
MLFLOW = "/run/labtrack-mlflow-main/asgi.sock /var/lib/labtrack/mlflow/main/admin_credentials"


@pytest.fixture(scope="module")
def people(host):
    """One action of people.py, with the store's key only where clients need it; its answer."""

    def act(*words: str, key: bool = False):
        environment = "set -a; . /etc/labtrack/object_store/environment; set +a;" if key else ""
        command = f"{environment} exec /opt/labtrack/mlflow/main/current/bin/python /opt/people.py {MLFLOW} {' '.join(words)}"
        done = host.run(f"env MLFLOW_DISABLE_TELEMETRY=true GIT_PYTHON_REFRESH=quiet bash -c {shlex.quote(command)}")
        assert done.rc == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])

    return act


@pytest.fixture(scope="module")
def play():
    """A playbook, as a lab admin runs it."""

    def run(name: str, *options: str) -> subprocess.CompletedProcess[str]:
        tool = Path(sys.executable).parent / "ansible-playbook"
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
        words = [word for option in options for word in ("-e", option)]
        return subprocess.run([str(tool), name, "-i", str(INVENTORY), *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="module")
def audit(host):
    """The audit's report."""
    return lambda: json.loads(host.check_output("labtrack-artifacts audit --json --option grace_hours=0"))
