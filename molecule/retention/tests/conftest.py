# SPDX-License-Identifier: GPL-3.0-or-later
"""People with MLflow's client, an admin with the playbooks, and the program itself."""

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
PYTHON = "/opt/labtrack/mlflow/main/current/bin/python"
MLFLOW = "/run/labtrack-mlflow-main/asgi.sock /var/lib/labtrack/mlflow/main/admin_credentials"
MADE = "/opt/made.json"
S3 = """
import sys
sys.path[:0] = ["/usr/local/lib/labtrack/artifacts", "/opt/labtrack/mlflow/main/current/server"]
from stores import s3_client
client, bucket = s3_client(), "retention-mlflow"
"""


@pytest.fixture(scope="module")
def s3(host):
    """Python with the site's key, past MLflow."""

    def run(code: str) -> str:
        command = f"set -a; . /etc/labtrack/object_store/environment; exec {PYTHON} -B -c {shlex.quote(S3 + code)}"
        return host.check_output(f"bash -c {shlex.quote(command)}")

    return run


@pytest.fixture(scope="module")
def people(host):
    """One action of files/people.py; its answer."""

    def act(*words: str):
        done = host.run(f"env MLFLOW_DISABLE_TELEMETRY=true GIT_PYTHON_REFRESH=quiet {PYTHON} /opt/people.py {MLFLOW} {' '.join(words)}")
        assert done.rc == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])

    return act


@pytest.fixture(scope="module")
def site(host, people):
    """What people have made, once for all tests."""
    if not host.file(MADE).exists:
        made = people("make")
        host.check_output(f"printf %s {shlex.quote(json.dumps(made))} > {MADE}")
    return json.loads(host.file(MADE).content_string)


@pytest.fixture(scope="module")
def artifacts(host):
    """The program, as root; its report."""

    def run(command: str, *, keep: bool = False, status: int = 0, **options):
        words = " ".join(f"--option '{name}={json.dumps(value)}'" for name, value in options.items())
        done = host.run(f"labtrack-artifacts {command} --json --with-text {'--keep' if keep else ''} {words}")
        assert done.rc == status, done.stderr[-3000:]
        return json.loads(done.stdout) if done.stdout else done.stderr

    return run


@pytest.fixture(scope="module")
def play():
    """A playbook of the collection, as a lab admin runs it."""

    def run(name: str, *options: str) -> subprocess.CompletedProcess[str]:
        tool = Path(sys.executable).parent / "ansible-playbook"
        environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
        words = [word for option in options for word in ("-e", option)]
        command = [str(tool), name, "-i", str(INVENTORY), *words]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.fixture(scope="module")
def metrics(host):
    """Every metric of the site, by name with its labels."""

    def read() -> dict[str, float]:
        text = host.check_output("cat /var/lib/prometheus/node-exporter/*.prom")
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))}

    return read
