# SPDX-License-Identifier: GPL-3.0-or-later
"""From two minor versions before and from a 2.20.2 made by hand: everything that was there is there, and nothing that a client writes is lost."""

from __future__ import annotations

import pytest
from testbed.upgrades import Instance, Writing

COMMON = {"site_name": "upgrade", "site_fqdn": "mlflow.labtrack.test", "tracking_server_artifacts_mode": "local", "tracking_server_api_workers": 1}
DATABASES = ["mlflowdb", "mlflowauth", "minordb", "minorauth", "legacydb", "legacyauth"]
COMMON["postgresql_databases"] = [{"name": name, "owner": "mlflowdb", "system_user": "mlflow"} for name in DATABASES]
BY_HAND = {"address": "127.0.0.1:5000", "credentials": "/opt/byhand/credentials"}
# what people would compare, by table
QUERIES = {
    "experiments": "select experiment_id, name, artifact_location, lifecycle_stage from experiments order by 1",
    "runs": "select run_uuid, name, status, start_time, end_time, lifecycle_stage, artifact_uri from runs order by 1",
    "metrics": "select run_uuid, key, value, timestamp, step, is_nan from metrics order by 1, 2, 4, 5, 3",
    "latest_metrics": "select run_uuid, key, value, step from latest_metrics order by 1, 2",
    "params": "select run_uuid, key, value from params order by 1, 2",
    "tags": "select run_uuid, key, value from tags order by 1, 2",
    "models": "select name, version, source, run_id, current_stage from model_versions order by 1, 2",
    "aliases": "select name, alias, version from registered_model_aliases order by 1, 2",
}
CHECKSUM = "select count(*), md5(string_agg(r::text, ';')) from (QUERY) as r"
SEED = "/opt/seed.py"


def instance_of(host, name: str) -> Instance:
    databases = (f"{name}db", f"{name}auth")
    own = {"tracking_server_instance": name, "tracking_server_database_name": databases[0], "tracking_server_auth_database_name": databases[1]}
    return Instance(host, {**COMMON, **own}, name, databases)


def digests(instance: Instance) -> dict[str, tuple[int, str]]:
    """Rows and checksum of each."""
    found = {}
    for name, query in QUERIES.items():
        count, digest = instance.sql(CHECKSUM.replace("QUERY", query))[0].split("|")
        found[name] = (int(count), digest)
    found["users"] = tuple(instance.sql("select username, password_hash, is_admin from users order by 1", instance.databases[1]))
    return found


def seed(instance: Instance, python: str, url: str, password: str, runs: int) -> str:
    """Data by the version that serves; the id of a run."""
    host = instance.host
    host.check_output("test -s /opt/seed.py")
    return host.check_output(f"{python} {SEED} {url} admin '{password}' {runs}").splitlines()[-1]


def read_artifact(instance: Instance, run: str, login: str) -> str:
    """By the version that serves now."""
    experiment = instance.sql("select experiment_id from runs where run_uuid = :'run'", run=run)[0]
    path = f"http://localhost/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run}/artifacts/note.txt"
    return instance.host.check_output(f"curl -sf --unix-socket /run/{instance.unit}/asgi.sock -u '{login}' {path}")


def test_from_a_server_made_by_hand(host):
    instance = instance_of(host, "legacy")
    run = seed(instance, "/opt/byhand/bin/python", "http://127.0.0.1:5000", "a-password-by-hand", 20)
    before = digests(instance)
    with Writing(instance, **BY_HAND) as writing:
        writing.wait_for(20)
    assert before == {**digests(instance), **{name: before[name] for name in ("experiments", "runs", "metrics", "latest_metrics", "tags")}}
    before = digests(instance)
    output = instance.play("upgrade", tracking_server_upgrade_source_unit="byhand", tracking_server_admin_password="a-password-by-hand")
    print(output[output.index("SUMMARY") :])
    assert instance.release() == "3.17.2"
    assert digests(instance) == before
    assert before["metrics"][0] >= 40_000 and len(before["users"]) == 2
    assert writing.lost() == []
    assert read_artifact(instance, run, "reader:the-password-of-reader").startswith("artifact of 19")
    assert host.run("systemctl is-enabled byhand").stdout.strip() == "disabled"
    assert not host.service("byhand").is_running
    with Writing(instance, credentials="/opt/byhand/credentials") as writing:
        writing.wait_for(20)
    assert writing.lost() == []


def test_and_back_to_it(host):
    instance = instance_of(host, "legacy")
    refused = instance.play("rollback", fails=True)
    assert "legacydb.runs: 1 rows written" in refused and "The newest of runs:" in refused
    instance.play("rollback", rollback_confirm="upgrade")
    with Writing(instance, **BY_HAND) as writing:
        writing.wait_for(20)
    assert writing.lost() == []
    assert host.run("systemctl is-enabled byhand").stdout.strip() == "enabled"
    assert not host.service(instance.unit).is_running


def test_from_two_minor_versions_before(host):
    instance = instance_of(host, "minor")
    assert instance.release() == "3.15.2"
    before = digests(instance)
    with Writing(instance) as writing:
        output = instance.play("upgrade")
        writing.wait_for(20)
    print(output[output.index("SUMMARY") :], writing.summary)
    assert instance.release() == "3.17.2"
    assert writing.summary["failed"] == 0 and writing.lost() == []
    assert digests(instance)["users"] == before["users"]


def test_back_two_minor_versions(host):
    instance = instance_of(host, "minor")
    instance.play("rollback", rollback_confirm="upgrade")
    assert instance.release() == "3.15.2"
    with Writing(instance) as writing:
        writing.wait_for(20)
    assert writing.summary["failed"] == 0 and writing.lost() == []


@pytest.mark.parametrize("name", ["minor", "legacy"])
def test_and_once_more(host, name):
    instance = instance_of(host, name)
    more = {"tracking_server_upgrade_source_unit": "byhand"} if name == "legacy" else {}
    instance.play("upgrade", **more)
    assert instance.release() == "3.17.2"
