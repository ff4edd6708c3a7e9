# SPDX-License-Identifier: GPL-3.0-or-later
"""What Swift lacks is known before MLflow meets it, and the rest works."""

from __future__ import annotations

import json
from pathlib import Path

import docker
import pytest
from testbed.cloud import facts, variants

BUCKET = "object-store-swift-mlflow"
SOCKET, CREDENTIALS = "/run/labtrack-mlflow-main/asgi.sock", "/var/lib/labtrack/mlflow/main/admin_credentials"
PYTHON = "MLFLOW_DISABLE_TELEMETRY=true MLFLOW_HTTP_REQUEST_MAX_RETRIES=0 /opt/labtrack/mlflow/main/current/bin/python"
LACKS = {
    "aws-chunked is not supported": "when_required only",
    "between 1 and 1000": "10,000 parts",
    "not implemented": "no bucket policies",
    "with versioning, what was deleted": "cannot expire old versions",
}


def test_the_verdict_says_what_is_missing(record):
    assert record["settings"]["request_checksum_calculation"] == record["settings"]["response_checksum_validation"] == "when_required"
    capabilities = record["capabilities"]
    assert {name for name, can in capabilities.items() if can} == {"batch_delete", "create_bucket", "list", "presigned", "ranged_get", "versioning"}
    for cause, consequence in LACKS.items():
        assert [finding for finding in record["findings"] if cause in finding and consequence in finding], (cause, record["findings"])


def test_the_environment(host):
    lines = host.file("/etc/labtrack/object_store/environment").content_string.splitlines()
    for line in ("AWS_DEFAULT_REGION=RegionOne", "AWS_REQUEST_CHECKSUM_CALCULATION=when_required", "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE=path"):
        assert line in lines


def test_the_bucket_is_marked_and_keeps_versions(s3):
    marker = s3(f"print(s3.get_object(Bucket='{BUCKET}', Key='.labtrack/site.json')['Body'].read().decode())")
    assert marker == {"site": "object-store-swift", "instance": "main"}
    assert s3(f"print(json.dumps(s3.get_bucket_versioning(Bucket='{BUCKET}').get('Status')))") == "Enabled"


def test_the_doctor_left_nothing_behind(s3):
    assert BUCKET in (names := s3("print(json.dumps([b['Name'] for b in s3.list_buckets()['Buckets']]))"))
    assert not [name for name in names if name.startswith(f"{BUCKET}-doctor-")]


def test_people_log_and_read_back(host):
    answer = json.loads(host.check_output(f"{PYTHON} /opt/client.py {SOCKET} {CREDENTIALS}").splitlines()[-1])
    assert (answer["steps"], answer["same"], answer["artifacts"]) == (10, True, ["payload.bin", "sub"])


def test_a_large_object_comes_back_as_it_was(s3):
    lines = f"""
import io
body = os.urandom(20 * 2**20)
s3.upload_fileobj(io.BytesIO(body), '{BUCKET}', 'tests/large')
print(json.dumps(s3.get_object(Bucket='{BUCKET}', Key='tests/large')['Body'].read() == body))
"""
    assert s3(lines) is True


def test_artifacts_are_deleted_or_not_as_the_verdict_says(host, record):
    answer = json.loads(host.check_output(f"{PYTHON} /opt/delete.py {SOCKET} {CREDENTIALS} 20").splitlines()[-1])
    assert answer["before"] == 20
    if record["settings"]["batch_delete"]:
        assert (answer["error"], answer["after"]) == ("", 0)
    else:
        assert answer["error"] and answer["after"] == 20, "neither silently kept nor half deleted"


def test_many_objects_are_deleted_one_by_one(s3):
    lines = f"""
from concurrent.futures import ThreadPoolExecutor
where = [{{'Bucket': '{BUCKET}', 'Key': f'tests/many/{{number}}'}} for number in range(100)]
with ThreadPoolExecutor(8) as pool:
    list(pool.map(lambda one: s3.put_object(**one, Body=b'x'), where))
    before = s3.list_objects_v2(Bucket='{BUCKET}', Prefix='tests/many/')['KeyCount']
    list(pool.map(lambda one: s3.delete_object(**one), where))
print(json.dumps([before, s3.list_objects_v2(Bucket='{BUCKET}', Prefix='tests/many/')['KeyCount']]))
"""
    assert s3(lines) == [100, 0]


GIVEN = {"object_store_credentials": "provide", "site_s3_access_key": "labtrack-no-such-key", "site_s3_secret_key": "canary-secret-0123"}
STATEMENT = {"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/ada"]}, "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/*"}


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"site_s3_region": "us-east-1"}, "site_s3_region is 'us-east-1': the store expects another region (it expects 'RegionOne')"),
        (GIVEN, "or the store does not know that key (SignatureDoesNotMatch)"),
        ({"object_store_bucket_policy": {"Statement": [STATEMENT]}}, "object_store_bucket_policy is given: the store has no bucket policies"),
    ],
    ids=["region", "key", "policy"],
)
def test_the_preflight_says_what_swift_refuses(preflight, extra, said):
    message = preflight(**extra)
    assert said in message, message
    assert "canary-secret" not in message


@pytest.fixture
def in_the_catalogue():
    """The whole cloud's object store is Swift, for as short as can be."""
    with variants.variant(docker.from_env(), "swift-store"):
        yield


def test_a_key_is_made_for_the_store_in_the_catalogue(in_the_catalogue, credential, tmp_path):
    pem = Path(facts.CA_FILE).read_text(encoding="utf-8")
    found = credential(cloud="lab-b", path=str(tmp_path / "record"), s3_region=facts.REGION, s3_ca_pem=pem)
    assert found["s3_endpoint"] == facts.SWIFT_ENDPOINT
    assert found["done"] and found["changed"]
