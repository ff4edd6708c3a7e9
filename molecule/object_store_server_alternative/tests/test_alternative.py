# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian 12 with everything changed: place, port, address, names, users; and what a second run changes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

CA = "/etc/ssl/store-ca.pem"
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
LAB, GUEST = "lab-access-key:canary-secret-of-the-lab-0123", "guest-access-key:canary/secret+of=the~guest.0123"


@pytest.fixture(scope="module")
def curl(host):
    """Send a signed request without a body; return status and body."""
    host.check_output("command -v curl >/dev/null || apt-get install -y -qq --no-install-recommends curl >/dev/null 2>&1")

    def send(method: str, url: str, user: str) -> tuple[int, str]:
        # curl 7.88 does not send the hash of the body, which S3 wants
        sign = f"--user '{user}' --aws-sigv4 aws:amz:us-east-1:s3 -H 'x-amz-content-sha256: {EMPTY}'"
        command = f"curl -s -X {method} --cacert {CA} --connect-to ::127.0.0.1:8443 {sign} -w '\\n%{{http_code}}' '{url}'"
        body, _newline, status = host.run(command).stdout.rpartition("\n")
        return int(status), body

    return send


def test_users_have_their_names(curl):
    assert "<DisplayName>The lab</DisplayName>" in curl("GET", "https://store.lab.test:8443/", LAB)[1]
    assert "<ID>guest</ID>" in curl("GET", "https://store.lab.test:8443/", GUEST)[1]


def test_users_do_not_see_each_other(curl):
    assert curl("PUT", "https://store.lab.test:8443/of-the-lab", LAB)[0] == 200
    assert curl("GET", "https://store.lab.test:8443/of-the-lab", GUEST)[0] == 403


def test_buckets_are_host_names(curl):
    status, body = curl("GET", "https://of-the-lab.store.lab.test:8443/", LAB)
    assert status == 200 and "<Name>of-the-lab</Name>" in body


def test_only_the_gateway_listens_outside(host):
    listening = [line.split()[3] for line in host.check_output("ss -Hltn").splitlines()]
    outside = [address for address in listening if not address.startswith(("127.", "[::1]")) and not address.endswith(":22")]
    assert outside == ["0.0.0.0:8443"]


def test_everything_is_on_the_volume(host):
    assert host.file("/srv/store/ceph/osd/block").size == 6 * 2**30
    assert host.file("/var/lib/ceph/osd/ceph-0").linked_to == "/srv/store/ceph/osd"
    assert not host.file("/var/lib/labtrack/object_store_server").exists
    assert "/srv/store/ceph" in host.check_output("systemctl show -P RequiresMountsFor ceph-osd@0").split()


def play(**extra) -> subprocess.CompletedProcess:
    """Run the scenario's playbook again with other variables."""
    directory, scenario = (Path(os.environ[name]) for name in ("MOLECULE_EPHEMERAL_DIRECTORY", "MOLECULE_SCENARIO_DIRECTORY"))
    command = ["ansible-playbook", "-i", str(directory / "inventory"), str(scenario / "converge.yml"), "-e", json.dumps(extra)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1"})


def test_a_key_is_replaced_and_the_file_grows(host, curl):
    new = {"uid": "lab", "access_key": "lab-access-new", "secret_key": "canary-secret-of-the-lab-4567", "display_name": "The lab"}
    done = play(object_store_server_users=[new], object_store_server_osd_size_gb=7)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "canary" not in done.stdout + done.stderr
    assert curl("GET", "https://store.lab.test:8443/of-the-lab", f"{new['access_key']}:{new['secret_key']}")[0] == 200
    assert curl("GET", "https://store.lab.test:8443/of-the-lab", LAB)[0] == 403, "the old key still works"
    assert curl("GET", "https://store.lab.test:8443/", GUEST)[0] == 200, "a user that is not listed was touched"
    stat = json.loads(host.check_output("ceph osd df --format json"))["nodes"][0]
    assert stat["kb"] == 7 * 2**20
