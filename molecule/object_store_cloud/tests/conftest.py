# SPDX-License-Identifier: GPL-3.0-or-later
"""The site's key as Keystone, the control machine and the server see it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import openstack
import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))

WORK, SCENARIO, PROJECT = (Path(os.environ[f"MOLECULE_{name}_DIRECTORY"]) for name in ("EPHEMERAL", "SCENARIO", "PROJECT"))
RECORD = WORK / "site" / "host_vars" / "mlflow" / "ec2_credential.txt"
ENVIRONMENT = "/etc/labtrack/object_store/environment"


@pytest.fixture(scope="session")
def clouds_file() -> Path:
    """Logins of the test cloud."""
    found = yaml.safe_load((WORK / "inventory" / "hosts.yml").read_text(encoding="utf-8"))["all"]["vars"]
    return Path(found["testbed_cloud_clouds_file"])


@pytest.fixture(scope="session")
def lab(clouds_file):
    """The project's user, who has a password."""
    clouds = yaml.safe_load(clouds_file.read_text(encoding="utf-8"))["clouds"]
    return openstack.connect(load_yaml_config=False, load_envvars=False, **clouds["lab-b"])


@pytest.fixture(scope="session")
def keys(lab):
    """Access keys on Keystone, now."""
    return lambda: {item["access"] for item in lab.identity.get(f"/users/{lab.current_user_id}/credentials/OS-EC2").json()["credentials"]}


@pytest.fixture(scope="session")
def record():
    """What is recorded, now."""
    return lambda: json.loads(RECORD.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def play(clouds_file):
    """Run a playbook as a person would, with all output that Ansible has."""

    def run(name: str | Path, *options: str, **extra: str) -> subprocess.CompletedProcess:
        plain = {"ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0", "LABTRACK_REPORT_DIR": ""}
        environment = {**os.environ, **plain, "OS_CLIENT_CONFIG_FILE": extra.get("as_clouds", str(clouds_file))}
        inventory = WORK / "inventory" / "hosts.yml"
        words = ["ansible-playbook", "-vvv", "-i", str(inventory), str(SCENARIO / name), "-e", json.dumps(extra), *options]
        return subprocess.run(words, capture_output=True, text=True, check=False, env=environment, cwd=PROJECT)

    return run


@pytest.fixture
def used(host):
    """The access key in the server's file, and in the environment of the process that serves MLflow."""

    def read() -> set[str]:
        process = host.check_output("systemctl show --value -p MainPID labtrack-mlflow-main.service")
        running = host.check_output(f"tr '\\0' '\\n' < /proc/{process}/environ | sed -n 's/^AWS_ACCESS_KEY_ID=//p'")
        return {running, host.check_output(f"sed -n 's/^AWS_ACCESS_KEY_ID=//p' {ENVIRONMENT}")}

    return read
