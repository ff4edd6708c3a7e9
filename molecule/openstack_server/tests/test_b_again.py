# SPDX-License-Identifier: GPL-3.0-or-later
"""Lost records, things changed by hand, input that is refused, another machine, removal. Each run is the scenario's own playbook."""

from __future__ import annotations

import shutil
import time

import pytest
from cloud_machine import INVENTORY, changed, cloud, clouds, kill_play_when, ours, play, record, run, variables, words_of

HOST, NAME = "mlflow", "lab-mlflow"


@pytest.fixture(scope="module")
def lab():
    return cloud("lab-a")


def parts(lab, host=HOST):
    """Ids of all that is the host's."""
    lists = {"servers": lab.compute.servers(), "volumes": lab.block_storage.volumes(), "ports": lab.network.ports(), "addresses": lab.network.ips(),
             "groups": lab.network.security_groups()}  # fmt: skip
    return {kind: sorted(item.id for item in ours(items, host)) for kind, items in lists.items()}


def numbers(found):
    return {kind: len(ids) for kind, ids in found.items()}


ONE = {"servers": 1, "volumes": 1, "ports": 1, "addresses": 1, "groups": 1}


def test_a_lost_record_is_written_again(lab):
    before, text, keys = parts(lab), record(HOST), (INVENTORY / "host_vars" / HOST / "ssh_known_hosts.txt").read_text()
    shutil.rmtree(INVENTORY / "host_vars" / HOST)
    done = play()
    assert changed(done, HOST) == 3, "directory, host keys, variables"
    assert parts(lab) == before and record(HOST) == text
    assert (INVENTORY / "host_vars" / HOST / "ssh_known_hosts.txt").read_text() == keys


def test_what_was_changed_by_hand_is_put_right_and_told(lab):
    before = parts(lab)
    lab.network.create_security_group_rule(security_group_id=before["groups"][0], direction="ingress", ethertype="IPv4", protocol="tcp", port_range_min=5432,
                                           port_range_max=5432, remote_ip_prefix="0.0.0.0/0")  # fmt: skip
    lab.network.update_ip(before["addresses"][0], port_id=None)
    lab.compute.stop_server(before["servers"][0])
    lab.compute.wait_for_server(lab.compute.get_server(before["servers"][0]), status="SHUTOFF", interval=1)
    predicted = play("converge.yml", "--check", "--diff", "--tags", "configure")
    assert changed(predicted, HOST) == 1
    told = ["remove rule tcp 5432 from 0.0.0.0/0 (not wanted)", "attach floating IP", f"start server {NAME}"]
    assert all(words in words_of(predicted) for words in told)
    assert lab.compute.get_server(before["servers"][0]).status == "SHUTOFF"
    assert changed(play(), HOST) == 1
    assert parts(lab) == before and changed(play(), HOST) == 0


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"site_cloud": "nowhere"}, ["site_cloud is 'nowhere': no such entry in clouds.yaml. Accepted: admin, lab-a"]),
        ({"site_cloud": ""}, ["nothing says how to log in", "Accepted: an entry of clouds.yaml"]),
        ({"site_cloud_profile": "arbutus"}, ["site_cloud_profile is 'arbutus': the login is at '172.30.98.10'"]),
        ({"site_cloud_profile": "arbutos"}, ["'arbutos': no such profile. Accepted: arbutus, csc"]),
        ({"openstack_server_floating_ip_address": "203.0.113.9"}, ["'203.0.113.9': the project has no such floating IP"]),
        ({"openstack_server_public_key_file": "/nowhere.pub"}, ["'/nowhere.pub': it cannot be read (No such file or directory)"]),
        ({"site_admin_cidrs": []}, ["site_admin_cidrs is '[]': nobody could open SSH"]),
        ({"site_admin_cidrs": ["192.0.2.1/24"]}, ["did you mean '192.0.2.0/24'?"]),
        ({"site_name": "Lab 1"}, ["site_name is 'Lab 1': it cannot be used"]),
        ({"openstack_server_data_volume_gb": -1}, ["openstack_server_data_volume_gb is '-1': it is out of range"]),
    ],
)
def test_bad_input_is_refused_before_a_change(lab, extra, words):
    before = parts(lab)
    done = play("converge.yml", "--tags", "preflight", **extra)
    assert done.returncode, done.stdout
    for text in words:
        assert text in words_of(done), words_of(done)[-3000:]
    assert parts(lab) == before


NEW = {"site_name": "second"}
IMPOSSIBLE = {
    "openstack_server_flavor": ("p9-1tb", "openstack_server_flavor is 'p9-1tb': no such flavor; there are p1-1.5gb"),
    "openstack_server_image": ("rocky*", "openstack_server_image is 'rocky*': no active image matches; of Debian there are Debian-13"),
    "openstack_server_availability_zone": ("moon", "openstack_server_availability_zone is 'moon': no such zone"),
    "openstack_server_data_volume_type": ("gold", "openstack_server_data_volume_type is 'gold': no such volume type; there are"),
    "openstack_server_data_volume_gb": (60000, "65000 gigabytes would be made"),
    "openstack_server_boot_volume_gb": (5000, "65000 gigabytes would be made"),
    "openstack_server_extra_security_groups": (["none"], "0 security groups are called 'none'"),
    "openstack_server_network": ("none-*", "openstack_server_network is 'none-*': no network matches, the cloud shows"),
    "openstack_server_external_network": ("public", "0 external networks match, the cloud has Public-Network"),
}


def test_all_that_a_new_machine_cannot_have_is_told_at_once():
    done = play("converge.yml", "--tags", "preflight", **NEW, **{name: value for name, (value, _) in IMPOSSIBLE.items()})
    assert done.returncode, done.stdout
    assert [words for _, words in IMPOSSIBLE.values() if words not in words_of(done)] == [], words_of(done)[-4000:]


@pytest.fixture
def foreign(lab):
    """Somebody else's volume, with a name that the role would take."""
    volume = lab.block_storage.create_volume(name="second-mlflow-data", size=1)
    lab.block_storage.wait_for_status(volume, "available", interval=1)
    yield volume
    lab.block_storage.delete_volume(volume)


def test_a_foreign_volume_of_that_name_is_refused(lab, foreign):
    done = play("converge.yml", "--tags", "configure", **NEW)
    assert done.returncode and "volume 'second-mlflow-data' is there already, and it is not this host's" in words_of(done)
    assert not [item for item in lab.network.security_groups() if item.name.startswith("second-")], "nothing was made before"


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"OS_PROJECT_NAME": "lab-a", "OS_USER_DOMAIN_NAME": "lab-a"}, "stands beside an application credential"),
        ({"OS_REGION_NAME": "regionone"}, "its region is not known. Accepted: one of RegionOne"),
        ({"OS_APPLICATION_CREDENTIAL_SECRET": "wrong"}, "the cloud refuses the login"),
        (
            {"OS_AUTH_TYPE": "v3token", "OS_TOKEN": "gAAAAold", "OS_PROJECT_NAME": "lab-a", "OS_PROJECT_DOMAIN_NAME": "lab-a"},
            "the token or credential has expired or was withdrawn",
        ),
        ({"OS_CACERT": "/etc/ssl/certs/ca-certificates.crt"}, "the certificate of the cloud is not trusted"),
    ],
)
def test_the_usual_mistakes_of_a_login_are_named(extra, words):
    entry = clouds()["lab-a-app-restricted"]
    login = {f"OS_{name.upper()}": value for name, value in entry["auth"].items()}
    login |= {"OS_AUTH_TYPE": "v3applicationcredential", "OS_REGION_NAME": "RegionOne", "OS_CACERT": entry["cacert"], **extra}
    done = play("converge.yml", "--tags", "preflight", environ=login, site_cloud="")
    assert done.returncode and words in words_of(done), words_of(done)[-2000:]
    assert entry["auth"]["application_credential_secret"] not in done.stdout + done.stderr


def test_the_environment_alone_suffices():
    entry = clouds()["lab-a-app-restricted"]
    login = {f"OS_{name.upper()}": value for name, value in entry["auth"].items()}
    login |= {"OS_AUTH_TYPE": "v3applicationcredential", "OS_REGION_NAME": "RegionOne", "OS_CACERT": entry["cacert"]}
    assert changed(play("converge.yml", "--tags", "preflight", environ=login, site_cloud=""), HOST) == 0


def test_another_machine_keeps_volume_address_and_data(lab):
    before, address, keys = parts(lab), variables(HOST)["ansible_host"], (INVENTORY / "host_vars" / HOST / "ssh_known_hosts.txt").read_text()
    device = f"/dev/disk/by-id/virtio-{before['volumes'][0][:20]}"
    run(HOST, f"echo precious | sudo dd of={device} bs=512 seek=2048 conv=sync,notrunc,fsync")
    assert changed(play("rebuild.yml"), HOST) >= 2, "the machine, and its host keys"
    after = parts(lab)
    assert after["servers"] != before["servers"] and {**after, "servers": 0} == {**before, "servers": 0}
    assert variables(HOST)["ansible_host"] == address
    assert (INVENTORY / "host_vars" / HOST / "ssh_known_hosts.txt").read_text() != keys
    assert run(HOST, f"sudo dd if={device} bs=512 skip=2048 count=1 status=none | head -c 8") == "precious"
    assert changed(play(), HOST) == 0


def test_a_removal_keeps_volume_and_address_and_the_next_run_takes_them_again(lab):
    before = parts(lab)
    done = play("absent.yml")
    assert changed(done, HOST) == 2 and f"Kept: volume {NAME}-data" in words_of(done)
    assert numbers(parts(lab)) == {"servers": 0, "volumes": 1, "ports": 0, "addresses": 1, "groups": 0}
    assert not (INVENTORY / "host_vars" / HOST / "openstack_server.yml").exists()
    assert changed(play("absent.yml"), HOST) == 0
    changed(play(), HOST)
    after = parts(lab)
    assert (after["volumes"], after["addresses"]) == (before["volumes"], before["addresses"])


@pytest.mark.parametrize("first", ["port", "server"])
def test_a_run_that_was_killed_is_finished_by_the_next(lab, first):
    changed(play("absent.yml", destroy=True), HOST)
    assert set(numbers(parts(lab)).values()) == {0}
    items = {"port": lab.network.ports, "server": lab.compute.servers}[first]
    kill_play_when(lambda: ours(items(), HOST), "converge.yml", "--tags", "configure")
    changed(play(), HOST)
    assert numbers(parts(lab)) == ONE, first
    assert changed(play(), HOST) == 0


def test_the_last_word_deletes_data_only_with_the_right_name(lab):
    done = play("absent.yml", destroy=True, confirm="another")
    assert done.returncode and "is 'another': that is not the name of the site" in words_of(done)
    assert numbers(parts(lab)) == ONE
    changed(play("absent.yml", destroy=True), HOST)
    end = time.monotonic() + 30
    while set(numbers(parts(lab)).values()) != {0} and time.monotonic() < end:
        time.sleep(1)
    assert set(numbers(parts(lab)).values()) == {0}
    assert not [pair for pair in lab.compute.keypairs() if pair.name.startswith(f"{NAME}-")]
