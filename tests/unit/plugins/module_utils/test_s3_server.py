# SPDX-License-Identifier: GPL-3.0-or-later
"""What is on the machine, and the users of the gateway."""

from __future__ import annotations

import json
import socket

import pytest
from ansible_collections.labtrack.mlflow.plugins.module_utils import _s3_server as server

USER = {"uid": "mlflow", "access_key": "access-key", "secret_key": "secret-key", "display_name": ""}
STORED = {
    "key": "user:mlflow",
    "ver": {"tag": "t", "ver": 3},
    "data": {
        "user_id": "mlflow",
        "display_name": "mlflow",
        "suspended": 0,
        "max_buckets": 7,
        "keys": [{"user": "mlflow", "access_key": "access-key", "secret_key": "secret-key", "active": True}],
    },
}


def change(**data):
    return {**STORED, "data": {**STORED["data"], **data}}


@pytest.mark.parametrize(("content", "owner"), [(None, "absent"), (server.MARKER + "\n[global]\n", "ours"), ("[global]\nfsid = 1\n", "foreign")])
def test_configuration(tmp_path, content, owner):
    if content is not None:
        (tmp_path / "ceph.conf").write_text(content)
    assert server.configuration(str(tmp_path / "ceph.conf")) == owner


def test_foreign_daemons(tmp_path):
    (tmp_path / "osd" / "ceph-3").mkdir(parents=True)
    (tmp_path / "mon").mkdir()
    (tmp_path / "osd" / "ceph-0").symlink_to("/srv/store/osd")
    (tmp_path / "mon" / "ceph-a").symlink_to("/srv/store-of-others/mon")
    found = server.foreign_daemons(str(tmp_path), "/srv/store")
    assert found == [str(tmp_path / "mon" / "ceph-a"), str(tmp_path / "osd" / "ceph-3")]


def test_free_space_of_a_directory_that_will_be(tmp_path):
    assert server.free_mb(str(tmp_path / "a" / "b")) == server.free_mb(str(tmp_path)) > 0


def test_ports():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        assert server.port_state("127.0.0.1", port) == "used"
    assert server.port_state("127.0.0.1", port) == "free"
    assert server.port_state("192.0.2.1", port) == "no_address"
    assert server.port_state("office", port) == "no_address"


def test_devices(tmp_path):
    missing = server.device(str(tmp_path / "none"), lambda command, text: (0, "", ""))
    assert (missing["exists"], missing["block"]) == (False, False)
    (tmp_path / "file").touch()
    file = server.device(str(tmp_path / "file"), lambda command, text: (0, "", ""))
    assert (file["exists"], file["block"], file["content"]) == (True, False, "")


def test_units():
    text = "Id=a.service\nActiveState=active\nUnitFileState=enabled\n\nId=b.service\nActiveState=inactive\nUnitFileState=\n"
    assert server.units(text) == {"a.service": {"active": "active", "enabled": "enabled"}, "b.service": {"active": "inactive", "enabled": ""}}


def test_user_as_wanted():
    assert server.Users.plan(STORED, USER) is None


def test_new_user():
    entry = server.Users.plan(None, {**USER, "display_name": "The lab"})
    assert entry["data"]["keys"] == [{"user": "mlflow", "access_key": "access-key", "secret_key": "secret-key"}]
    assert entry["data"]["display_name"] == "The lab" and entry["ver"]["ver"] == 1


@pytest.mark.parametrize(
    "stored",
    [
        change(display_name="x"),
        change(suspended=1),
        change(keys=[]),
        change(keys=[*STORED["data"]["keys"], {"user": "mlflow", "access_key": "old"}]),
        change(keys=[{"user": "mlflow", "access_key": "access-key", "secret_key": "old"}]),
    ],
)
def test_changed_user(stored):
    before = json.dumps(stored)
    entry = server.Users.plan(stored, USER)
    assert server.Users.plan(entry, USER) is None
    assert entry["data"]["max_buckets"] == 7 and json.dumps(stored) == before


def test_secrets_pass_on_standard_input_only():
    calls = []

    def run(command, text):
        calls.append((command, text))
        return 0, json.dumps(STORED), ""

    users = server.Users(run)
    assert users.get("mlflow") == STORED
    users.put("mlflow", STORED)
    assert all("secret-key" not in " ".join(command) for command, _text in calls)
    assert "secret-key" in calls[1][1]


def test_answers_of_radosgw_admin():
    assert server.Users(lambda command, text: (2, "", "ERROR: can't get key")).get("nobody") is None
    failing = server.Users(lambda command, text: (5, "", "input/output error"))
    with pytest.raises(server.ServerError, match="cannot read the user 'x': input/output error"):
        failing.get("x")
    with pytest.raises(server.ServerError, match="cannot write"):
        failing.put("x", {})


def test_while_a_key_is_replaced_both_are_kept():
    other = {**USER, "access_key": "another-key", "secret_key": "another-secret-key"}
    entry = server.Users.plan(STORED, other, keep_other_keys=True)
    assert sorted(key["access_key"] for key in entry["data"]["keys"]) == sorted([USER["access_key"], "another-key"])
    assert server.Users.plan(entry, other, keep_other_keys=True) is None
    assert [key["access_key"] for key in server.Users.plan(entry, other)["data"]["keys"]] == ["another-key"]


def test_a_new_secret_wants_a_new_name():
    with pytest.raises(server.ServerError, match="another name"):
        server.Users.plan(STORED, {**USER, "secret_key": "another-secret-key"}, keep_other_keys=True)
