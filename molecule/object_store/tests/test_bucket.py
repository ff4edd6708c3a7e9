# SPDX-License-Identifier: GPL-3.0-or-later
"""The bucket is as the role says, and what the role wrote is enough for boto3 to use it."""

from __future__ import annotations

import json

BUCKET = "object-store-mlflow"


def test_environment_is_for_root_only(host):
    file = host.file("/etc/labtrack/object_store/environment")
    assert (file.user, file.group, file.mode) == ("root", "root", 0o600)
    assert "MLFLOW_S3_IGNORE_TLS" not in file.content_string
    assert "AWS_CA_BUNDLE=/etc/ssl/store-ca.pem" in file.content_string


def test_verdict_of_a_current_store(host):
    record = json.loads(host.file("/etc/labtrack/object_store/main.json").content_string)
    assert record["settings"]["request_checksum_calculation"] == "when_supported"
    assert record["settings"]["response_checksum_validation"] == "when_supported"
    assert record["settings"]["batch_delete"] is True
    assert record["findings"] == ["Everything that MLflow uses works."]
    assert record["versions"]["boto3"] == "1.44.5"
    secret = host.check_output("sed -n 's/^AWS_SECRET_ACCESS_KEY=//p' /etc/labtrack/object_store/environment")
    assert secret and secret not in json.dumps(record)


def test_round_trip_with_the_environment_alone(s3):
    lines = f"""
body = os.urandom(12 * 2**20)
import io
s3.upload_fileobj(io.BytesIO(body), '{BUCKET}', 'tests/large')
answer(s3.get_object(Bucket='{BUCKET}', Key='tests/large')['Body'].read() == body)
s3.delete_objects(Bucket='{BUCKET}', Delete={{'Objects': [{{'Key': 'tests/large'}}]}})
"""
    assert s3(lines) is True


def test_bucket_is_marked_versioned_and_tidied(s3):
    marker = json.loads(s3(f"\nanswer(s3.get_object(Bucket='{BUCKET}', Key='.labtrack/site.json')['Body'].read().decode())"))
    assert marker == {"site": "object-store", "instance": "main"}
    assert s3(f"\nanswer(s3.get_bucket_versioning(Bucket='{BUCKET}').get('Status'))") == "Enabled"
    rules = {rule["ID"]: rule for rule in s3(f"\nanswer(s3.get_bucket_lifecycle_configuration(Bucket='{BUCKET}')['Rules'])")}
    assert rules["labtrack-noncurrent"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    assert rules["labtrack-abort-multipart"]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 3}


def test_the_doctor_left_nothing_behind(s3):
    assert not [name for name in s3("\nanswer([b['Name'] for b in s3.list_buckets()['Buckets']])") if name.startswith(f"{BUCKET}-doctor-")]
    assert s3(f"\nanswer([o['Key'] for o in s3.list_objects_v2(Bucket='{BUCKET}', Prefix='.labtrack/')['Contents']])") == [".labtrack/site.json"]
