# SPDX-License-Identifier: GPL-3.0-or-later
"""Single parts of a server at their edges: what a cloud hides, half of a network, ssh-keyscan, the lock, volumes that others hold."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tempfile

import pytest
from ansible_collections.labtrack.mlflow.plugins.module_utils import _openstack_server_ssh as ssh
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_cloud import RefusedError, said
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_manage import examine, present
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_messages import ServerError
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_steps import lock
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_session import Reply
from plugins.fake_openstack import KEY
from plugins.module_utils.test_openstack_server import OWN_NETWORK, WANTED, counts, make, remove, rules_of


# what may not be asked
@pytest.mark.parametrize("status", [403, 404, 400])
def test_a_quota_that_may_not_be_read_is_no_problem(stack, status):
    stack.get_quotas = lambda rest, body, method: Reply(status, {"NeutronError": {"message": "not yours"}})
    found = examine(stack.cloud(), WANTED)
    assert found["conflicts"] == [] and found["quota"]["ports"] == {"needed": 1, "free": None}


def test_an_ended_login_is_a_problem_there_too(stack):
    stack.get_quotas = lambda rest, body, method: Reply(401, {})
    with pytest.raises(ServerError) as caught:
        examine(stack.cloud(), WANTED)
    assert caught.value.reason == "login_expired"


def test_an_image_that_needs_more_memory_is_refused(stack):
    stack.images[0]["min_ram"] = 4096
    ((reason, detail, _),) = examine(stack.cloud(), WANTED)["conflicts"]
    assert (reason, detail) == ("flavor", "the image needs 4096 MB of memory, and it has 1536 MB")


def test_words_that_are_no_object_are_told():
    assert said(Reply(500, {"faultstring": "out of order"})) == "status 500: out of order"
    assert said(Reply(500, {})) == "status 500"


# networks and rules
def test_a_router_without_gateway_gets_one(stack):
    make(stack, OWN_NETWORK)
    stack.one("routers")["external_gateway_info"] = None
    assert make(stack, OWN_NETWORK)[1] == ["create gateway of router lab-router"]
    assert stack.one("routers")["external_gateway_info"] == {"network_id": "network-1"}
    assert make(stack, OWN_NETWORK)[1] == []


def test_a_router_that_cannot_join_is_explained(stack):
    stack.put_routers = lambda rest, body, method: Reply(400, {"NeutronError": {"message": "the subnet overlaps"}})
    with pytest.raises(RefusedError, match="the subnet overlaps"):
        make(stack, OWN_NETWORK)


def test_a_cloud_that_gives_new_groups_other_rules(stack, monkeypatch):
    plain = stack.made

    def made(kind, single, thing):
        reply = plain(kind, single, thing)
        if kind == "security-groups":
            thing["security_group_rules"] = [{"id": "open", "direction": "ingress", "ethertype": "IPv4", "protocol": "tcp", "port_range_min": 1,
                                              "port_range_max": 65535, "remote_ip_prefix": None}]  # fmt: skip
            reply.body[single]["security_group_rules"] = list(thing["security_group_rules"])
        return reply

    monkeypatch.setattr(stack, "made", made)
    make(stack)
    assert sorted(rule[1] for rule in rules_of(stack) if rule[0] == "egress") == ["IPv4", "IPv6"]
    assert {rule[3] for rule in rules_of(stack) if rule[0] == "ingress"} == {22, 80, 443}


# volumes
def test_a_volume_in_a_zone(stack):
    make(stack, dataclasses.replace(WANTED, volume_availability_zone="zone-2", volume_type="rbd1"))
    assert (stack.one("volumes")["availability_zone"], stack.one("volumes")["volume_type"]) == ("zone-2", "rbd1")


def test_a_volume_that_another_server_holds_is_not_taken(stack):
    make(stack)
    stack.one("volumes")["attachments"] = [{"server_id": "of-somebody"}]
    before = stack.snapshot()
    with pytest.raises(ServerError, match="attached to another server \\(of-somebody\\)") as caught:
        make(stack)
    assert caught.value.reason == "volume_used" and stack.snapshot() == before


def test_a_volume_that_cannot_be_deleted_is_told(stack):
    make(stack)
    remove(stack)
    stack.one("volumes")["status"] = "error_deleting"
    with pytest.raises(ServerError, match="cannot be deleted, it is error_deleting"):
        remove(stack, delete_data=True)
    assert stack.all("volumes")


# a second machine in the network of the site
def test_a_machine_that_comes_while_the_network_goes_keeps_it(stack):
    make(stack, OWN_NETWORK)
    network = next(item["id"] for item in stack.all("networks") if item["name"] == "lab-network")
    plain = stack.remove

    def arrive(kind, thing):
        if kind == "servers":  # the plan has been made
            stack.add("ports", "lab-other", network_id=network, device_owner="compute:nova", security_groups=[])
        return plain(kind, thing)

    stack.remove = arrive
    remove(stack, OWN_NETWORK, delete_data=True)
    assert counts(stack)["routers"] == 1 and counts(stack)["networks"] == 2


# on the control machine
def test_ssh_keyscan_is_asked_and_its_comments_are_left_out(monkeypatch):
    asked = []

    def run(command, **options):
        asked.append((command, options["timeout"]))
        return subprocess.CompletedProcess(command, 0, f"# 198.51.100.7:22 SSH-2.0\n198.51.100.7 {KEY}\n198.51.100.7 {KEY}\n", "")

    monkeypatch.setattr(ssh.subprocess, "run", run)
    assert ssh.scan("198.51.100.7") == [KEY]
    assert asked[0][0][-1] == "198.51.100.7" and asked[0][1] == 30


@pytest.mark.parametrize(("error", "reason"), [(subprocess.TimeoutExpired("ssh-keyscan", 30), None), (FileNotFoundError(2, "No such file"), "ssh_tools")])
def test_a_scan_without_an_end_is_none_and_one_without_a_program_is_explained(monkeypatch, error, reason):
    def run(*_arguments, **_options):
        raise error

    monkeypatch.setattr(ssh.subprocess, "run", run)
    if reason is None:
        assert ssh.scan("198.51.100.7") == []
    else:
        with pytest.raises(ServerError) as caught:
            ssh.scan("198.51.100.7")
        assert caught.value.reason == reason


def test_a_failure_beside_ssh_keeps_its_own_words(stack, monkeypatch):
    def missing(address):
        raise ServerError("ssh_tools", "no such file")

    options = {"state": "present", "known_hosts_file": "", "console_wait_seconds": 1, "host_key_scan_enabled": True}
    with pytest.raises(ServerError) as caught:
        present(stack.cloud(), WANTED, options, False, [], missing)
    assert caught.value.reason == "ssh_tools"


HOLD = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_run_waits_for_another_one_of_the_same_host_only(stack, tmp_path):
    with lock(stack.cloud(), "lab", "mlflow"):
        pass
    (file,) = tmp_path.glob("labtrack-openstack-*.lock")
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "held\n"
    with lock(stack.cloud(), "lab", "other"):
        assert stack.seconds == 0
    with pytest.raises(ServerError, match="another run for lab mlflow"):
        with lock(stack.cloud(seconds=5), "lab", "mlflow"):
            pass
    holder.communicate("")
    with lock(stack.cloud(), "lab", "mlflow"):
        assert tempfile.tempdir == str(tmp_path)
