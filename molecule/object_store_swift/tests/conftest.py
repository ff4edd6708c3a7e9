# SPDX-License-Identifier: GPL-3.0-or-later
"""The store as MLflow sees it, and the role's playbooks with other variables."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest
from testbed.cloud import facts

WORK, SCENARIO, PROJECT = (Path(os.environ[f"MOLECULE_{name}_DIRECTORY"]) for name in ("EPHEMERAL", "SCENARIO", "PROJECT"))
PYTHON = "/opt/labtrack/mlflow/main/current/bin/python"
ENVIRONMENT = "/etc/labtrack/object_store/environment"
CLIENT = "import boto3, json, os; s3 = boto3.client('s3', endpoint_url=os.environ['MLFLOW_S3_ENDPOINT_URL'])\n"


@pytest.fixture(scope="session")
def inventory() -> list[str]:
    """Options that name the scenario's inventory."""
    return ["-i", str(WORK / "inventory" / "hosts.yml")]


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """Of a person who runs Ansible in the project."""
    ansible = {"ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0", "LABTRACK_REPORT_DIR": ""}
    return {**os.environ, **ansible, "OS_CLIENT_CONFIG_FILE": str(facts.CLOUDS_FILE)}


@pytest.fixture(scope="session")
def preflight(inventory, environment):
    """What the role's preflight says to other variables; it must refuse them without a change."""

    def run(**extra) -> str:
        words = ["ansible-playbook", *inventory, str(SCENARIO / "entry.yml"), "-e", json.dumps({"entry": "preflight", **extra})]
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment, cwd=PROJECT)
        said = " ".join((done.stdout + done.stderr).split())
        assert done.returncode != 0 and "changed=0" in said, said
        return said

    return run


@pytest.fixture(scope="session")
def credential(inventory, environment):
    """What would be done for a login without a recorded key: result of the module in check mode."""

    def run(**options) -> dict:
        words = ["ansible", *inventory, "localhost", "-c", "local", "--check", "-m", "labtrack.mlflow.ec2_credential", "-a", json.dumps(options)]
        as_json = {**environment, "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=as_json, cwd=PROJECT)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.JSONDecoder().raw_decode(done.stdout.partition("=> ")[2])[0]

    return run


@pytest.fixture
def record(host) -> dict:
    """The doctor's verdict, as it was recorded."""
    return json.loads(host.file("/etc/labtrack/object_store/main.json").content_string)


@pytest.fixture
def s3(host):
    """Run Python lines with a client named `s3` and the role's environment; what they print last."""

    def run(lines: str):
        shell = f"set -a; . {ENVIRONMENT}; set +a; exec {PYTHON} -I -c {shlex.quote(CLIENT + lines)}"
        return json.loads(host.check_output(f"bash -c {shlex.quote(shell)}").splitlines()[-1])

    return run
