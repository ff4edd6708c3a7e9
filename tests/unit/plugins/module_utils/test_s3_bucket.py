# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose bucket it is, what has to be done to it, and which policies are refused."""

from __future__ import annotations

import json

import pytest
from ansible_collections.labtrack.mlflow.plugins.module_utils import _s3_bucket_plan as plan
from ansible_collections.labtrack.mlflow.plugins.module_utils import _s3_bucket_state as states
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_http import Answer, StoreError
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_messages import MESSAGES, explain
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_policy import problems

NAMESPACE = "xmlns='http://s3.amazonaws.com/doc/2006-03-01/'"
LISTING = f"<ListBucketResult {NAMESPACE}><Name>b</Name>%s</ListBucketResult>"
OBJECT = "<Contents><Key>thesis.pdf</Key></Contents>"
LIFECYCLE = f"""<LifecycleConfiguration {NAMESPACE}>
<Rule><ID>labtrack-noncurrent</ID><Prefix/><Status>Enabled</Status><NoncurrentVersionExpiration><NoncurrentDays>30</NoncurrentDays></NoncurrentVersionExpiration></Rule>
<Rule><ID>labtrack-abort-multipart</ID><Prefix/><Status>Enabled</Status>
<AbortIncompleteMultipartUpload><DaysAfterInitiation>3</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>
<Rule><ID>somebody-else</ID><Prefix/><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>"""
PARAMS = {
    "endpoint": "https://s3",
    "region": "r",
    "access_key": "k",
    "ca_file": "",
    "bucket": "b",
    "site": "lab",
    "instance": "main",
    "adopt": False,
    "lost": False,
    "versioning": True,
    "noncurrent_days": 30,
    "abort_multipart_days": 3,
    "policy": {},
    "variable_names": {},
}
NOTHING = {"versioning": False, "lifecycle": {}, "policy": {}}
AS_WANTED = {"versioning": True, "lifecycle": {"noncurrent_days": 30, "abort_multipart_days": 3}, "policy": {}}


class Store:
    """Answers by the first query parameter, or by the path's end."""

    def __init__(self, **answers):
        self.answers = answers

    def get(self, path, query=None):
        name = next(iter(query)).replace("-", "_") if query else "marker"
        status, body = self.answers.get(name, (404, "NoSuchThing"))
        return Answer(status, {}, body.encode(), "" if status == 200 else body)


def test_absent():
    assert states.state(Store(list_type=(404, "NoSuchBucket")), "b") == {"status": "absent", "marker": {}}


def test_of_another_account():
    assert states.state(Store(list_type=(403, "AccessDenied")), "b")["status"] == "denied"


@pytest.mark.parametrize(("objects", "status"), [("", "empty"), (OBJECT, "unmarked")])
def test_without_marker(objects, status):
    assert states.state(Store(list_type=(200, LISTING % objects)), "b")["status"] == status


@pytest.mark.parametrize(("body", "marker"), [('{"site": "lab"}', {"site": "lab"}), ("no json", {}), ("[1]", {})])
def test_marked(body, marker):
    assert states.state(Store(list_type=(200, LISTING % OBJECT), marker=(200, body)), "b") == {"status": "marked", "marker": marker}


@pytest.mark.parametrize(("answer", "kind"), [((301, "PermanentRedirect"), "redirect"), ((503, "SlowDown"), "server"), ((200, "<html"), "not_s3")])
def test_errors(answer, kind):
    with pytest.raises(StoreError) as error:
        states.state(Store(list_type=answer), "b")
    assert error.value.kind == kind


def test_configuration():
    store = Store(
        versioning=(200, f"<VersioningConfiguration {NAMESPACE}><Status>Enabled</Status></VersioningConfiguration>"),
        lifecycle=(200, LIFECYCLE),
        policy=(200, '{"Statement": []}'),
    )
    assert states.configuration(store, "b") == {**AS_WANTED, "policy": {"Statement": []}}


def test_configuration_of_a_store_that_has_none():
    assert states.configuration(Store(), "b") == NOTHING


@pytest.mark.parametrize("body", [LISTING % OBJECT, (LISTING % (OBJECT * 9))[:200]], ids=["a list of objects", "a list that was cut off"])
def test_a_list_of_objects_is_no_lifecycle(body):
    assert states.configuration(Store(lifecycle=(200, body)), "b") == NOTHING


def test_a_store_without_lifecycle_is_not_asked():
    assert states.configuration(Store(lifecycle=(200, LIFECYCLE)), "b", without_lifecycle=True) == NOTHING


@pytest.fixture
def look(monkeypatch):
    """Look at a bucket of this site on a store that has all."""
    marked = Store(list_type=(200, LISTING % OBJECT), marker=(200, '{"site": "lab", "instance": "main"}'), lifecycle=(200, LIFECYCLE))
    marked.clock_skew_seconds = 0.0
    monkeypatch.setattr(plan, "Reader", lambda *arguments: marked)
    return lambda capabilities, **change: plan.look({**PARAMS, "secret_key": "s", "versioning": False, **change}, capabilities)


@pytest.mark.parametrize(
    ("noncurrent", "abort", "pending"), [(True, True, {}), (False, True, {"lifecycle": {"abort_multipart_days": 3}}), (False, False, {}), (None, None, {})]
)
def test_rules_are_compared_as_far_as_the_store_has_them(look, noncurrent, abort, pending):
    found = look({"lifecycle_noncurrent": noncurrent, "lifecycle_abort_multipart": abort})
    assert (found["pending"], found["refusal"]) == (pending, "")


@pytest.mark.parametrize(("policy", "refused"), [(None, False), (True, False), (False, True)])
def test_a_policy_for_a_store_that_has_none_is_refused(look, policy, refused):
    found = look({"policy": policy}, policy=statement(), variable_names={"policy": "object_store_bucket_policy"})
    assert ("object_store_bucket_policy is given: the store has no bucket policies" in found["refusal"]) is refused
    assert ("policy" in found["pending"]) is not refused


@pytest.mark.parametrize(
    ("found", "adopt", "reason"),
    [
        ({"status": "absent", "marker": {}}, False, ""),
        ({"status": "empty", "marker": {}}, False, ""),
        ({"status": "unmarked", "marker": {}}, False, "unmarked"),
        ({"status": "unmarked", "marker": {}}, True, ""),
        ({"status": "denied", "marker": {}}, True, "denied"),
        ({"status": "marked", "marker": {"site": "lab", "instance": "main"}}, False, ""),
        ({"status": "marked", "marker": {"site": "lab", "instance": "second"}}, True, "other_site"),
        ({"status": "marked", "marker": {}}, True, "other_site"),
    ],
)
def test_verdict(found, adopt, reason):
    assert states.verdict(found, "lab", "main", adopt) == reason


def test_plan_for_a_new_bucket():
    actions = plan.plan(PARAMS, "absent", NOTHING, {})
    assert list(actions) == ["create", "mark", "versioning", "lifecycle"]
    assert actions["mark"] == {"site": "lab", "instance": "main"}


def test_nothing_to_do():
    assert plan.plan(PARAMS, "marked", AS_WANTED, {}) == {}


def test_plan_leaves_out_what_the_store_cannot():
    capabilities = {"versioning": False, "lifecycle_noncurrent": False, "lifecycle_abort_multipart": None}
    assert plan.plan(PARAMS, "marked", NOTHING, capabilities) == {"lifecycle": {"abort_multipart_days": 3}}


def test_rules_are_removed_when_days_are_zero():
    assert plan.plan({**PARAMS, "noncurrent_days": 0, "abort_multipart_days": 0}, "marked", AS_WANTED, {}) == {"lifecycle": {}}


def test_policy_is_put_once():
    wanted = {**PARAMS, "policy": {"Statement": [1]}}
    assert plan.plan(wanted, "marked", AS_WANTED, {}) == {"policy": {"Statement": [1]}}
    assert plan.plan(wanted, "marked", {**AS_WANTED, "policy": {"Statement": [1]}}, {}) == {}


@pytest.mark.parametrize("change", [{"endpoint": "https://other"}, {"region": "x"}, {"access_key": "x"}, {"ca_file": __file__}])
def test_fingerprint_depends_on_the_store(change):
    assert plan.fingerprint(PARAMS, "1.44.5") != plan.fingerprint({**PARAMS, **change}, "1.44.5")


def test_fingerprint_depends_on_boto3_not_on_the_bucket():
    assert plan.fingerprint(PARAMS, "1.44.5") != plan.fingerprint(PARAMS, "1.45.0")
    assert plan.fingerprint(PARAMS, "1.44.5") == plan.fingerprint({**PARAMS, "bucket": "c", "ca_file": "/no/such"}, "1.44.5")


@pytest.mark.parametrize(("content", "record"), [('{"a": 1}', {"a": 1}), ("[]", {}), ("{", {})])
def test_record(tmp_path, content, record):
    (tmp_path / "record.json").write_text(content)
    assert plan.read_record(str(tmp_path / "record.json")) == record
    assert plan.read_record(str(tmp_path / "none.json")) == {}


def statement(**change):
    whom = {"AWS": ["arn:aws:iam:::user/ada"]}
    return {"Statement": [{"Effect": "Allow", "Principal": whom, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*", **change}]}


TLS_ONLY = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}


@pytest.mark.parametrize("change", [{}, TLS_ONLY, {"Effect": "Deny", "Action": "s3:PutBucketAcl"}, {"Resource": ["arn:aws:s3:::b", "arn:aws:s3:::b/x"]}])
def test_policies_that_can_be_tried(change):
    assert problems(statement(**change), "b") == []


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"Principal": "*"}, "everybody"),
        ({"Principal": {"AWS": "*"}}, "everybody"),
        ({"Principal": {"AWS": ["x", "*"]}}, "everybody"),
        ({"NotPrincipal": {"AWS": "x"}}, "everybody"),
        ({"Effect": "Deny", "Action": "s3:*"}, "lock out"),
        ({"Effect": "Deny", "Action": ["s3:put*"]}, "lock out"),
        ({"Effect": "Deny", "Action": None, "NotAction": "s3:GetObject"}, "lock out"),
        ({"Effect": "Deny", "Action": "s3:*", "Condition": {"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}}}, "lock out"),
        ({"Effect": "Maybe"}, "not Allow or Deny"),
        ({"Resource": "arn:aws:s3:::other/*"}, "not in the bucket"),
        ({"Resource": "arn:aws:s3:::bucket/*"}, "not in the bucket"),
    ],
)
def test_policies_that_are_refused(change, text):
    found = problems(statement(**change), "b")
    assert len(found) == 1 and text in found[0]


@pytest.mark.parametrize("policy", [{}, {"Statement": []}, {"Statement": ["x"]}])
def test_policy_without_statements(policy):
    assert problems(policy, "b") == ["it has no Statement list"]


def test_messages_have_four_parts():
    message = explain("refused", "Connection refused", {"endpoint": "https://s3"}, {"endpoint": "site_s3_endpoint"})
    assert message.startswith("site_s3_endpoint is 'https://s3': ")
    assert " Accepted: " in message and message.endswith("whether the store is up.")


@pytest.mark.parametrize("kind", MESSAGES)
def test_messages_never_show_the_secret(kind):
    assert "hidden" not in explain(kind, "", {"endpoint": "e"}, {}) + json.dumps(MESSAGES)
    assert explain(kind, "x" * 5000, {}, {}).count("x") < 400


RECORD = {"endpoint": "https://s3", "bucket": "b"}


def test_a_bucket_that_this_site_had_is_not_made_anew():
    assert "the store does not have it any more" in plan.lost(PARAMS, RECORD, "absent")
    assert plan.lost({**PARAMS, "lost": True}, RECORD, "absent") == ""


@pytest.mark.parametrize(
    ("record", "status"), [({}, "absent"), (RECORD, "marked"), ({**RECORD, "bucket": "a"}, "absent"), ({**RECORD, "endpoint": "x"}, "absent")]
)
def test_a_new_bucket_is(record, status):
    assert plan.lost(PARAMS, record, status) == ""
