# SPDX-License-Identifier: GPL-3.0-or-later
"""What is sent to the store, against boto3's own stub; and that a policy which locks out is taken back."""

from __future__ import annotations

import json

import pytest
from ansible_collections.labtrack.mlflow.plugins.module_utils import _s3_bucket_actions as actions
from botocore.stub import ANY, Stubber

PARAMS = {"endpoint": "https://s3.lab.test", "region": "us-east-1", "access_key": "k", "secret_key": "s", "ca_file": "", "bucket": "b"}
FOREIGN = {"ID": "theirs", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}
OLD = {"ID": "labtrack-noncurrent", "Status": "Enabled", "Filter": {"Prefix": ""}, "NoncurrentVersionExpiration": {"NoncurrentDays": 1}}
NEW = {**OLD, "NoncurrentVersionExpiration": {"NoncurrentDays": 30}}
ABORT = {"ID": "labtrack-abort-multipart", "Status": "Enabled", "Filter": {"Prefix": ""}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 3}}
POLICY = {"Statement": [{"Effect": "Deny"}]}


@pytest.fixture
def run(monkeypatch):
    """Do actions against a stub that expects the calls, in order: (method, answer or error code, parameters)."""

    def do(todo, *calls, **params):
        made = actions.Actions({**PARAMS, **params})
        with Stubber(made.client) as stub:
            for method, answer, expected in calls:
                if isinstance(answer, str):
                    stub.add_client_error(method, answer, expected_params=expected)
                else:
                    stub.add_response(method, answer, expected)
            monkeypatch.setattr(actions, "Actions", lambda params: made)
            result = actions.main({**PARAMS, "actions": todo})
            stub.assert_no_pending_responses()
        monkeypatch.undo()
        return result

    return do


def rules(*which):
    return {"Bucket": "b", "LifecycleConfiguration": {"Rules": list(which)}}


def test_a_new_bucket(run):
    marker = {"Bucket": "b", "Key": ".labtrack/site.json", "Body": b'{"site": "lab"}', "ContentType": "application/json"}
    versioning = {"Bucket": "b", "VersioningConfiguration": {"Status": "Enabled"}}
    result = run(
        {"create": True, "mark": {"site": "lab"}, "versioning": True},
        ("create_bucket", {}, {"Bucket": "b"}),
        ("put_object", {}, marker),
        ("put_bucket_versioning", {}, versioning),
    )
    assert result == {"done": ["create", "mark", "versioning"], "unsupported": [], "failed": "", "error": "", "deleted": 0}


def test_amazon_wants_its_region(run):
    place = {"Bucket": "b", "CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}}
    assert run({"create": True}, ("create_bucket", {}, place), endpoint="https://s3.eu-west-1.amazonaws.com", region="eu-west-1")["failed"] == ""


def test_a_name_that_is_taken(run):
    result = run({"create": True, "mark": {}}, ("create_bucket", "BucketAlreadyExists", {"Bucket": "b"}))
    assert result["failed"] == "create" and "choose another bucket" in result["error"] and result["done"] == []


def test_rules_of_others_stay(run):
    result = run(
        {"lifecycle": {"noncurrent_days": 30, "abort_multipart_days": 3}},
        ("get_bucket_lifecycle_configuration", {"Rules": [FOREIGN, OLD]}, {"Bucket": "b"}),
        ("put_bucket_lifecycle_configuration", {}, rules(FOREIGN, NEW, ABORT)),
    )
    assert result["done"] == ["lifecycle"]


def test_first_rules(run):
    run(
        {"lifecycle": {"abort_multipart_days": 3}},
        ("get_bucket_lifecycle_configuration", "NoSuchLifecycleConfiguration", {"Bucket": "b"}),
        ("put_bucket_lifecycle_configuration", {}, rules(ABORT)),
    )


def test_last_rule(run):
    run({"lifecycle": {}}, ("get_bucket_lifecycle_configuration", {"Rules": [OLD]}, {"Bucket": "b"}), ("delete_bucket_lifecycle", {}, {"Bucket": "b"}))


@pytest.mark.parametrize("wanted", [{"abort_multipart_days": 3}, {}])
def test_a_store_that_overlooks_lifecycle_is_asked_no_more(run, wanted):
    # Swift 2.30 lists the bucket; a deletion of its rules would be one of the bucket
    result = run({"lifecycle": wanted}, ("get_bucket_lifecycle_configuration", {}, {"Bucket": "b"}))
    assert result["unsupported"] == ["lifecycle"] and not result["failed"]


def test_no_rules_are_not_deleted(run):
    result = run({"lifecycle": {}}, ("get_bucket_lifecycle_configuration", "NoSuchLifecycleConfiguration", {"Bucket": "b"}))
    assert result["done"] == ["lifecycle"]


def test_what_the_store_cannot_is_no_failure(run):
    result = run({"versioning": True}, ("put_bucket_versioning", "NotImplemented", ANY_VERSIONING))
    assert result == {"done": [], "unsupported": ["versioning"], "failed": "", "error": "", "deleted": 0}


def test_other_errors_are_failures(run):
    result = run({"versioning": True}, ("put_bucket_versioning", "InternalError", ANY_VERSIONING))
    assert result["failed"] == "versioning" and result["error"].startswith("InternalError")


def test_a_policy_is_tried(run):
    key = {"Bucket": "b", "Key": ANY}
    result = run(
        {"policy": POLICY},
        ("get_bucket_policy", "NoSuchBucketPolicy", {"Bucket": "b"}),
        ("put_bucket_policy", {}, {"Bucket": "b", "Policy": json.dumps(POLICY)}),
        ("put_object", {}, {**key, "Body": b"x"}),
        ("get_object", {"Body": Body()}, key),
        ("list_objects_v2", {}, {"Bucket": "b", "MaxKeys": 1}),
        ("delete_object", {}, key),
    )
    assert result["done"] == ["policy"]


@pytest.mark.parametrize(
    ("before", "back"),
    [
        ("NoSuchBucketPolicy", ("delete_bucket_policy", {}, {"Bucket": "b"})),
        ({"Policy": "{}"}, ("put_bucket_policy", {}, {"Bucket": "b", "Policy": "{}"})),
    ],
)
def test_a_policy_that_locks_out_is_taken_back(run, before, back):
    key = {"Bucket": "b", "Key": ANY}
    result = run(
        {"policy": POLICY},
        ("get_bucket_policy", before, {"Bucket": "b"}),
        ("put_bucket_policy", {}, {"Bucket": "b", "Policy": json.dumps(POLICY)}),
        ("put_object", {}, {**key, "Body": b"x"}),
        ("get_object", "AccessDenied", key),
        back,
        ("delete_object", {}, key),
    )
    assert result["failed"] == "policy" and "the earlier policy is back" in result["error"]


def version(key):
    return {"Key": key, "VersionId": "1"}


def test_a_bucket_is_deleted_one_by_one_where_batches_are_refused(run):
    # as Swift 2.30, which wants the Content-MD5 that boto3 no longer sends; the marker is the last
    batch = {"Bucket": "b", "Delete": {"Objects": [version("model")], "Quiet": True}}
    result = run(
        {"delete": True},
        ("list_multipart_uploads", {}, {"Bucket": "b"}),
        ("list_object_versions", {"Versions": [version(actions.MARKER), version("model")]}, {"Bucket": "b"}),
        ("delete_objects", "InvalidRequest", batch),
        ("delete_object", {}, {"Bucket": "b", **version("model")}),
        ("delete_object", {}, {"Bucket": "b", **version(actions.MARKER)}),
        ("delete_bucket", {}, {"Bucket": "b"}),
    )
    assert result == {"done": ["delete"], "unsupported": [], "failed": "", "error": "", "deleted": 2}


ANY_VERSIONING = {"Bucket": "b", "VersioningConfiguration": {"Status": "Enabled"}}


class Body:
    """A stream."""

    def read(self):
        return b"x"
