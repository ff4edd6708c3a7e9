# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked before anything is made; host keys; keys and options of a server; messages."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from ansible_collections.labtrack.mlflow.plugins.module_utils import _openstack_server_messages as messages
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_choice import newest_image
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_manage import examine, present
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_messages import MESSAGES, ServerError, explain
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_options import SERVER
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_ssh import HostKeys, keys_of_console, known_hosts, recorded_keys
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_steps import Work
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_wanted import HOST, SITE, Rule, Wanted, is_marked, read_public_key
from plugins.fake_openstack import KEY

PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMine me@here"
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAISomebodyElses"
WANTED = Wanted(
    name="lab-mlflow", site="lab", host="mlflow", public_key=PUBLIC, image="debian-13*", flavor="p1-1.5gb", network="def-*-network",
    external_network="Public-Network", rules=(Rule(22, "192.0.2.0/24"),), volume_gb=10, volume_type="rbd1",
)  # fmt: skip
UTILS = Path(messages.__file__).parent


def problems(stack, **values):
    return [(reason, detail) for reason, detail, _ in examine(stack.cloud(), dataclasses.replace(WANTED, **values))["conflicts"]]


def test_a_cloud_that_suits_has_no_problem_and_a_plan(stack):
    found = examine(stack.cloud(), WANTED)
    assert found["conflicts"] == [] and stack.calls == []
    assert found["plan"][-1] == "attach volume lab-mlflow-data" and not found["exists"]
    assert found["quota"]["instances"] == {"needed": 1, "free": 2} and found["quota"]["ports"]["needed"] == 1


@pytest.mark.parametrize(
    ("values", "reason", "words"),
    [
        ({"image": "Rocky-9"}, "image", "of Debian there are Debian-13"),
        ({"flavor": "p9"}, "flavor", "there are cb1, p1-1.5gb"),
        ({"flavor": "cb1"}, "boot_volume", "has no disk of its own"),
        ({"boot_volume_gb": 1}, "boot_volume", "the image needs 2 GB"),
        ({"availability_zone": "moon"}, "availability_zone", "there are nova"),
        ({"volume_availability_zone": "moon"}, "volume_availability_zone", "there are nova"),
        ({"volume_type": "gold"}, "volume_type", "there are rbd1"),
        ({"boot_volume_gb": 20, "boot_volume_type": "gold"}, "boot_volume_type", "there are rbd1"),
        ({"network": "none-*"}, "network", "no network matches"),
        ({"external_network": "public"}, "external_network", "the cloud has Public-Network"),
        ({"extra_groups": ("monitoring",)}, "extra_group", "0 security groups are called 'monitoring'"),
        ({"volume_gb": 1000}, "quota", "1000 gigabytes would be made, 100 are free of 100"),
    ],
)
def test_each_problem_is_found_before_anything_is_made(stack, values, reason, words):
    found = problems(stack, **values)
    assert [name for name, _ in found] == [reason] and words in found[0][1]
    assert stack.calls == []


def test_all_problems_are_told_at_once(stack):
    assert [reason for reason, _ in problems(stack, image="x", flavor="x", network="x")] == ["network", "flavor", "image"]


@pytest.mark.parametrize(
    ("kind", "most", "words"),
    [
        ("port", 0, "1 ports would be made"),
        ("floatingip", 0, "1 floating IPs would be made, 0 are free of 0"),
        ("security_group", 0, "1 security groups"),
        ("security_group_rule", 2, "3 security group rules would be made, 2 are free"),
    ],
)
def test_quota_of_the_network_is_compared(stack, kind, most, words):
    stack.quota[kind] = most
    assert words in problems(stack)[0][1]


@pytest.mark.parametrize(("most", "reason"), [(0, "no_floating_ips"), (2, "quota")])
def test_a_project_that_may_have_no_floating_ip_is_told_what_to_do_instead(stack, most, reason):
    for _ in range(most):
        stack.add("floatingips", "", floating_ip_address="172.30.98.7", port_id="another")
    stack.quota["floatingip"] = most
    assert problems(stack)[0][0] == reason
    assert problems(stack, floating_ip=False) == []


@pytest.mark.parametrize(
    ("limit", "words"), [("maxTotalInstances", "1 instances"), ("maxTotalCores", "1 cores"), ("maxTotalRAMSize", "1536 MB"), ("maxTotalVolumes", "1 volumes")]
)
def test_quota_of_servers_and_volumes_is_compared(stack, limit, words):
    stack.limits[limit] = 0
    assert problems(stack)[0][1].startswith(words)


def test_no_limit_is_no_problem(stack):
    stack.limits = dict.fromkeys(stack.limits, -1)
    stack.quota = dict.fromkeys(stack.quota, -1)
    assert problems(stack) == []


def test_a_quota_that_may_not_be_read_in_detail_is_counted(stack):
    plain = {"quota": {"port": 0, "router": 1}}
    handle = stack.handle

    def answer(service, method, path, body):
        if path.endswith("details.json"):
            return handle("network", "GET", "/ports/none", None)
        if path.startswith("/quotas/"):
            reply = handle("network", "GET", "/networks", None)
            return dataclasses.replace(reply, body=plain)
        return handle(service, method, path, body)

    stack.handle = answer
    assert problems(stack) == [("quota", "1 ports would be made, 0 are free of 0")]


def test_a_login_that_may_only_read_is_told(stack):
    found = examine(stack.cloud(roles=("reader",)), WANTED)
    assert found["conflicts"][0][0] == "forbidden"


def test_what_exists_needs_no_quota_and_no_image(stack):
    present(
        stack.cloud(),
        WANTED,
        {"state": "present", "known_hosts_file": "", "console_wait_seconds": 1, "host_key_scan_enabled": True},
        False,
        [],
        lambda _: [KEY],
    )
    stack.limits, stack.images = dict.fromkeys(stack.limits, 0), []
    found = examine(stack.cloud(), WANTED)
    assert found["conflicts"] == [] and found["plan"] == [] and found["exists"]


# images
IMAGES = [
    {"id": "1", "name": "Debian-13.1-x64", "status": "active", "created_at": "2026-01-01T00:00:00Z"},
    {"id": "2", "name": "Debian-13.2-x64", "status": "active", "created_at": "2026-06-01T00:00:00Z"},
    {"id": "3", "name": "Debian-13.3-x64", "status": "queued", "created_at": "2026-09-01T00:00:00Z"},
    {"id": "4", "name": "debian-13*", "status": "deactivated", "created_at": "2026-09-01T00:00:00Z"},
]


@pytest.mark.parametrize(("wanted", "expected"), [("debian-13*", "2"), ("Debian-13.1-x64", "1"), ("1", "1"), ("Debian-13.3-x64", None)])
def test_the_newest_usable_image_is_taken(wanted, expected):
    assert (newest_image(IMAGES, wanted) or {}).get("id") == expected


# host keys
CONSOLE = f"""
<14>Nov 21 06:00:01 cloud-init: -----BEGIN SSH HOST KEY KEYS-----
<14>Nov 21 06:00:01 cloud-init: ecdsa-sha2-nistp256 AAAAE2VjZHNh root@lab
<14>Nov 21 06:00:01 cloud-init: {KEY} root@lab
<14>Nov 21 06:00:01 cloud-init: -----END SSH HOST KEY KEYS-----
"""


class Console:
    """Host keys of one machine, as its console, its network and the record show them."""

    def __init__(self, stack, console="", shown=(KEY,), recorded=(), late=0):
        stack.console, self.late, self.shown = console, late, list(shown)
        stack.add("servers", "x", status="ACTIVE")
        work = Work(stack.cloud(), WANTED, None)
        work.found = type("Found", (), {"server": {"id": stack.all("servers")[-1]["id"]}})()
        self.search = HostKeys(work, "198.51.100.7", list(recorded), self.scan)

    def scan(self, address):
        self.late -= 1
        return [] if self.late >= 0 else self.shown

    def find(self, scan_enabled=True, fresh=False):
        return self.search.find(30, scan_enabled, fresh)


def test_keys_are_read_from_the_last_block_of_the_console():
    assert keys_of_console(CONSOLE) == ["ecdsa-sha2-nistp256 AAAAE2VjZHNh", KEY]
    assert keys_of_console(CONSOLE.replace("Machine", "Old") + CONSOLE) == keys_of_console(CONSOLE)
    assert keys_of_console(f"authorized: {KEY}") == [], "a key outside of the block is nobody's host key"


def test_the_console_is_believed(stack):
    assert Console(stack, CONSOLE, late=3).find() == (["ecdsa-sha2-nistp256 AAAAE2VjZHNh", KEY], "console")


def test_the_record_is_believed_while_it_fits(stack):
    assert Console(stack, "", recorded=[KEY, OTHER_KEY]).find() == ([KEY, OTHER_KEY], "record")


def test_a_new_machine_is_not_measured_by_the_old_record(stack):
    assert Console(stack, CONSOLE, recorded=[OTHER_KEY]).find(fresh=True)[1] == "console"


def test_the_console_explains_another_key(stack):
    assert Console(stack, CONSOLE, recorded=[OTHER_KEY]).find()[1] == "console"


def test_another_machine_at_the_address_is_refused(stack):
    with pytest.raises(ServerError, match="those that its console log shows"):
        Console(stack, CONSOLE, shown=[OTHER_KEY]).find(fresh=True)


def test_another_key_without_an_explanation_is_refused(stack):
    with pytest.raises(ServerError, match="the recorded ones"):
        Console(stack, "", recorded=[OTHER_KEY]).find()


def test_without_a_console_the_network_is_believed_only_if_allowed(stack):
    assert Console(stack, "").find() == ([KEY], "network")
    with pytest.raises(ServerError) as caught:
        Console(stack, "").find(scan_enabled=False)
    assert caught.value.reason == "console"


def test_ssh_that_never_answers_is_explained(stack):
    with pytest.raises(ServerError, match=r"198\.51\.100\.7") as caught:
        Console(stack, CONSOLE, late=10_000).find()
    assert caught.value.reason == "ssh"


def test_the_record_is_read_as_it_is_written(tmp_path):
    file = tmp_path / "ssh_known_hosts.txt"
    file.write_text(known_hosts("198.51.100.7", [KEY, OTHER_KEY]))
    assert recorded_keys(str(file)) == sorted([KEY, OTHER_KEY])
    assert recorded_keys(str(tmp_path / "none")) == [] and recorded_keys("") == []


# keys, marks, options
@pytest.mark.parametrize("text", [PUBLIC, "ssh-rsa AAAAB3Nza+/== me", "sk-ssh-ed25519@openssh.com AAAAGn"])
def test_a_public_key_is_read(tmp_path, text):
    file = tmp_path / "id.pub"
    file.write_text(f"{text}\n")
    assert read_public_key(str(file)) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nx\n", "private key, which never leaves"),
        (f"{PUBLIC}\n{PUBLIC}\n", "exactly one"),
        ("", "exactly one"),
        ("\0", "exactly one"),
        (None, "cannot be read (No such file or directory)"),
    ],
)
def test_another_file_is_refused_without_showing_it(tmp_path, text, words):
    file = tmp_path / "id.pub"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ServerError, match=re.escape(words)) as caught:
        read_public_key(str(file))
    assert "BEGIN" not in str(caught.value)


MARKS = {SITE: "lab", HOST: "mlflow"}


@pytest.mark.parametrize(
    "item",
    [
        {"metadata": {**MARKS, "other": "x"}},
        {"tags": ["x", "labtrack_host=mlflow", "labtrack_site=lab"]},
        {"description": "labtrack_site=lab labtrack_host=mlflow"},
        {"description": "changed by hand", "tags": ["labtrack_host=mlflow", "labtrack_site=lab"]},
    ],
)
def test_each_mark_suffices(item):
    assert is_marked(item, MARKS)
    assert not is_marked(item, {SITE: "lab"}), "what is one host's is not the site's"
    assert not is_marked(item, {**MARKS, HOST: "data"})


@pytest.mark.parametrize("item", [{}, {"metadata": None, "tags": None, "description": None}, {"metadata": {SITE: "lab"}}, {"description": "labtrack_site=lab"}])
def test_half_a_mark_is_none(item):
    assert not is_marked(item, MARKS)


def test_a_key_pairs_name_is_of_its_key_project_and_host():
    name = WANTED.keypair_name("p1")
    assert name.startswith("lab-mlflow-") and name == dataclasses.replace(WANTED, public_key=f"{PUBLIC}2").keypair_name("p1"), "comments do not count"
    others = [WANTED.keypair_name("p2"), dataclasses.replace(WANTED, host="x").keypair_name("p1"), WANTED.keypair_name("p1", OTHER_KEY)]
    assert name not in others and len(set(others)) == 3


def test_options_become_a_server(tmp_path):
    file = tmp_path / "id.pub"
    file.write_text(PUBLIC)
    defaults = {name: option.get("default") for name, option in SERVER.items()}
    given = {"name": "n", "site": "s", "host": "h", "image": "i", "flavor": "f", "public_key_file": str(file), "dns_servers": ["192.0.2.1"]}
    rules = [{"port": 443, "cidrs": ["::/0", "0.0.0.0/0"]}, {"port": 22, "cidrs": ["192.0.2.7/24"]}, {"port": 22, "cidrs": ["192.0.2.0/24"]}]
    wanted = Wanted.from_params({**defaults, **given, "rules": rules})
    assert list(map(str, wanted.rules)) == ["tcp 22 from 192.0.2.0/24", "tcp 443 from 0.0.0.0/0", "tcp 443 from ::/0"]
    assert [rule.ethertype for rule in wanted.rules] == ["IPv4", "IPv4", "IPv6"]
    assert wanted.dns_servers == ("192.0.2.1",) and wanted.floating_ip and wanted.config_drive and wanted.network == "*"


# messages
def test_every_reason_has_a_message():
    text = "".join(path.read_text() for path in UTILS.glob("_openstack_*.py") if path.name != "_openstack_messages.py" and "ServerError" in path.read_text())
    used = set(re.findall(r'(?:ServerError|conflict)\(\s*"(\w+)"', text))
    assert len(used) > 25 and used <= set(MESSAGES)


@pytest.mark.parametrize("reason", MESSAGES)
def test_a_message_has_four_parts(reason):
    params = {"variable_names": {MESSAGES[reason][0]: "openstack_server_thing"}, MESSAGES[reason][0]: "value"}
    text = explain(reason, "DETAIL", params)
    assert text.startswith("openstack_server_thing is 'value': ") and ". Accepted: " in text and text.endswith(".")
    assert "{" not in text and ".." not in text.replace("…", "")
