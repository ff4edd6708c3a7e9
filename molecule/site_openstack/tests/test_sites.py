# SPDX-License-Identifier: GPL-3.0-or-later
"""Two labs, two projects, one command. The tests go on from each other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from sites import BIOLOGY, LABS, PHYSICS, told_twice
from testbed import client
from testbed.cloud.labs import Lab, changes

BOTH = pytest.mark.parametrize("lab", [PHYSICS, BIOLOGY], ids=lambda lab: lab.name)
READ = """
import hashlib, json, mlflow
client, runs = mlflow.MlflowClient(), {}
for experiment in client.search_experiments():
    for run in client.search_runs([experiment.experiment_id]):
        path = client.download_artifacts(run.info.run_id, "big.bin")
        runs[run.info.run_id] = [run.info.status, len(client.get_metric_history(run.info.run_id, "loss")), hashlib.sha256(open(path, "rb").read()).hexdigest()]
print(json.dumps(runs))
"""
KEPT: dict[str, object] = {}


def resources(lab: Lab) -> dict[str, int]:
    """Everything in the project that a site makes."""
    cloud = LABS.login(lab)
    project = cloud.current_project_id
    ports = [port for port in cloud.network.ports(project_id=project) if not port.device_owner.startswith("network:")]
    groups = [group for group in cloud.network.security_groups(project_id=project) if group.name != "default"]
    return {
        "servers": len([server for server in cloud.compute.servers() if server.name.startswith(lab.name)]),
        "volumes": len([volume for volume in cloud.block_storage.volumes() if volume.name.startswith(lab.name)]),
        "key pairs": len([pair for pair in cloud.compute.keypairs() if pair.name.startswith(lab.name)]),
        "ports": len([port for port in ports if port.name.startswith(lab.name)]),
        "floating IPs": len([ip for ip in cloud.network.ips(project_id=project) if f"labtrack_site={lab.name}" in ip.tags]),
        "security groups": len([group for group in groups if group.name.startswith(lab.name)]),
        "networks": len([net for net in cloud.network.networks(project_id=project) if net.name.startswith(lab.name)]),
        "routers": len([router for router in cloud.network.routers(project_id=project) if router.name.startswith(lab.name)]),
    }


def expected(lab: Lab, **but: int) -> dict[str, int]:
    """One of each; network and router only where the site makes its own."""
    own = int(lab is BIOLOGY)
    names = ("servers", "volumes", "key pairs", "ports", "floating IPs", "security groups")
    return {**dict.fromkeys(names, 1), "networks": own, "routers": own, **{name.replace("_", " ").replace("ips", "IPs"): count for name, count in but.items()}}


def ec2_keys(lab: Lab) -> set[str]:
    """Access keys of the lab's user."""
    cloud = LABS.login(lab)
    reply = cloud.identity.get(f"/users/{cloud.current_user_id}/credentials/OS-EC2")
    return {item["access"] for item in reply.json()["credentials"]}


def key_of(lab: Lab) -> dict[str, str]:
    """The key that the site has recorded."""
    return json.loads((LABS.directory / lab.name / "host_vars" / lab.host / "ec2_credential.txt").read_text(encoding="utf-8"))


def runs(lab: Lab) -> dict[str, list]:
    """Every run of the site, with the checksum of its artifact, as the real client reads them."""
    done = subprocess.run([client.python(), "-c", READ], env=LABS.site(lab).environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_check_mode_promises_two_machines_and_makes_nothing():
    LABS.write()
    found = LABS.play("site.yml", "--check")
    assert changes(found).keys() == {PHYSICS.host, BIOLOGY.host}
    assert set(resources(PHYSICS).values()) == set(resources(BIOLOGY).values()) == {0}


@pytest.mark.parametrize(
    "mistake", [{"site_fqdn": "https://mlflow"}, {"tracking_server_api_threads": 9999}, {"reverse_proxy_https_port": 80}], ids=lambda mistake: [*mistake][0]
)
def test_a_mistake_is_found_before_a_machine_is_made(mistake):
    done = LABS.play("site.yml", "-e", json.dumps(mistake))
    assert done.returncode and "Accepted:" in done.stdout and [*mistake][0] in done.stdout
    assert set(resources(PHYSICS).values()) == set(resources(BIOLOGY).values()) == {0}


def test_one_run_makes_both_sites():
    KEPT["keys before"] = {lab.name: ec2_keys(lab) for lab in LABS.labs}
    assert all(count > 30 for count in changes(LABS.play("site.yml")).values())


@BOTH
def test_the_project_holds_one_of_each(lab):
    assert resources(lab) == expected(lab)


@BOTH
def test_the_site_has_its_own_key_and_bucket(lab):
    (new,) = ec2_keys(lab) - KEPT["keys before"][lab.name]
    assert key_of(lab)["access_key"] == new
    environment = dict(line.split("=", 1) for line in LABS.read(lab, "/etc/labtrack/object_store/environment").splitlines() if "=" in line)
    assert environment["AWS_ACCESS_KEY_ID"] == new
    assert json.loads(LABS.read(lab, "/etc/labtrack/object_store/main.json"))["bucket"] == f"{lab.name}-mlflow"


@BOTH
def test_a_run_is_logged_and_read_back(lab):
    assert "/#/experiments/" in LABS.site(lab).log_and_read_back(20)
    KEPT[lab.name] = runs(lab)
    assert KEPT[lab.name]


@BOTH
def test_only_the_floating_ip_answers_and_only_with_a_login(lab):
    site = LABS.site(lab)
    assert (site.status("/health"), site.status("/api/2.0/mlflow/experiments/search?max_results=1")) == (200, 401)
    assert site.status("/api/2.0/mlflow/experiments/search?max_results=1", login=True) == 200
    for port in (5000, 5432, 7443, 8080):
        assert subprocess.run(["timeout", "2", "bash", "-c", f"</dev/tcp/{site.address}/{port}"], capture_output=True, check=False).returncode


def test_the_second_run_changes_nothing():
    assert changes(LABS.play("site.yml")) == {PHYSICS.host: 0, BIOLOGY.host: 0}


def test_the_report_names_both_sites_with_their_steps():
    report = json.loads(max((LABS.directory / "reports").glob("*-site.json")).read_text(encoding="utf-8"))
    assert {host["host"]: (host["site"], host["outcome"]) for host in report["hosts"]} == {lab.host: (lab.name, "unchanged") for lab in LABS.labs}


def test_a_machine_deleted_behind_our_back_comes_back_with_everything():
    before, cloud = LABS.record(PHYSICS), LABS.login(PHYSICS)
    (server,) = [server for server in cloud.compute.servers() if server.name.startswith(PHYSICS.name)]
    cloud.compute.delete_server(server)
    cloud.compute.wait_for_delete(server)
    counts = changes(LABS.play("site.yml"))
    assert counts[PHYSICS.host] > 30 and counts[BIOLOGY.host] == 0
    after = LABS.record(PHYSICS)
    assert {name: after[name] for name in ("ansible_host", "site_public_address", "site_data_volume_id")} == {
        name: before[name] for name in ("ansible_host", "site_public_address", "site_data_volume_id")
    }
    assert runs(PHYSICS) == KEPT[PHYSICS.name]
    assert resources(PHYSICS) == expected(PHYSICS)


def test_another_key_in_use_and_the_earlier_one_gone():
    before = {lab.name: key_of(lab)["access_key"] for lab in LABS.labs}
    done = LABS.play("playbooks/rotate_credentials.yml", "--limit", BIOLOGY.host)
    assert done.returncode == 0, done.stdout[-4000:]
    assert key_of(BIOLOGY)["access_key"] != before[BIOLOGY.name] and key_of(PHYSICS)["access_key"] == before[PHYSICS.name]
    assert before[BIOLOGY.name] not in ec2_keys(BIOLOGY)
    assert runs(BIOLOGY) == KEPT[BIOLOGY.name]
    assert changes(LABS.play("site.yml", "--limit", BIOLOGY.host)) == {BIOLOGY.host: 0}


def test_destroy_keeps_volume_address_bucket_and_key():
    counts = changes(LABS.play("playbooks/destroy.yml", "--limit", BIOLOGY.host))
    assert counts[BIOLOGY.host]
    assert resources(BIOLOGY) == expected(BIOLOGY, servers=0, ports=0, key_pairs=0, security_groups=0, networks=0, routers=0)
    assert key_of(BIOLOGY)["access_key"] in ec2_keys(BIOLOGY)
    assert resources(PHYSICS) == expected(PHYSICS), "the other site stays"


def test_site_brings_it_back_with_all_data():
    address = LABS.record(BIOLOGY).get("site_public_address")
    changes(LABS.play("site.yml", "--limit", BIOLOGY.host))
    assert runs(BIOLOGY) == KEPT[BIOLOGY.name]
    assert not address or LABS.record(BIOLOGY)["site_public_address"] == address


def test_a_wrong_confirmation_deletes_nothing():
    done = LABS.play("playbooks/destroy.yml", "--limit", BIOLOGY.host, "-e", "destroy_data=true", "-e", "destroy_confirm=physics")
    assert done.returncode and "destroy_confirm" in done.stdout
    assert resources(BIOLOGY) == expected(BIOLOGY)


@BOTH
def test_told_twice_nothing_is_left(lab):
    key, keys = key_of(lab), ec2_keys(lab)
    changes(LABS.play("playbooks/destroy.yml", *told_twice(lab)))
    assert set(resources(lab).values()) == {0}
    assert ec2_keys(lab) == keys - {key["access_key"]}
    assert not (LABS.directory / lab.name / "host_vars" / lab.host / "ec2_credential.txt").exists()
    assert not buckets(lab)


def buckets(lab: Lab) -> list[str]:
    """Names of the project's containers that the site has made, asked with the lab's login and not with the deleted key."""
    return [name for name in (item.name for item in LABS.login(lab).object_store.containers()) if name.startswith(lab.name)]
