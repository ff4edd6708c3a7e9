# SPDX-License-Identifier: GPL-3.0-or-later
"""From what is wanted to what is on Keystone and in the record: every state, every interruption, check mode."""

from __future__ import annotations

import json

import pytest
from ansible_collections.labtrack.mlflow.plugins.module_utils import _ec2_record, _ec2_site
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_messages import CloudError
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_session import Reply
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_http import StoreError
from plugins.fake_cloud import BLOCKED, ENDPOINT, PROJECT, TOKEN, USER, app_token

from plugins import fake_cloud

REFUSED = Reply(403, {"error": {"message": BLOCKED}})


@pytest.fixture
def cloud(tmp_path):
    made = fake_cloud.Cloud(tmp_path / "key.json")
    made.keystone.add("foreign")
    return made


def run(cloud, check=False, **options):
    return _ec2_site.manage(cloud.params(**options), check, **cloud.parts())


def fails(cloud, reason, check=False, **options):
    with pytest.raises(CloudError) as error:
        run(cloud, check, **options)
    assert error.value.reason == reason, str(error.value)
    return error.value


def record(cloud):
    return json.loads(cloud.path.read_text()) if cloud.path.exists() else {}


def write(cloud, **data):
    plain = {"format": 1, "project_id": PROJECT, "s3_endpoint": ENDPOINT, "s3_region": "us-east-1"}
    cloud.path.write_text(json.dumps({**plain, **data}))


def own(access, **more):
    return {"access_key": access, "secret_key": f"secret-of-{access}", "user_id": USER, **more}


RECORDS = [{}, own("a"), own("a", previous=own("b")), {"candidate": own("a")}, own("gone")]


def test_a_first_key(cloud):
    result = run(cloud)
    assert result["changed"] and result["done"] == ["create"] and result["access_key"] == "new-1" and "secret_key" not in result
    found = record(cloud)
    assert found["access_key"] == "new-1" and found["secret_key"] == "secret-of-new-1" and found["created_by"] == "someone" and found["created_at"]
    assert (found["user_id"], found["project_id"], found["s3_endpoint"]) == (USER, PROJECT, ENDPOINT)
    assert not {"candidate", "creating", "previous"} & set(found)
    assert result["diff"] == {"before": {"access_key": "", "previous_access_key": ""}, "after": {"access_key": "new-1", "previous_access_key": ""}}
    assert "secret-of" not in json.dumps(result)


def test_a_second_run_changes_nothing(cloud):
    run(cloud)
    before, calls = cloud.path.read_bytes(), len(cloud.keystone.posts())
    result = run(cloud)
    assert not result["changed"] and result["done"] == [] and result["access_key"] == "new-1"
    assert cloud.path.read_bytes() == before and len(cloud.keystone.posts()) == calls


def test_check_mode_predicts_and_writes_nothing(cloud):
    result = run(cloud, check=True)
    assert result["changed"] and result["done"] == ["create"] and result["diff"]["after"]["access_key"] == "(new)"
    assert not cloud.path.exists() and cloud.keystone.posts() == [] and cloud.store.asked
    assert not run(cloud, check=True, return_secret=True).get("secret_key")


@pytest.mark.parametrize("state", ["present", "rotated", "retired", "absent"])
@pytest.mark.parametrize("data", [*RECORDS, own("a", creating={"known": ["a", "foreign"]})])
def test_check_mode_predicts_what_happens(cloud, state, data):
    cloud.keystone.add("a")
    if data:
        write(cloud, **data)
    text, keys = cloud.path.read_text() if data else "", dict(cloud.keystone.keys)
    predicted = run(cloud, check=True, state=state)
    assert cloud.keystone.keys == keys and (cloud.path.read_text() if cloud.path.exists() else "") == text
    result = run(cloud, state=state)
    assert (predicted["changed"], predicted["done"], predicted["diff"]["before"]) == (result["changed"], result["done"], result["diff"]["before"])
    new = {"(new)": "new-1"}
    assert {name: new.get(value, value) for name, value in predicted["diff"]["after"].items()} == result["diff"]["after"]


@pytest.mark.parametrize("state", ["present", "rotated", "retired", "absent"])
@pytest.mark.parametrize("data", RECORDS)
def test_every_state_is_reached_at_once_and_kept(cloud, state, data):
    cloud.keystone.add("a")
    cloud.keystone.add("b")
    if data:
        write(cloud, **data)
    run(cloud, state=state)
    text, keys = record(cloud), set(cloud.keystone.keys)
    if state == "rotated" and "previous" not in text:
        assert text["access_key"] and len(keys) >= 3  # the first key of all
        return
    assert not run(cloud, state=state)["changed"]
    assert record(cloud) == text and set(cloud.keystone.keys) == keys and "foreign" in keys


def test_a_secret_is_returned_only_when_asked_for(cloud):
    assert run(cloud, return_secret=True)["secret_key"] == "secret-of-new-1"
    assert run(cloud, return_secret=True)["secret_key"] == "secret-of-new-1"


def test_the_store_is_looked_for_before_a_key_is_made(cloud):
    cloud.store.broken = ["dns"]
    with pytest.raises(StoreError) as error:
        run(cloud)
    found = _ec2_site.failure(error.value, cloud.params(variable_names={"s3_endpoint": "site_s3_endpoint"}))
    assert found["reason"] == "store" and found["kind"] == "dns" and found["msg"].startswith(f"site_s3_endpoint is '{ENDPOINT}'")
    assert cloud.keystone.posts() == [] and not cloud.path.exists()


def test_the_store_of_the_catalogue_and_of_the_record(cloud):
    assert run(cloud, s3_endpoint="")["s3_endpoint"] == ENDPOINT
    write(cloud, **{**record(cloud), "s3_endpoint": "https://recorded.test"})
    assert run(cloud, s3_endpoint="")["s3_endpoint"] == "https://recorded.test"


@pytest.mark.parametrize("catalog", [[], [{"type": "identity", "endpoints": []}]])
def test_a_cloud_without_store(cloud, catalog):
    cloud.token = {**TOKEN, "catalog": catalog}
    fails(cloud, "no_s3", s3_endpoint="")
    assert cloud.keystone.posts() == []
    assert run(cloud)["access_key"] == "new-1"  # the endpoint is known from elsewhere


def test_another_endpoint_is_noted(cloud):
    run(cloud)
    result = run(cloud, s3_endpoint="https://other.test", s3_region="RegionOne")
    assert result["done"] == ["note"] and (record(cloud)["s3_endpoint"], record(cloud)["s3_region"]) == ("https://other.test", "RegionOne")


def test_a_store_that_learns_late(cloud):
    cloud.store.late = 4
    assert run(cloud)["access_key"] == "new-1" and cloud.store.asked.count("new-1") == 5


def test_a_key_that_the_store_refuses_is_deleted_again(cloud):
    cloud.store.refuse = True
    error = fails(cloud, "verification")
    assert "new-1 was deleted again" in _ec2_site.failure(error, cloud.params())["msg"]
    assert set(cloud.keystone.keys) == {"foreign"} and not cloud.path.exists()


def test_a_store_that_breaks_after_the_key_was_made(cloud):
    cloud.store.broken = []
    original = cloud.keystone.new

    def new():
        cloud.store.broken = ["tls_ca"]
        return original()

    cloud.keystone.new = new
    assert "deleted again" in fails(cloud, "verification").after
    assert set(cloud.keystone.keys) == {"foreign"}


def test_a_refused_key_that_cannot_be_deleted_is_remembered(cloud):
    cloud.store.refuse = True
    cloud.keystone.script["DELETE"] = [503] * 100
    assert "the next run tries it again" in fails(cloud, "verification").after
    assert record(cloud)["candidate"]["access_key"] == "new-1" and "secret" not in cloud.path.read_text()
    cloud.keystone.script["DELETE"] = []
    fails(cloud, "verification")
    assert set(cloud.keystone.keys) == {"foreign"} and len(cloud.keystone.posts()) == 1 and not cloud.path.exists()


def test_an_interruption_before_the_key_was_tried(cloud):
    write(cloud, candidate={"access_key": "mine", "user_id": USER, "created_at": "then", "created_by": "someone"})
    cloud.keystone.add("mine")
    result = run(cloud)
    assert result["done"] == ["take mine"] and cloud.keystone.posts() == []
    assert record(cloud)["created_at"] == "then" and record(cloud)["secret_key"] == "secret-of-mine"


def test_a_candidate_of_another_user_is_not_lost(cloud):
    write(cloud, candidate={"access_key": "theirs", "user_id": "user-2"})
    assert "user-2" in fails(cloud, "other_user").detail


@pytest.mark.parametrize("answer", ["lost", 500, 502, 503, 504])
def test_a_lost_request_is_made_again(cloud, answer):
    cloud.keystone.script["POST"] = [answer]
    result = run(cloud)
    assert result["access_key"] == "new-1" and result["warnings"] == [] and set(cloud.keystone.keys) == {"foreign", "new-1"}


@pytest.mark.parametrize("answer", ["made and lost", "made and 504"])
def test_a_lost_answer_is_explained_until_somebody_decides(cloud, answer):
    cloud.keystone.script["POST"] = [answer]
    assert "new-1" in fails(cloud, "create_unclear").detail
    assert record(cloud)["creating"]["known"] == ["foreign"]
    message = _ec2_site.failure(fails(cloud, "create_unclear"), cloud.params())["msg"]
    assert "access_key=KEY" in message and "foreign_access_keys" in message
    assert len(cloud.keystone.posts()) == 1 and set(cloud.keystone.keys) == {"foreign", "new-1"}


@pytest.mark.parametrize(
    ("options", "then", "left"),
    [
        ({"access_key": "new-1"}, "new-1", {"foreign", "new-1"}),
        ({"foreign_access_keys": ["new-1"]}, "new-2", {"foreign", "new-1", "new-2"}),
        ({"state": "absent", "access_key": "new-1"}, "", {"foreign"}),
    ],
)
def test_what_somebody_may_decide(cloud, options, then, left):
    cloud.keystone.script["POST"] = ["made and lost"]
    fails(cloud, "create_unclear")
    assert run(cloud, **options)["access_key"] == then and set(cloud.keystone.keys) == left
    run(cloud)
    assert record(cloud)["access_key"] and "creating" not in record(cloud)


def test_an_interrupted_creation_that_made_nothing(cloud):
    write(cloud, **own("a"), creating={"known": ["foreign"]})
    cloud.keystone.add("a")
    assert run(cloud)["done"] == ["settle"] and "creating" not in record(cloud)


def test_a_request_that_comes_true_late_is_reported(cloud):
    cloud.keystone.script["POST"] = ["lost"]
    original = cloud.keystone.new

    def new():
        made = original()
        cloud.keystone.add("late")
        return made

    cloud.keystone.new = new
    (warning,) = run(cloud)["warnings"]
    assert "late" in warning and "new-1" not in warning


def test_a_cloud_that_never_answers_a_creation(cloud):
    cloud.keystone.script["POST"] = [503] * 100
    fails(cloud, "unavailable")
    assert "creating" in record(cloud) and cloud.clock.seconds <= 60 and len(cloud.keystone.posts()) == 8
    cloud.keystone.script["POST"] = []
    assert run(cloud)["access_key"] == "new-1"


@pytest.mark.parametrize("status", [403, 404, 501])
def test_a_creation_that_is_refused_leaves_no_file(cloud, status):
    cloud.keystone.script["POST"] = [status]
    fails(cloud, "forbidden" if status == 403 else "no_s3")
    assert not cloud.path.exists()


def test_a_record_that_cannot_be_written_leaves_no_key(cloud, monkeypatch):
    saves = []

    def save(self):
        saves.append(self.data)
        if len(saves) > 1:
            raise CloudError("record", "No space left on device")

    monkeypatch.setattr(_ec2_record.Record, "save", save)
    assert "deleted again" in fails(cloud, "record").after and set(cloud.keystone.keys) == {"foreign"}


def test_a_recorded_key_that_was_deleted_is_made_anew(cloud):
    write(cloud, **own("gone"))
    assert run(cloud)["done"] == ["create"]
    assert record(cloud)["access_key"] == "new-1" and "previous" not in record(cloud)


def test_a_secret_that_differs_is_corrected(cloud):
    cloud.keystone.add("a")
    write(cloud, **{**own("a"), "secret_key": "wrong"})
    assert run(cloud)["done"] == ["adopt a"] and record(cloud)["secret_key"] == "secret-of-a" and "previous" not in record(cloud)


def test_a_recorded_key_that_the_store_refuses_is_kept(cloud):
    run(cloud)
    cloud.store.refuse = True
    assert fails(cloud, "verification").after == "" and "new-1" in cloud.keystone.keys and record(cloud)["access_key"] == "new-1"


def test_a_key_of_a_colleague_is_used_as_long_as_it_works(cloud):
    write(cloud, **{**own("theirs"), "user_id": "user-2"})
    cloud.store.old = {"theirs": "secret-of-theirs"}
    assert run(cloud)["changed"] is False
    assert run(cloud, state="rotated")["previous_access_key"] == "theirs"
    assert "theirs (user user-2)" in fails(cloud, "other_user", state="retired").detail
    assert "theirs (user user-2)" in fails(cloud, "other_user", state="absent").detail
    assert "new-1" in cloud.keystone.keys


def test_a_record_of_another_project_is_left_alone(cloud):
    write(cloud, project_id="project-2", **own("a"))
    for state in ("present", "rotated", "retired", "absent"):
        assert "project-2" in fails(cloud, "wrong_project", state=state).detail
    assert cloud.keystone.posts() == []


def test_a_rotation(cloud):
    run(cloud)
    assert run(cloud, state="rotated")["done"] == ["create"]
    found = record(cloud)
    assert found["access_key"] == "new-2" and found["previous"]["access_key"] == "new-1" and found["previous"]["secret_key"] == "secret-of-new-1"
    again = run(cloud, state="rotated")
    assert not again["changed"] and again["previous_access_key"] == "new-1" and len(cloud.keystone.posts()) == 2
    assert not run(cloud)["changed"]
    assert run(cloud, state="retired")["done"] == ["delete new-1", "forget new-1"]
    assert set(cloud.keystone.keys) == {"foreign", "new-2"} and "previous" not in record(cloud)
    assert not run(cloud, state="retired")["changed"]


@pytest.mark.parametrize("event", ["refused by the store", "interrupted"])
def test_a_rotation_that_fails_keeps_the_key_in_use(cloud, event):
    run(cloud)
    if event == "interrupted":
        cloud.keystone.add("mine")
        write(cloud, **own("new-1"), candidate={"access_key": "mine", "user_id": USER})
        assert not run(cloud)["changed"]
        assert run(cloud, state="rotated")["done"] == ["take mine"]
        assert record(cloud)["previous"]["access_key"] == "new-1"
    else:
        cloud.keystone.new = lambda: cloud.keystone.add("bad", secret="x") and {"access": "bad", "secret": "y", "tenant_id": PROJECT, "user_id": USER}
        cloud.clock.seconds = 0
        fails(cloud, "verification", state="rotated")
        assert record(cloud)["access_key"] == "new-1" and "candidate" not in record(cloud) and "bad" not in cloud.keystone.keys


def test_the_earlier_key_stays_while_the_new_one_does_not_work(cloud):
    run(cloud)
    run(cloud, state="rotated")
    cloud.store.refuse = True
    fails(cloud, "verification", state="retired")
    assert {"new-1", "new-2"} < set(cloud.keystone.keys)


def test_an_interrupted_retirement_is_finished(cloud):
    run(cloud)
    run(cloud, state="rotated")
    del cloud.keystone.keys["new-1"]
    assert run(cloud, state="retired")["done"] == ["forget new-1"] and "previous" not in record(cloud)


def test_a_rotation_is_taken_back(cloud):
    run(cloud)
    made = record(cloud)["created_at"]
    run(cloud, state="rotated")
    result = run(cloud, access_key="new-1")
    assert made and record(cloud)["created_at"] == made
    assert result["access_key"] == "new-1" and result["previous_access_key"] == "new-2" and record(cloud)["secret_key"] == "secret-of-new-1"
    run(cloud, state="retired")
    assert set(cloud.keystone.keys) == {"foreign", "new-1"}


def test_a_named_key_is_adopted(cloud):
    result = run(cloud, access_key="foreign")
    assert result["done"] == ["adopt foreign"] and cloud.keystone.posts() == []
    assert not run(cloud, access_key="foreign")["changed"] and not run(cloud)["changed"]


def test_a_named_key_that_is_not_there(cloud):
    error = fails(cloud, "adopt", access_key="nowhere")
    message = _ec2_site.failure(error, cloud.params(access_key="nowhere"))["msg"]
    assert message.startswith("access_key is 'nowhere'") and "one of foreign" in message


def test_no_third_key_while_a_rotation_is_open(cloud):
    run(cloud)
    run(cloud, state="rotated")
    assert fails(cloud, "rotating", access_key="foreign").detail == "new-1"


def test_another_key_does_not_make_a_candidate_forgotten(cloud):
    cloud.keystone.add("mine")
    write(cloud, candidate={"access_key": "mine", "user_id": USER})
    run(cloud, access_key="foreign")
    assert record(cloud)["candidate"]["access_key"] == "mine"
    run(cloud, state="absent")
    assert not cloud.keystone.keys


def test_a_key_may_be_named_in_place_of_one_that_is_gone(cloud):
    cloud.keystone.add("b")
    write(cloud, **own("gone", previous=own("b")))
    result = run(cloud, access_key="foreign")
    assert (result["access_key"], result["previous_access_key"]) == ("foreign", "b")


def test_absent_deletes_what_is_recorded_and_nothing_else(cloud):
    run(cloud)
    run(cloud, state="rotated")
    cloud.keystone.add("half")
    cloud.path.write_text(json.dumps({**record(cloud), "candidate": {"access_key": "half", "user_id": USER}}))
    result = run(cloud, state="absent")
    assert sorted(result["done"]) == ["delete half", "delete new-1", "delete new-2", "remove"] and result["access_key"] == ""
    assert set(cloud.keystone.keys) == {"foreign"} and not cloud.path.exists()
    assert not run(cloud, state="absent")["changed"]


def test_absent_needs_no_store(cloud):
    run(cloud)
    cloud.store.broken, cloud.token = ["dns"] * 9, {**TOKEN, "catalog": []}
    assert run(cloud, state="absent", s3_endpoint="")["changed"]


@pytest.mark.parametrize("named", ["new-1", "new-2", "foreign", "nowhere"])
def test_absent_of_one_key(cloud, named):
    run(cloud)
    run(cloud, state="rotated")
    result = run(cloud, state="absent", access_key=named)
    assert named not in cloud.keystone.keys and result["changed"] is (named != "nowhere")
    assert named not in cloud.path.read_text()


def test_a_key_that_the_caller_has_recorded(cloud):
    cloud.path = ""
    first = run(cloud, return_secret=True)
    assert first["secret_key"] == "secret-of-new-1"
    again = run(cloud, return_secret=True, access_key="new-1")
    assert not again["changed"] and again["secret_key"] == "secret-of-new-1" and again["access_key"] == "new-1"
    anew = run(cloud, return_secret=True, access_key="deleted")
    assert anew["access_key"] == "new-2" and anew["done"] == ["create"]
    assert run(cloud, state="absent", access_key="new-1")["done"] == ["delete new-1"]
    cloud.store.refuse = True
    cloud.keystone.script["DELETE"] = [503] * 99
    assert "run with state=absent and access_key=new-3" in fails(cloud, "verification", return_secret=True).after


@pytest.mark.parametrize(("state", "named"), [("present", "path or return_secret"), ("rotated", "path"), ("retired", "path"), ("absent", "path or access_key")])
def test_what_a_state_needs(cloud, state, named):
    cloud.path = ""
    assert fails(cloud, "arguments", state=state).detail == named


class TestApplicationCredential:
    """A login that may not touch keys."""

    @pytest.fixture(autouse=True)
    def refuse(self, cloud):
        run(cloud)
        cloud.token = app_token()
        for method in ("GET", "POST", "DELETE"):
            cloud.keystone.script[method] = [REFUSED] * 9

    def test_a_recorded_key_is_tried_and_used(self, cloud):
        assert not run(cloud)["changed"]
        cloud.store.refuse = True
        fails(cloud, "verification")

    def test_without_a_record_there_are_three_ways_out(self, cloud):
        cloud.path.unlink()
        for check in (True, False):
            message = _ec2_site.failure(fails(cloud, "delegated", check), cloud.params())["msg"]
            assert "Delegated tokens cannot access credentials directly" in message and "(c) Ask the cloud's staff" in message
        assert cloud.keystone.posts() == cloud.keystone.posts()[:1]

    @pytest.mark.parametrize("options", [{"state": "rotated"}, {"state": "absent"}, {"access_key": "foreign"}])
    def test_it_can_do_nothing_else(self, cloud, options):
        fails(cloud, "delegated", **options)
        assert record(cloud)["access_key"] == "new-1"

    def test_it_may_be_able_to_list_but_not_to_make(self, cloud):
        cloud.path.unlink()
        cloud.keystone.script["GET"] = []
        (warning,) = run(cloud, check=True)["warnings"]
        assert "restricted" in warning
        fails(cloud, "delegated")

    def test_an_old_keystone_lets_it_make_keys(self, cloud):
        cloud.path.unlink()
        cloud.keystone.script.clear()
        assert run(cloud)["access_key"] == "new-2"


class TestInfo:
    """The other module."""

    def test_keys_without_secrets(self, cloud):
        found = _ec2_site.inspect(cloud.params(), **cloud.parts())
        assert found["credentials"] == [{"access_key": "foreign", "project_id": PROJECT, "user_id": USER, "trust_id": ""}]
        assert found["listable"] and found["reason"] == "" and found["s3_endpoints"] == [ENDPOINT] and not found["changed"]
        assert found["login"]["methods"] == ["password"] and found["login"]["token_expires_at"].startswith("2026-11-21")

    def test_secrets_when_asked_for(self, cloud):
        assert _ec2_site.inspect(cloud.params(return_secrets=True), **cloud.parts())["credentials"][0]["secret_key"] == "secret-of-foreign"

    def test_no_keys_are_no_failure(self, cloud):
        cloud.keystone.keys.clear()
        assert _ec2_site.inspect(cloud.params(), **cloud.parts())["credentials"] == []

    def test_an_application_credential_and_its_end(self, cloud):
        cloud.token = app_token()
        cloud.keystone.application_credentials["app-1"] = {"expires_at": "2027-01-31T00:00:00.000000"}
        cloud.keystone.script["GET"] = [REFUSED]
        found = _ec2_site.inspect(cloud.params(), **cloud.parts())
        assert (found["credentials"], found["listable"], found["reason"]) == ([], False, "delegated") and "(a) Log in once" in found["message"]
        assert found["login"]["application_credential_restricted"] is True
        assert found["login"]["application_credential_expires_at"] == "2027-01-31T00:00:00.000000"

    @pytest.mark.parametrize("status", [404, 501])
    def test_a_cloud_without_such_keys(self, cloud, status):
        cloud.keystone.script["GET"] = [status]
        assert _ec2_site.inspect(cloud.params(), **cloud.parts())["reason"] == "no_s3"

    def test_a_cloud_that_does_not_answer(self, cloud):
        cloud.keystone.script["GET"] = [503] * 99
        with pytest.raises(CloudError, match="unavailable"):
            _ec2_site.inspect(cloud.params(), **cloud.parts())
