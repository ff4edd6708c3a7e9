# SPDX-License-Identifier: GPL-3.0-or-later
"""A cloud that carries out a request after its time-out makes a thing twice; the spare one goes, and nothing else does."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_messages import ServerError
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_spare import without_spare
from plugins.fake_openstack import FakeOpenStack
from plugins.module_utils.test_openstack_server import MARKS, OWN_NETWORK, PARTS, WANTED, counts, make, remove

DESCRIPTION = "labtrack_site=lab labtrack_host=mlflow"
VOLUME = {"id": "v", "status": "available", "description": DESCRIPTION, "metadata": {**MARKS, "labtrack_role": "data"}, "attachments": []}


def posts(wanted):
    """Numbers of the requests that make something."""
    reference = FakeOpenStack()
    make(reference, wanted)
    return [(number, call) for number, call in enumerate(reference.calls, 1) if call.startswith("POST") and call.count("/") == 1]


@pytest.mark.parametrize(("number", "call"), posts(WANTED))
def test_what_comes_after_its_time_out_is_removed_in_the_same_run(stack, number, call):
    stack.script = {number: "late"}
    result, done = make(stack)
    assert {kind: len(stack.all(kind)) for kind in PARTS} == dict.fromkeys(PARTS, 1), call
    assert stack.one("servers")["status"] == "ACTIVE" and stack.one("volumes")["id"] == result["data_volume_id"]
    assert stack.one("floatingips")["port_id"] == stack.one("ports")["id"] and stack.one("ports")["device_id"] == stack.one("servers")["id"]
    spare = [step for step in done if "made twice" in step]
    assert len(spare) == (call.removeprefix("POST /") in ("volumes", "ports", "security-groups")), done
    assert make(stack)[1] == []


def test_a_network_that_was_made_twice_is_removed(stack):
    ((number, _call),) = [item for item in posts(OWN_NETWORK) if item[1] == "POST /networks"]
    stack.script = {number: "late"}
    make(stack, OWN_NETWORK)
    reference = FakeOpenStack()
    make(reference, OWN_NETWORK)
    assert counts(stack) == counts(reference)


def test_what_came_after_the_run_is_removed_by_the_next(stack):
    make(stack)
    address, volume = stack.one("floatingips"), stack.one("volumes")
    extra = stack.add("floatingips", "", description=DESCRIPTION, port_id=None, floating_ip_address="172.30.98.109")
    stack.things["volumes"]["v"] = {**VOLUME, "name": "lab-mlflow-data", "project_id": "project-1"}
    planned = make(stack, check=True)[1]
    assert planned == [
        "delete volume lab-mlflow-data (v was made twice, and never used)",
        f"delete floating IP 172.30.98.109 ({extra['id']} was made twice, and never used)",
    ]
    assert make(stack)[1] == planned
    assert (stack.one("floatingips")["id"], stack.one("volumes")["id"]) == (address["id"], volume["id"])


def test_a_removal_takes_the_spare_ones_too_but_not_the_data(stack):
    make(stack)
    volume = stack.one("volumes")["id"]
    stack.things["volumes"]["v"] = {**VOLUME, "name": "lab-mlflow-data", "project_id": "project-1"}
    remove(stack)
    assert stack.one("volumes")["id"] == volume


@pytest.mark.parametrize(
    "values",
    [
        {"metadata": {**VOLUME["metadata"], "labtrack_used": "true"}},
        {"attachments": [{"server_id": "s"}]},
        {"description": "the data of 2025"},
        {"description": None},
        {"description": "labtrack_site=lab labtrack_host=another"},
    ],
    ids=["used", "attached", "a person's", "of nobody", "another's"],
)
def test_a_volume_that_may_hold_data_is_never_spare(stack, values):
    make(stack)
    stack.things["volumes"]["v"] = {**VOLUME, "name": "other", "project_id": "project-1", **values}
    with pytest.raises(ServerError, match="2 volumes") as caught:
        make(stack)
    assert caught.value.reason == "several" and "v" in stack.things["volumes"]


@pytest.mark.parametrize(
    ("kind", "keep", "spare"),
    [
        ("server", {"id": "b", "status": "ACTIVE"}, {"id": "a", "status": "ERROR"}),
        ("port", {"id": "b", "device_id": "s"}, {"id": "a", "device_id": ""}),
        ("floating IP", {"id": "b", "port_id": "p"}, {"id": "a", "port_id": None}),
        ("network", {"id": "b", "subnets": ["s"]}, {"id": "a", "subnets": []}),
        ("security group", {"id": "b"}, {"id": "a"}),
        ("volume", {**VOLUME, "id": "b", "created_at": "2026-01-01"}, {**VOLUME, "id": "a", "created_at": "2026-01-02"}),
        ("port", {"id": "a", "device_id": ""}, {"id": "b", "device_id": ""}),
    ],
)
def test_the_one_in_use_stays_or_else_the_oldest(kind, keep, spare):
    assert without_spare(kind, [spare, keep], ["b"]) == ([keep], [spare])


@pytest.mark.parametrize(
    ("kind", "item"),
    [
        ("server", {"status": "ERROR", "OS-SRV-USG:launched_at": "2026"}),
        ("server", {"status": "SHUTOFF"}),
        ("router", {}),
        ("port", {"device_id": "s"}),
    ],
)
def test_nothing_is_spare_without_proof(kind, item):
    both = [{**item, "id": "a"}, {**item, "id": "b"}]
    assert without_spare(kind, both) == (both, [])


def test_a_run_without_lost_answers_does_not_look_again(stack):
    looks = []
    stack.get_ports = lambda rest, body, method: looks.append(1)
    make(stack)
    assert len(looks) == 1
    looks.clear()
    remove(stack, delete_data=True)
    stack.script = {len(stack.calls) + 1: 503}
    make(stack)
    assert len(looks) == 2, "one of the removal; 503 makes nothing"


def test_without_a_volume_nothing_is_asked_of_one(stack):
    stack.script = {2: "late"}
    make(stack, dataclasses.replace(WANTED, volume_gb=0))
    assert not stack.all("volumes")
