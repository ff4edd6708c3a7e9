# SPDX-License-Identifier: GPL-3.0-or-later
"""A store that does not know boto3's checksums works with the verdict, and without it does not."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

import pytest

ENVIRONMENT = "/etc/labtrack/object_store/second.env"
BUCKET = "old-lab-second"
CLIENT = "import boto3, json, os; s3 = boto3.client('s3', endpoint_url=os.environ['MLFLOW_S3_ENDPOINT_URL'])\n"


@pytest.fixture(scope="module")
def s3(host):
    """Run Python lines with a client named `s3` and the role's environment; `more` changes that environment."""

    def run(lines: str, more: str = ""):
        shell = f"set -a; . {ENVIRONMENT}; {more} set +a; exec /opt/boto/bin/python -I -c {shlex.quote(CLIENT + lines)}"
        return host.run(f"bash -c {shlex.quote(shell)}")

    return run


def test_verdict(host):
    record = json.loads(host.file("/etc/labtrack/object_store/second-verdict.json").content_string)
    assert record["settings"]["request_checksum_calculation"] == "when_required"
    assert record["settings"]["batch_delete"] is True
    assert "MissingContentLength" in record["findings"][0]


def test_environment(host):
    content = host.file(ENVIRONMENT).content_string
    for line in ("AWS_DEFAULT_REGION=RegionOne", "AWS_REQUEST_CHECKSUM_CALCULATION=when_required", "AWS_RESPONSE_CHECKSUM_VALIDATION=when_required"):
        assert line in content.splitlines()
    assert not host.file("/etc/labtrack/object_store/environment").exists, "the file of another instance"


def test_writing_works_with_the_verdict(s3):
    done = s3(f"s3.put_object(Bucket='{BUCKET}', Key='t', Body=b'x'); s3.delete_objects(Bucket='{BUCKET}', Delete={{'Objects': [{{'Key': 't'}}]}})")
    assert done.rc == 0, done.stderr


def test_writing_fails_without_the_verdict(s3):
    done = s3(f"s3.put_object(Bucket='{BUCKET}', Key='t', Body=b'x')", "AWS_REQUEST_CHECKSUM_CALCULATION=when_supported;")
    assert done.rc != 0 and "MissingContentLength" in done.stderr


def test_bucket(s3):
    lines = f"""
rules = s3.get_bucket_lifecycle_configuration(Bucket='{BUCKET}')['Rules']
policy = json.loads(s3.get_bucket_policy(Bucket='{BUCKET}')['Policy'])
print(json.dumps([[rule['ID'] for rule in rules], s3.get_bucket_versioning(Bucket='{BUCKET}').get('Status'), policy['Statement'][0]['Sid']]))
"""
    assert json.loads(s3(lines).stdout) == [["labtrack-abort-multipart"], None, "TlsOnly"]


def converge(*extra: str) -> subprocess.CompletedProcess:
    """Run the scenario's playbook again with other variables."""
    directory, scenario = (Path(os.environ[name]) for name in ("MOLECULE_EPHEMERAL_DIRECTORY", "MOLECULE_SCENARIO_DIRECTORY"))
    command = ["ansible-playbook", "-i", str(directory / "inventory"), str(scenario / "converge.yml")]
    environment = {**os.environ, "ANSIBLE_STDOUT_CALLBACK": "default", "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1"}
    return subprocess.run([*command, *extra], capture_output=True, text=True, check=False, env=environment)


@pytest.fixture
def bucket_of_others(s3):
    """A bucket of another account of the same store."""
    other = "AWS_ACCESS_KEY_ID=other-access-key; AWS_SECRET_ACCESS_KEY=canary-secret-of-others-0123;"
    assert s3("s3.create_bucket(Bucket='of-others')", other).rc == 0
    yield "of-others"
    s3("s3.delete_bucket(Bucket='of-others')", other)


def test_bucket_of_another_account_is_refused(bucket_of_others):
    done = converge("-e", f"object_store_bucket={bucket_of_others}")
    assert done.returncode != 0 and "changed=0" in done.stdout
    assert "another account may own it" in " ".join((done.stdout + done.stderr).split())


def test_a_bucket_with_objects_is_adopted_when_the_site_says_so(s3):
    assert s3("s3.create_bucket(Bucket='adopted'); s3.put_object(Bucket='adopted', Key='model', Body=b'x')").rc == 0
    done = converge("-e", "object_store_bucket=adopted", "-e", "object_store_bucket_policy={}", "-e", "object_store_record_file=/root/adopted.json")
    assert done.returncode == 0, done.stdout
    assert "model" in s3("print([o['Key'] for o in s3.list_objects_v2(Bucket='adopted')['Contents']])").stdout
    assert converge().returncode == 0
