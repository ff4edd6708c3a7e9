# SPDX-License-Identifier: GPL-3.0-or-later
"""The store with the defaults: who can reach it, what it keeps, what it needs, what survives."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

MACHINE = "lt-object-store-server"
ENDPOINT = f"https://{MACHINE}:7443"
CA = "/etc/labtrack/tls/ca.pem"
DATA = "/var/lib/labtrack/object_store_server"
ACCESS, SECRET = "mlflow-canary-access", "canary+/secret=0123456789abcdef"
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
UNITS = ["ceph-mon@main", "ceph-mgr@main", "ceph-osd@0", "ceph-radosgw@rgw.main"]


@pytest.fixture(scope="module")
def curl(host):
    """Send a signed request with curl; return status and body."""
    host.check_output("command -v curl >/dev/null || apt-get install -y -qq --no-install-recommends curl >/dev/null 2>&1")

    def send(method: str, path: str, more: str = "", user: str = f"{ACCESS}:{SECRET}") -> tuple[int, str]:
        sign = f"--user '{user}' --aws-sigv4 aws:amz:us-east-1:s3" if user else ""
        command = f"curl -s -X {method} --cacert {CA} --connect-to ::127.0.0.1:7443 {sign} {more} -w '\\n%{{http_code}}' '{ENDPOINT}{path}'"
        body, _newline, status = host.run(command).stdout.rpartition("\n")
        return int(status), body

    return send


def wait_until_up(host) -> None:
    """Until the gateway serves its user; the store's own readiness, as a client sees it."""
    retry = "--retry 90 --retry-delay 1 --retry-connrefused --retry-all-errors"
    done = host.run(f"curl -s -o /dev/null --cacert {CA} --connect-to ::127.0.0.1:7443 {retry} {ENDPOINT}")
    assert done.rc == 0, host.run("journalctl -n 40 -u ceph-radosgw@rgw.main -u ceph-osd@0").stdout


def test_round_trip(curl):
    assert curl("PUT", "/kept")[0] == 200
    assert curl("PUT", "/kept/thesis", "--data-binary 'years of work'")[0] == 200
    assert curl("GET", "/kept/thesis") == (200, "years of work")


def test_nobody_else_gets_in(curl):
    assert curl("GET", "/kept/thesis", user="")[0] == 403
    assert curl("GET", "/kept/thesis", user=f"{ACCESS}:not-the-secret-0123456789")[0] == 403
    assert curl("GET", "/kept/thesis", user=f"nobody-at-all:{SECRET}")[0] == 403


def test_tls_is_verified_and_new(host):
    assert host.run(f"curl -s --connect-to ::127.0.0.1:7443 {ENDPOINT}").rc == 60, "served with a certificate of an unknown CA"
    assert host.run(f"curl -s --cacert {CA} --connect-to ::127.0.0.1:7443 --tls-max 1.1 {ENDPOINT}").rc == 35
    assert host.run("curl -s http://127.0.0.1:7443/").rc != 0


def test_nothing_listens_outside(host):
    listening = [line.split()[3] for line in host.check_output("ss -Hltn").splitlines()]
    assert [address for address in listening if not address.startswith(("127.", "[::1]", "0.0.0.0:22", "[::]:22"))] == []


def test_secrets_are_in_no_command_line_log_or_unit(host):
    units = "cat /etc/systemd/system/ceph-*/* /etc/ceph/ceph.conf /var/lib/labtrack-config/*"
    for place in ("cat /proc/[0-9]*/cmdline", "journalctl --no-pager", units):
        assert "canary+/secret" not in host.run(f"sh -c '{place}'").stdout
    assert host.file(DATA).mode == 0o750
    for name in ("admin.keyring", "rgw/keyring", "osd/keyring", "mgr/keyring", "mon/keyring"):
        assert host.file(f"{DATA}/{name}").mode & 0o077 == 0
    assert not host.file(f"{DATA}/initial.keyring").exists


def test_the_gateway_reads_the_key_through_the_group(host):
    assert host.file("/etc/labtrack/tls/privkey.pem").mode == 0o640
    pid = host.check_output("systemctl show -P MainPID ceph-radosgw@rgw.main")
    assert "ceph" in host.check_output(f"stat -c %U /proc/{pid}")


def test_memory_has_a_ceiling(host):
    assert host.check_output("systemctl show -P MemoryMax labtrack-object_store_server.slice") == str(3072 * 2**20)
    for unit in UNITS:
        assert host.check_output(f"systemctl show -P Slice {unit}") == "labtrack-object_store_server.slice"


def test_health(host):
    assert json.loads(host.check_output("ceph health --format json"))["status"] == "HEALTH_OK"


def test_a_new_certificate_is_served_by_itself(host, curl):
    before = host.check_output("openssl x509 -in /etc/labtrack/tls/fullchain.pem -noout -serial")
    host.check_output(
        f"cd /etc/labtrack/tls && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN={MACHINE}"
        f" -addext subjectAltName=DNS:{MACHINE} -keyout new.key -out new.pem 2>/dev/null"
        " && cat new.key > privkey.pem && cat new.pem > ca.pem && cat new.pem > fullchain.pem && rm new.key new.pem"
    )
    served = "openssl s_client -connect 127.0.0.1:7443 </dev/null 2>/dev/null | openssl x509 -noout -serial"
    done = host.run(f'timeout 60 bash -c \'until s=$({served}) && [ "$s" ] && [ "$s" != "{before}" ]; do :; done\'')
    assert done.rc == 0, host.run("journalctl -n 40 -u ceph-radosgw@rgw.main").stdout
    wait_until_up(host)
    assert curl("GET", "/kept/thesis") == (200, "years of work")


def test_objects_survive_a_reboot(host, curl):
    subprocess.run(["docker", "restart", "--time", "30", MACHINE], check=True, capture_output=True)
    host.run("systemctl is-system-running --wait")
    wait_until_up(host)
    assert curl("GET", "/kept/thesis") == (200, "years of work")


def play(*extra: str) -> subprocess.CompletedProcess:
    """Run the scenario's playbook again with other variables."""
    directory, scenario = (Path(os.environ[name]) for name in ("MOLECULE_EPHEMERAL_DIRECTORY", "MOLECULE_SCENARIO_DIRECTORY"))
    command = ["ansible-playbook", "-i", str(directory / "inventory"), str(scenario / "converge.yml"), *extra]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1"})


def test_a_machine_built_anew_with_the_data_serves_the_same_objects(host, curl):
    host.check_output("systemctl stop ceph.target && rm -rf /etc/ceph/ceph.conf /etc/systemd/system/ceph* /var/lib/ceph/osd/ceph-0 /var/lib/labtrack-config")
    host.check_output("systemctl daemon-reload")
    done = play()
    assert done.returncode == 0, done.stdout[-3000:]
    assert curl("GET", "/kept/thesis") == (200, "years of work")


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({"object_store_server_port": 6789}, ["object_store_server_port", "6789"]),
        ({"object_store_server_port": 22}, ["object_store_server_port", "22"]),
        ({"object_store_server_bind_address": "192.0.2.1"}, ["object_store_server_bind_address", "192.0.2.1", "no such address"]),
        ({"object_store_server_osd_size_gb": 1}, ["object_store_server_osd_size_gb", "'1'"]),
        ({"object_store_server_osd_size_gb": 10}, ["object_store_server_osd_size_gb", "cannot shrink"]),
        ({"object_store_server_osd_size_gb": 900000, "object_store_server_data_dir": "/srv/other"}, ["object_store_server_data_dir", "somebody else"]),
        ({"object_store_server_osd_memory_mb": 100}, ["object_store_server_osd_memory_mb", "'100'", "896"]),
        ({"object_store_server_osd_device": "/dev/vdb"}, ["object_store_server_osd_device", "/dev/vdb", "/dev/disk/by-id"]),
        ({"object_store_server_osd_device": "/dev/disk/by-id/none"}, ["object_store_server_osd_device", "/dev/disk/by-id/none", "the store is in a file"]),
        ({"object_store_server_users": [{"uid": "x", "access_key": "key-of-x-1", "secret_key": "short"}]}, ["object_store_server_users", "openssl rand"]),
    ],
    ids=[
        "port_of_the_cluster",
        "privileged_port",
        "foreign_address",
        "too_small",
        "shrink",
        "other_data_dir",
        "memory",
        "unstable_name",
        "device_instead_of_file",
        "short_secret",
    ],
)
def test_mistakes_change_nothing(extra, expected):
    done = play("-e", json.dumps(extra))
    text = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0 and "changed=0" in text
    for part in [*expected, "Accepted:"]:
        assert part in text


def test_a_cluster_of_somebody_else_is_refused(host):
    host.check_output("cp /etc/ceph/ceph.conf /root/ceph.conf && sed -i '/Managed by/d' /etc/ceph/ceph.conf")
    done = play()
    host.check_output("cp /root/ceph.conf /etc/ceph/ceph.conf")
    assert done.returncode != 0 and "changed=0" in done.stdout
    assert "Ceph cluster of somebody else (/etc/ceph/ceph.conf)" in " ".join((done.stdout + done.stderr).split())
