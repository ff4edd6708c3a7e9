# SPDX-License-Identifier: GPL-3.0-or-later
"""Destroy a site that has data, bring it back, destroy it with its data, begin anew. The tests go on from each other."""

from __future__ import annotations

import base64
import configparser
import json
import os
import re
import ssl
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

# pytest would put tests that do not ask for the machine behind those that do
pytestmark = pytest.mark.usefixtures("host")
ROOT = Path(__file__).resolve().parents[3]
INVENTORY = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory" / "hosts.yml"
SITE = json.loads(INVENTORY.read_text(encoding="utf-8"))["all"]["hosts"]["mlflow"]
ALL_DATA = ["-e", "destroy_data=true", "-e", f"destroy_confirm={SITE['site_name']}"]
CONTENT = b"an artifact that outlives the services"
SERVICES = [
    "nginx.service",
    "labtrack-mlflow-main.service",
    "labtrack-mlflow-main.socket",
    "postgresql@17-labtrack.service",
    "ceph-radosgw@rgw.main.service",
    "ceph-osd@0.service",
    "ceph-mon@main.service",
    "labtrack-certificate.timer",
]
GONE = [
    "/opt/labtrack",
    "/etc/labtrack/tls",
    "/etc/labtrack/mlflow",
    "/etc/ceph/ceph.conf",
    "/etc/postgresql/17/labtrack",
    "/etc/nginx/conf.d/00-labtrack.conf",
]
DATA = ["postgresql/17/labtrack/PG_VERSION", "object_store_server/bootstrapped", "mlflow/main/keys", "mlflow/main/admin_credentials", "certificate/ca.key"]


def play(name: str, *options: str) -> subprocess.CompletedProcess[str]:
    """A playbook with the example inventory and the scenario's own, as a lab admin runs it."""
    tool = Path(sys.executable).parent / "ansible-playbook"
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
    command = [str(tool), name, "-i", "inventories/example_single_vm", "-i", str(INVENTORY), *options]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def changes(done: subprocess.CompletedProcess[str]) -> int:
    """How many tasks of a successful run changed something."""
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    return int(re.search(r"^mlflow\s+: ok=\d+\s+changed=(\d+)", done.stdout, re.M).group(1))


def ask(host, path: str, body: bytes | None = None, method: str | None = None) -> bytes:
    """MLflow's answer to the first administrator, over verified TLS from outside."""
    with host.sudo():
        context = ssl.create_default_context(cadata=host.file("/etc/labtrack/tls/ca.pem").content_string)
        login = configparser.ConfigParser(interpolation=None)
        login.read_string(host.file("/var/lib/labtrack/mlflow/main/admin_credentials").content_string)
    word = f"{login['mlflow']['mlflow_tracking_username']}:{login['mlflow']['mlflow_tracking_password']}"
    headers = {"Authorization": "Basic " + base64.b64encode(word.encode()).decode(), "Content-Type": "application/json"}
    request = urllib.request.Request(f"https://{SITE['testbed_address']}{path}", body, headers, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    with opener.open(request, timeout=60) as answer:
        return answer.read()


def experiments(host) -> set[str]:
    """Names of all experiments."""
    found = ask(host, "/api/2.0/mlflow/experiments/search", b'{"max_results": 100}')
    return {item["name"] for item in json.loads(found)["experiments"]}


def active(host) -> list[str]:
    """Services of the site that run, or would at the next boot."""
    return [name for name in SERVICES if host.run(f"systemctl is-active --quiet {name} || systemctl is-enabled --quiet {name}").succeeded]


def left(host, paths: list[str]) -> list[str]:
    """Those of the paths that are there."""
    with host.sudo():
        return [path for path in paths if host.run(f"test -e {path}").succeeded]


def data(host) -> list[str]:
    """Those of the data that are there."""
    return left(host, [f"/var/lib/labtrack/{name}" for name in DATA])


def test_site_with_data(host):
    changes(play("site.yml"))
    ask(host, "/api/2.0/mlflow/experiments/create", b'{"name": "kept"}')
    ask(host, "/api/2.0/mlflow-artifacts/artifacts/kept/file.txt", CONTENT, "PUT")
    assert active(host) == SERVICES
    assert len(data(host)) == len(DATA)


def test_wrong_name_is_refused_before_a_change(host):
    for options in (["-e", "destroy_data=true"], ["-e", "destroy_data=true", "-e", "destroy_confirm=other"], ["-e", "destroy_data=perhaps"]):
        done = play("playbooks/destroy.yml", *options)
        assert done.returncode == 2, done.stdout[-4000:]
        assert re.search(r"destroy_(data|confirm) is '.*'.*Accepted: .*nothing was changed", done.stdout.replace("\n", " ")), done.stdout
    assert active(host) == SERVICES


def test_check_mode_changes_nothing(host):
    assert changes(play("playbooks/destroy.yml", "--check", *ALL_DATA)) > 5
    assert active(host) == SERVICES
    assert len(data(host)) == len(DATA)


def test_destroy_keeps_the_data(host):
    done = play("playbooks/destroy.yml")
    assert changes(done) > 5
    assert "/var/lib/labtrack/postgresql/17/labtrack (the databases)" in done.stdout
    assert not active(host)
    assert not left(host, GONE)
    assert len(data(host)) == len(DATA)


def test_the_machine_stays_reachable_closed_and_sound(host):
    # nvme-cli, which comes with Ceph, finds no NVMe in a container
    failed = {line.split()[0] for line in host.run("systemctl --failed --plain --no-legend").stdout.splitlines()}
    assert failed <= {"nvmf-autoconnect.service"}
    assert host.service("labtrack-firewall").is_enabled
    with host.sudo():
        assert "policy drop" in host.check_output("nft list ruleset")
        # the container's own resolver is on the loopback interface
        listening = host.check_output("ss -Hlnt 'not src 127.0.0.0/8'")
    assert {line.split()[3].rsplit(":", 1)[1] for line in listening.splitlines()} == {"22"}, listening


def test_second_destroy_changes_nothing():
    assert changes(play("playbooks/destroy.yml")) == 0
    assert changes(play("playbooks/destroy.yml", "--check")) == 0


def test_site_comes_back_with_its_data(host):
    changes(play("site.yml"))
    assert active(host) == SERVICES
    assert "kept" in experiments(host)
    assert ask(host, "/api/2.0/mlflow-artifacts/artifacts/kept/file.txt") == CONTENT


def test_and_then_nothing_is_left_to_do():
    assert changes(play("site.yml")) == 0


def test_told_twice_it_deletes_the_data(host):
    done = play("playbooks/destroy.yml", *ALL_DATA)
    assert changes(done) > 5
    assert not active(host)
    with host.sudo():
        assert not host.check_output("find /var/lib/labtrack -mindepth 1 ! -name lost+found")
    assert changes(play("playbooks/destroy.yml", *ALL_DATA)) == 0


def test_a_new_site_is_empty(host):
    changes(play("site.yml"))
    assert active(host) == SERVICES
    assert experiments(host) == {"Default"}
