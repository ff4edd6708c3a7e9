# SPDX-License-Identifier: GPL-3.0-or-later
"""A server is made once, found again, repaired after any interruption, and removed; what is another's is never touched."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_cloud import RefusedError
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_manage import absent, present
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_messages import ServerError
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_wanted import HOST, SITE, Rule, Wanted
from plugins.fake_openstack import KEY, FakeOpenStack, KilledError

RULES = (Rule(22, "192.0.2.0/24"), Rule(80, "0.0.0.0/0"), Rule(443, "0.0.0.0/0"), Rule(443, "::/0"))
WANTED = Wanted(
    name="lab-mlflow", site="lab", host="mlflow", public_key="ssh-ed25519 AAAAmine me@here", image="debian-13*", flavor="p1-1.5gb",
    network="def-*-network", external_network="Public-Network", rules=RULES, volume_gb=10,
)  # fmt: skip
OWN_NETWORK = dataclasses.replace(WANTED, network_create=True, boot_volume_gb=20, dns_servers=("192.0.2.53",))
MARKS = {SITE: "lab", HOST: "mlflow"}
PARTS = ("servers", "volumes", "ports", "security-groups", "floatingips", "os-keypairs")


def params(**values):
    return {"state": "present", "known_hosts_file": "", "console_wait_seconds": 30, "host_key_scan_enabled": True, "delete_data": False, **values}


def make(stack, wanted=WANTED, check=False, shown=(KEY,), **values):
    """(result, what was done)."""
    done = []
    result = present(stack.cloud(), wanted, params(**values), check, done, lambda address: list(shown))
    return result, done


def remove(stack, wanted=WANTED, check=False, **values):
    done = []
    result = absent(stack.cloud(), wanted, params(**values), check, done)
    return result, done


def counts(stack):
    return {kind: len(stack.all(kind)) for kind in (*PARTS, "networks", "subnets", "routers")}


def test_everything_is_made_with_its_marks(stack):
    result, done = make(stack)
    assert {kind: len(stack.all(kind)) for kind in PARTS} == dict.fromkeys(PARTS, 1)
    assert stack.one("servers")["metadata"] == MARKS
    assert stack.one("volumes")["metadata"] == {**MARKS, "labtrack_role": "data", "labtrack_used": "true"}
    for kind in ("ports", "security-groups", "floatingips"):
        assert stack.one(kind)["description"] == "labtrack_site=lab labtrack_host=mlflow", kind
        assert stack.one(kind)["tags"] == ["labtrack_site=lab", "labtrack_host=mlflow"], kind
    assert result["public_address"] == "172.30.98.101" and result["private_address"] == "10.0.0.5"
    assert result["data_volume_id"] == stack.one("volumes")["id"]
    assert result["known_hosts"] == f"172.30.98.101 {KEY}\n" and result["host_key_source"] == "console"
    assert [step.split()[0] for step in done].count("create") == len(done) - 1, done


def test_nova_gets_a_port_and_a_config_drive_and_no_address_of_its_own_choice(stack):
    make(stack, dataclasses.replace(WANTED, user_data="#cloud-config\n", availability_zone="nova"))
    server = stack.one("servers")
    assert server["networks"] == [{"port": stack.one("ports")["id"]}]
    assert server["config_drive"] is True and server["imageRef"] == "img" and server["availability_zone"] == "nova"
    assert server["user_data"] == "I2Nsb3VkLWNvbmZpZwo="


def test_a_second_run_changes_nothing(stack, tmp_path):
    first, _ = make(stack)
    record = tmp_path / "known"
    record.write_text(first["known_hosts"])
    before = len(stack.calls)
    second, done = make(stack, known_hosts_file=str(record))
    assert done == [] and len(stack.calls) == before
    assert second == {**first, "host_key_source": "record"}


def test_check_mode_predicts_and_changes_nothing(stack):
    predicted, planned = make(stack, check=True)
    assert stack.calls == [] and not predicted["exists"] and predicted["public_address"] == ""
    _, done = make(stack)
    assert planned == done


def test_check_mode_of_all_options_predicts_the_same(stack):
    _, planned = make(stack, OWN_NETWORK, check=True)
    assert stack.calls == []
    _, done = make(stack, OWN_NETWORK)
    assert planned == done


@pytest.mark.parametrize("wanted", [WANTED, OWN_NETWORK], ids=["defaults", "own network and boot volume"])
@pytest.mark.parametrize("what", ["kill", "lost", 503, 500, 429])
def test_interrupted_anywhere_it_comes_to_the_same_end(wanted, what):
    reference = FakeOpenStack()
    make(reference, wanted)
    for number in range(1, len(reference.calls) + 1):
        stack = FakeOpenStack()
        stack.script = {number: what}
        if what == "kill":
            with pytest.raises(KilledError):
                make(stack, wanted)
        result, _ = make(stack, wanted)
        where = f"{what} at {reference.calls[number - 1]}"
        assert counts(stack) == counts(reference), where
        assert stack.one("servers")["status"] == "ACTIVE", where
        assert stack.things["volumes"][result["data_volume_id"]]["status"] == "in-use", where
        assert sorted(map(str, rules_of(stack))) == sorted(map(str, rules_of(reference))), where
        assert all(thing.get("tags") for kind in ("ports", "security-groups", "floatingips") for thing in stack.all(kind) if thing.get("description")), where
        before = len(stack.calls)
        assert make(stack, wanted)[1] == [] and len(stack.calls) == before, where


@pytest.mark.parametrize("wanted", [WANTED, OWN_NETWORK], ids=["defaults", "own network and boot volume"])
def test_a_removal_interrupted_anywhere_leaves_nothing(wanted):
    reference = FakeOpenStack()
    empty = counts(reference)
    make(reference, wanted)
    made = len(reference.calls)
    remove(reference, wanted, delete_data=True)
    assert counts(reference) == empty
    for number in range(made + 1, len(reference.calls) + 1):
        stack = FakeOpenStack()
        make(stack, wanted)
        stack.script = {number: "kill"}
        with pytest.raises(KilledError):
            remove(stack, wanted, delete_data=True)
        remove(stack, wanted, delete_data=True)
        assert counts(stack) == empty, reference.calls[number - 1]
        assert remove(stack, wanted, delete_data=True)[1] == []


def rules_of(stack):
    keys = ("direction", "ethertype", "protocol", "port_range_min", "port_range_max", "remote_ip_prefix")
    return [tuple(rule.get(key) for key in keys) for rule in stack.one("security-groups")["security_group_rules"]]


def test_only_the_wanted_comes_in_and_everything_goes_out(stack):
    make(stack)
    assert sorted(map(str, rules_of(stack))) == sorted(
        map(str, [
            ("egress", "IPv4", None, None, None, None), ("egress", "IPv6", None, None, None, None),
            ("ingress", "IPv4", "tcp", 22, 22, "192.0.2.0/24"), ("ingress", "IPv4", "tcp", 80, 80, "0.0.0.0/0"),
            ("ingress", "IPv4", "tcp", 443, 443, "0.0.0.0/0"), ("ingress", "IPv6", "tcp", 443, 443, "::/0"),
        ])
    )  # fmt: skip


def test_rules_that_should_not_be_there_are_removed_and_named(stack):
    make(stack)
    rules, expected = stack.one("security-groups")["security_group_rules"], sorted(map(str, rules_of(stack)))
    base = {"direction": "ingress", "ethertype": "IPv4", "remote_group_id": None}
    rules += [
        {**base, "id": "x1", "protocol": "tcp", "port_range_min": 5432, "port_range_max": 5432, "remote_ip_prefix": "0.0.0.0/0"},
        {**base, "id": "x2", "protocol": "tcp", "port_range_min": 20, "port_range_max": 30, "remote_ip_prefix": "192.0.2.0/24"},
        {**base, "id": "x3", "protocol": None, "remote_group_id": "default"},
        {**base, "id": "x4", "protocol": "tcp", "port_range_min": 22, "port_range_max": 22, "remote_ip_prefix": None},
    ]
    rules[:] = [rule for rule in rules if not (rule["direction"] == "egress" and rule["ethertype"] == "IPv6")]
    _, done = make(stack)
    assert sorted(map(str, rules_of(stack))) == expected
    assert done == [
        "remove rule tcp 5432 from 0.0.0.0/0 (not wanted)", "remove rule tcp 20-30 from 192.0.2.0/24 (not wanted)",
        "remove rule any protocol any port from group default (not wanted)", "remove rule tcp 22 from 0.0.0.0/0 (not wanted)",
        "create rule that lets IPv6 out",
    ]  # fmt: skip


def test_a_rule_that_the_cloud_writes_without_prefix_is_the_same(stack):
    make(stack)
    for rule in stack.one("security-groups")["security_group_rules"]:
        if rule.get("remote_ip_prefix") in ("0.0.0.0/0", "::/0"):
            rule.update(remote_ip_prefix=None, protocol="6")
    assert make(stack)[1] == []


NAMES = {"servers": "lab-mlflow", "volumes": "lab-mlflow-data", "ports": "lab-mlflow", "security-groups": "lab-mlflow"}


@pytest.mark.parametrize(("kind", "name"), NAMES.items())
def test_what_only_has_the_same_name_is_refused_and_left_alone(stack, kind, name):
    stack.add(kind, name, status="ACTIVE", metadata={SITE: "lab", HOST: "another"}, security_groups=[], security_group_rules=[], attachments=[])
    before = stack.snapshot()
    with pytest.raises(ServerError, match=name) as caught:
        make(stack)
    assert caught.value.reason == "foreign"
    remove(stack, delete_data=True)
    assert stack.snapshot() == before and stack.calls == []


def test_two_of_ours_are_not_chosen_between(stack):
    make(stack)
    stack.add("servers", "copy", status="ACTIVE", metadata=MARKS)
    with pytest.raises(ServerError, match="2 servers") as caught:
        make(stack)
    assert caught.value.reason == "several"


def test_a_server_that_never_ran_is_replaced(stack):
    stack.broken = "ERROR"
    stack.things["volumes"]["v"] = {
        "id": "v", "name": "lab-mlflow-data", "project_id": PROJECT_ID, "status": "available", "metadata": {**MARKS, "labtrack_role": "data"},
        "attachments": [], "size": 10,
    }  # fmt: skip
    with pytest.raises(ServerError) as caught:
        make(stack)
    assert caught.value.reason == "failed"
    failed, stack.broken = stack.one("servers")["id"], ""
    _, done = make(stack)
    assert done[0].startswith("delete server lab-mlflow (in ERROR, never ran") and stack.one("servers")["id"] != failed


PROJECT_ID = "project-1"


def test_a_server_in_error_that_ran_is_left_alone(stack):
    make(stack)
    stack.one("servers").update(status="ERROR", fault={"message": "disk on fire"})
    before = stack.snapshot()
    with pytest.raises(ServerError, match="disk on fire") as caught:
        make(stack)
    assert caught.value.reason == "error_data" and stack.snapshot() == before


@pytest.mark.parametrize("used", [False, True])
def test_a_volume_in_error_is_replaced_only_if_it_never_held_data(stack, used):
    stack.broken = "error"
    with pytest.raises(ServerError):
        make(stack)
    stack.broken = ""
    for server in stack.all("servers"):
        stack.remove("servers", server)
    volume = stack.one("volumes")
    volume["metadata"].update({"labtrack_used": "true"} if used else {})
    if used:
        with pytest.raises(ServerError, match="it may hold data"):
            make(stack)
        assert stack.one("volumes")["id"] == volume["id"]
    else:
        make(stack)
        assert stack.one("volumes")["id"] != volume["id"] and stack.one("volumes")["status"] == "in-use"


def test_a_volume_to_boot_from_that_cannot_be_made_leaves_nothing_behind(stack):
    stack.broken = "error"
    with pytest.raises(ServerError):
        make(stack, dataclasses.replace(WANTED, boot_volume_gb=20, volume_gb=0))
    assert stack.one("volumes")["status"] == "error"
    stack.broken = ""
    _, done = make(stack, dataclasses.replace(WANTED, volume_gb=0))
    assert "delete volume lab-mlflow-boot (in ERROR, never used)" in done and not stack.all("volumes")


def test_a_server_that_was_shut_down_is_started(stack):
    make(stack)
    stack.one("servers")["status"] = "SHUTOFF"
    assert make(stack)[1] == ["start server lab-mlflow"]


def test_a_server_on_its_way_is_waited_for(stack):
    make(stack)
    stack.one("servers").update(status="HARD_REBOOT", looks=5)
    assert make(stack, check=True)[1] == []
    assert make(stack)[1] == [] and stack.one("servers")["status"] == "ACTIVE"


def test_a_server_in_another_state_is_explained(stack):
    make(stack)
    stack.one("servers")["status"] = "SHELVED_OFFLOADED"
    with pytest.raises(ServerError, match="is SHELVED_OFFLOADED"):
        make(stack)


def test_a_rebuild_keeps_volume_port_and_address(stack):
    before, _ = make(stack, OWN_NETWORK)
    boot = [volume["id"] for volume in stack.all("volumes") if volume["metadata"]["labtrack_role"] == "boot"]
    planned = make(stack, OWN_NETWORK, check=True, state="rebuilt")[1]
    after, done = make(stack, OWN_NETWORK, state="rebuilt")
    assert planned == done and done[0] == "delete server lab-mlflow (to be made anew)"
    same = ("public_address", "private_address", "data_volume_id")
    assert {key: after[key] for key in same} == {key: before[key] for key in same} and after["server_id"] != before["server_id"]
    assert not set(boot) & set(stack.things["volumes"]), "the old system is gone"
    assert "POST /servers/" + before["server_id"] + "/action" in stack.calls, "it was shut down first"


def test_a_rebuild_interrupted_anywhere_is_finished_by_the_next_run():
    reference = FakeOpenStack()
    make(reference)
    made = len(reference.calls)
    make(reference, state="rebuilt")
    for number in range(made + 1, len(reference.calls) + 1):
        stack = FakeOpenStack()
        make(stack)
        volume, address = stack.one("volumes")["id"], stack.one("floatingips")["id"]
        stack.script = {number: "kill"}
        with pytest.raises(KilledError):
            make(stack, state="rebuilt")
        make(stack)
        assert counts(stack) == counts(reference), reference.calls[number - 1]
        assert (stack.one("volumes")["id"], stack.one("floatingips")["id"]) == (volume, address)
        assert stack.one("volumes")["attachments"] == [{"server_id": stack.one("servers")["id"]}]


def test_data_and_address_stay_unless_told(stack):
    make(stack)
    result, planned = remove(stack, check=True)
    assert [thing["status"] for thing in stack.all("servers")] == ["ACTIVE"]
    result, done = remove(stack)
    assert planned == done
    assert {kind: len(stack.all(kind)) for kind in PARTS} == {**dict.fromkeys(PARTS, 0), "volumes": 1, "floatingips": 1}
    assert "lab-mlflow-data" in result["kept"][0] and result["kept"][1] == "floating IP 172.30.98.101"
    _, done = make(stack)
    assert "attach floating IP 172.30.98.101" in done and "create volume lab-mlflow-data" not in done
    assert stack.one("volumes")["status"] == "in-use"


def test_a_given_address_is_used_marked_by_nobody_and_never_released(stack):
    given = stack.add("floatingips", "", floating_ip_address="172.30.98.77", port_id=None, description="the lab's")
    wanted = dataclasses.replace(WANTED, floating_ip_address="172.30.98.77")
    result, _ = make(stack, wanted)
    assert result["public_address"] == "172.30.98.77" and given["port_id"] == stack.one("ports")["id"]
    assert given["description"] == "the lab's" and "tags" not in given
    remove(stack, wanted, delete_data=True)
    assert stack.one("floatingips")["id"] == given["id"]


@pytest.mark.parametrize(("port", "address", "words"), [("someone", "172.30.98.77", "serves another port"), (None, "172.30.98.78", "no such floating IP")])
def test_a_given_address_that_cannot_be_had_is_refused(stack, port, address, words):
    stack.add("floatingips", "", floating_ip_address="172.30.98.77", port_id=port)
    with pytest.raises(ServerError, match=words):
        make(stack, dataclasses.replace(WANTED, floating_ip_address=address))
    assert stack.calls == []


def test_without_a_floating_ip_the_ports_address_is_public(stack):
    result, _ = make(stack, dataclasses.replace(WANTED, floating_ip=False))
    assert result["public_address"] == "10.0.0.5" and not stack.all("floatingips")


@pytest.mark.parametrize(("others", "words"), [(["def-two-network"], "2 networks match"), ([], "no network matches")])
def test_a_network_that_is_not_exactly_one_is_explained(stack, others, words):
    if not others:
        stack.things["networks"].pop([network["id"] for network in stack.all("networks")][0])
    for name in others:
        stack.add("networks", name, subnets=["s"])
    with pytest.raises(ServerError, match=words):
        make(stack)
    assert stack.calls == []


def test_a_network_that_comes_later_stops_nobody(stack):
    make(stack)
    stack.add("networks", "def-two-network", subnets=["s"])
    stack.add("networks", "second-external", project_id="admin", **{"router:external": True})
    assert make(stack)[1] == []


def test_a_network_of_the_site_is_shared_and_goes_with_the_last_host(stack):
    second = dataclasses.replace(OWN_NETWORK, name="lab-data", host="data")
    make(stack, OWN_NETWORK)
    _, done = make(stack, second)
    assert counts(stack)["routers"] == 1 and not [step for step in done if "router" in step]
    result, done = remove(stack, OWN_NETWORK, delete_data=True)
    assert counts(stack)["routers"] == 1 and result["kept"] == ["network lab-network, which other machines use"]
    _, done = remove(stack, second, delete_data=True)
    assert counts(stack)["routers"] == 0 and done[-1] == "delete router lab-router, subnet lab-subnet, network lab-network"


def test_a_host_that_comes_second_reports_no_network_of_its_own(stack):
    """Its plan was made before the other host had made the network."""
    from ansible_collections.labtrack.mlflow.plugins.module_utils import _openstack_server_manage as manage

    second = dataclasses.replace(OWN_NETWORK, name="lab-data", host="data")
    work = manage.begin(stack.cloud(), second, check_mode=False)
    manage.choose(work.cloud, second, work.found)  # as present() does
    steps = manage.plan(work)
    make(stack, OWN_NETWORK)
    done = []
    manage.carry_out(work, steps, False, done)
    assert any("router" in str(step) for step in steps) and not any("router" in step for step in done)
    assert counts(stack)["networks"] == 2 and counts(stack)["routers"] == 1


def test_a_quota_is_explained_at_once(stack):
    stack.quota["floatingip"] = 0
    with pytest.raises(ServerError, match="Quota exceeded") as caught:
        make(stack)
    assert caught.value.reason == "quota" and stack.seconds < 5


def test_a_final_refusal_is_told_in_the_clouds_words(stack):
    stack.script = {1: 400}
    with pytest.raises(RefusedError, match="told to say 400"):
        make(stack)


def test_an_outage_ends_in_time(stack):
    stack.script = dict.fromkeys(range(1, 500), 503)
    with pytest.raises(ServerError) as caught:
        make(stack)
    assert caught.value.reason == "unavailable" and 500 < stack.seconds <= 600


def test_the_key_pair_comes_with_the_server_and_no_other_pair_is_touched(stack):
    stack.things["os-keypairs"]["lab-mlflow-0123456789"] = {"name": "lab-mlflow-0123456789", "public_key": "ssh-ed25519 AAAAother", "project_id": PROJECT_ID}
    make(stack)
    other = dataclasses.replace(WANTED, public_key="ssh-ed25519 AAAAnew")
    result, done = make(stack, other)
    assert done == [] and "another public key" in result["warnings"][0], "another person may run it"
    result, done = make(stack, other, state="rebuilt")
    assert result["warnings"] == [] and [step.split()[0] for step in done if "key pair" in step] == ["create", "delete"]
    assert len(stack.things["os-keypairs"]) == 2 and "lab-mlflow-0123456789" in stack.things["os-keypairs"]


def test_differences_that_need_a_person_are_told(stack):
    make(stack)
    result, done = make(stack, dataclasses.replace(WANTED, flavor="cb1", volume_gb=20))
    assert done == [] and len(result["warnings"]) == 2


def test_foreign_groups_leave_the_port_and_stay_in_the_project(stack):
    make(stack)
    extra = stack.add("security-groups", "monitoring", security_group_rules=[])
    stack.one("ports")["security_groups"].append(extra["id"])
    assert make(stack)[1] == ["change security groups of port lab-mlflow"]
    assert make(stack, dataclasses.replace(WANTED, extra_groups=("monitoring",)))[1] == ["change security groups of port lab-mlflow"]
    assert extra["id"] in stack.one("ports")["security_groups"]
