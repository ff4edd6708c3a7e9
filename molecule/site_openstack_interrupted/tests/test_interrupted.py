# SPDX-License-Identifier: GPL-3.0-or-later
"""Kill `ansible-playbook site.yml` when the cloud shows the first of its things; repeat it; compare the whole project with what should be there."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from cloud_site import HOST, ROOT, Site, changed

NAME, MACHINE = "interrupted", "interrupted-mlflow"
KEY_PLAY = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"]) / "key.yml"


@pytest.fixture(scope="module")
def site():
    return Site(Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "own", NAME, {})


# in the order in which the run makes them
POINTS = {
    "security group": lambda site: list(site.lab.network.security_groups(name=MACHINE)),
    "port": lambda site: list(site.lab.network.ports(name=MACHINE)),
    "floating IP": lambda site: list(site.lab.network.ips()),
    "volume": lambda site: list(site.lab.block_storage.volumes()),
    "server in BUILD": lambda site: [server for server in site.lab.compute.servers() if server.status == "BUILD"],
}


@pytest.mark.parametrize("point", POINTS)
def test_a_killed_run_is_finished_by_the_next(site, point):
    site.clear()
    assert not any(site.counts().values())
    site.kill_when(lambda: POINTS[point](site), "site.yml")
    assert changed(site.play("site.yml", "--tags", "openstack_server")) > 0, point
    site.has_one_each()


def test_and_then_nothing_is_left_to_do(site):
    before = site.things()
    assert changed(site.play("site.yml", "--tags", "openstack_server")) == 0
    assert site.things() == before


def test_a_machine_that_was_shut_down_is_started_although_nobody_can_log_in(site):
    ((_, _, server),) = site.things()["servers"]
    site.lab.compute.stop_server(server)
    site.lab.compute.wait_for_server(site.lab.compute.get_server(server), status="SHUTOFF", interval=1)
    assert changed(site.play("site.yml", "--tags", "openstack_server")) == 1
    site.has_one_each()


def keys_of(site):
    """Access keys on Keystone."""
    return [key for key, _, _ in site.things()["EC2 keys"]]


@pytest.mark.parametrize("seconds", [0, 0.4])
def test_a_key_whose_making_was_killed_is_not_made_again(site, seconds):
    """At once after Keystone has it: its secret was not recorded yet; or a little later, while the store is asked."""
    site.clear()
    url = f"/users/{site.lab.current_user_id}/credentials/OS-EC2"

    def shown():
        if site.lab.identity.get(url).json()["credentials"]:
            time.sleep(seconds)
            return True
        return False

    site.kill_when(shown, KEY_PLAY)
    changed(site.play(KEY_PLAY))
    record = json.loads((site.inventory / "host_vars" / HOST / "ec2_credential.txt").read_text(encoding="utf-8"))
    assert keys_of(site) == [record["access_key"]] and not {"candidate", "creating"} & set(record)
    assert changed(site.play(KEY_PLAY)) == 0 and keys_of(site) == [record["access_key"]]


def test_the_repository_is_as_before(site):
    """What is recorded is in the site's own inventory."""
    assert not (ROOT / "inventories" / "example_openstack" / "host_vars").exists()
    assert site.inventory.exists()
