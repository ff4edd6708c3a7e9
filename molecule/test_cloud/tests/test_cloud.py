# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cloud does for the collection: servers, filters, volumes that outlive servers, keys for buckets."""

from __future__ import annotations

import socket

import pytest
from servers import NAME, floating_ip, reached, shell

OTHER_PORT = 8081
SECOND = "lt-cloud-second"
BUCKET = "lt-cloud-same-name"


@pytest.fixture(scope="module")
def lab(connect):
    """The first lab, with an application credential."""
    return connect("lab-a-app")


@pytest.fixture(scope="module")
def address(lab):
    """Public address of the server that converge.yml made."""
    return floating_ip(lab, NAME)


def test_user_data_and_config_drive(address):
    """cloud-init has done what the user data say, from the config drive."""
    assert shell(address, "cloud-init status --wait >/dev/null; sudo cat /etc/from-user-data") == "hello"
    assert "ConfigDrive" in shell(address, "cloud-id --long; cat /run/cloud-init/result.json")


def test_the_server_reaches_the_store_and_package_mirrors(address, variables):
    """By the router, with names from the cloud's DNS."""
    endpoint = variables["testbed_cloud_s3_endpoint"]
    script = f"import ssl,urllib.request as r; print(r.urlopen('{endpoint}', context=ssl._create_unverified_context(), timeout=10).status)"
    assert shell(address, f'python3 -c "{script}"').strip() == "200"
    assert "Candidate" in shell(address, "sudo apt-get update -qq && apt-cache policy nginx")


def test_a_port_that_no_rule_opens_is_closed(lab, address):
    """A listening program is not reached, until a rule opens its port."""
    shell(address, f"sudo systemd-run --quiet --collect --unit=listener python3 -m http.server {OTHER_PORT}")
    shell(address, f"python3 -c \"import socket; socket.create_connection(('127.0.0.1', {OTHER_PORT}), 2)\"", seconds=10)
    with pytest.raises(TimeoutError):
        socket.create_connection((address, OTHER_PORT), 3)
    group = lab.network.find_security_group(NAME)
    rule = lab.network.create_security_group_rule(
        security_group_id=group.id, direction="ingress", ether_type="IPv4", protocol="tcp", port_range_min=OTHER_PORT, port_range_max=OTHER_PORT
    )
    try:
        assert reached(address, OTHER_PORT, seconds=20), "the rule did not open the port"
    finally:
        lab.network.delete_security_group_rule(rule)
    shell(address, "sudo systemctl stop listener")


@pytest.mark.parametrize("cloud", ["lab-a-app", "lab-a-app-restricted"])
def test_application_credentials_get_no_key(create_key, cloud):
    """As on a cloud with the fixes of 2026."""
    answer = create_key(cloud)
    assert answer.status_code == 403
    assert "Delegated tokens" in answer.json()["error"]["message"]


def test_projects_have_bucket_names_of_their_own(s3):
    """Two labs have a bucket of the same name, each with its own content."""
    clients = {cloud: s3(cloud) for cloud in ("lab-a", "lab-b")}
    for cloud, client in clients.items():
        client.create_bucket(Bucket=BUCKET)
        client.put_object(Bucket=BUCKET, Key="whose", Body=cloud.encode())
    for cloud, client in clients.items():
        assert client.get_object(Bucket=BUCKET, Key="whose")["Body"].read().decode() == cloud
        assert BUCKET in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]
        client.delete_object(Bucket=BUCKET, Key="whose")
        client.delete_bucket(Bucket=BUCKET)


def test_a_mounted_volume_is_not_detached(lab, address):
    """The cloud cannot pull it away from under a program."""
    server, volume = lab.compute.find_server(NAME), lab.block_storage.find_volume(NAME)
    assert shell(address, "cat /srv/data/file") == "kept"
    lab.compute.delete_volume_attachment(server, volume)
    assert lab.block_storage.wait_for_status(volume, "in-use", failures=["available", "error"], wait=30)
    assert shell(address, "cat /srv/data/file") == "kept"


def test_data_survive_the_server(lab, address, variables):
    """The server is deleted; a second one finds the data, under the volume's id."""
    volume = lab.block_storage.find_volume(NAME)
    lab.delete_server(NAME, wait=True, delete_ips=False)
    lab.block_storage.wait_for_status(lab.block_storage.get_volume(volume.id), "available", wait=30)
    image, flavor = variables["testbed_cloud_image"], variables["testbed_cloud_flavor"]
    server = lab.create_server(
        SECOND, image, flavor, network="def-lab-a-network", key_name=NAME, security_groups=[NAME], auto_ip=False, ips=[address], volumes=[volume.id], wait=True
    )
    assert server.status == "ACTIVE"
    command = f"sudo mount /dev/disk/by-id/virtio-{volume.id[:20]} /mnt && cat /mnt/file && sudo umount /mnt"
    assert shell(address, command, seconds=60) == "kept"
