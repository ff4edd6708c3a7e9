# SPDX-License-Identifier: GPL-3.0-or-later
"""boto3 as MLflow starts it: with the environment file of the role, in the Python of the release."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

SITE = """
site_name: object-store
site_s3_endpoint: "{{ testbed_store_endpoint }}"
site_s3_access_key: "{{ testbed_store_access_key }}"
site_s3_secret_key: "{{ testbed_store_secret_key }}"
site_s3_ca_file: /etc/ssl/store-ca.pem
"""
ENVIRONMENT = "/etc/labtrack/object_store/environment"
SCRIPT = """
import boto3, json, os
from botocore.config import Config
s3 = boto3.client("s3", endpoint_url=os.environ["MLFLOW_S3_ENDPOINT_URL"],
                  config=Config(s3={"addressing_style": os.environ["MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE"]}))
def answer(what):
    print(json.dumps(what, default=str))
"""


@pytest.fixture(scope="module")
def s3(host):
    """Run Python lines with a client named `s3`; what they `answer()` is returned."""

    def run(lines: str):
        environment = f"set -a; . {ENVIRONMENT}; set +a;"
        done = host.run(f"bash -c {quote(environment + ' exec /opt/labtrack/mlflow/main/current/bin/python -I -c ' + quote(SCRIPT + lines))}")
        assert done.rc == 0, done.stderr
        return json.loads(done.stdout)

    return run


def quote(text: str) -> str:
    """For the shell."""
    return "'" + text.replace("'", "'\"'\"'") + "'"


def inventory(directory: Path, cases: list[dict]) -> dict:
    """The machine once for each case, with the variables of the scenario and those of the case."""
    found = yaml.safe_load((directory / "inventory" / "hosts.yml").read_text(encoding="utf-8"))["all"]
    ((machine, variables),) = found["hosts"].items()
    common = {**found["vars"], **variables, "ansible_host": machine, "testbed_foreign_bucket": "object-store-foreign", **yaml.safe_load(SITE)}
    return {"all": {"hosts": {case["name"]: case["vars"] for case in cases}, "vars": common}}


@pytest.fixture(scope="module")
def refusals():
    """What the role said to each mistake; its output; the number of changes."""
    directory, scenario = (Path(os.environ[name]) for name in ("MOLECULE_EPHEMERAL_DIRECTORY", "MOLECULE_SCENARIO_DIRECTORY"))
    cases = yaml.safe_load((scenario / "files" / "cases.yml").read_text(encoding="utf-8"))
    hosts = directory / "refusals.yml"
    hosts.write_text(yaml.safe_dump(inventory(directory, cases)), encoding="utf-8")
    environment = {**os.environ, "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json", "ANSIBLE_FORKS": "4"}
    command = ["ansible-playbook", "-i", str(hosts), "--diff", str(scenario / "refusals.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    result, _end = json.JSONDecoder().raw_decode(done.stdout, done.stdout.index("{"))  # a summary follows
    messages = {case["name"]: "" for case in cases}
    for task in result["plays"][0]["tasks"]:
        messages.update({name: said["msg"] for name, said in task["hosts"].items() if said.get("failed")})
    return messages, done.stdout, sum(stats["changed"] for stats in result["stats"].values())
