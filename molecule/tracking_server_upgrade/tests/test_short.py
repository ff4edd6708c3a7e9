# SPDX-License-Identifier: GPL-3.0-or-later
"""upgrade.yml and rollback.yml while a client writes: nothing that was acknowledged is lost, and no request fails."""

from __future__ import annotations

import pytest
from testbed.upgrades import Instance, Writing

SETTINGS = {"site_name": "upgrade", "site_fqdn": "mlflow.labtrack.test", "tracking_server_artifacts_mode": "local"}
PATIENCE_SECONDS = 120  # MLflow's client waits so long for an answer


@pytest.fixture(scope="module")
def instance_of(request):
    """Made with the first test's host."""
    return {}


@pytest.fixture
def instance(host, instance_of) -> Instance:
    return instance_of.setdefault("main", Instance(host, SETTINGS))


@pytest.fixture(scope="module")
def seen():
    """What one test leaves for the next."""
    return {}


def test_upgrade_while_a_client_writes(instance, seen):
    assert instance.release() == "3.16.1"
    with Writing(instance) as writing:
        output = instance.play("upgrade")
        writing.wait_for(20)
    seen["writing"], record = writing, instance.records()[0]
    print(output[output.index("SUMMARY") :], writing.summary, record["rehearsal_seconds"])
    assert instance.release() == "3.17.2"
    assert writing.summary["failed"] == 0, writing.summary["failures"]
    assert writing.summary["longest_seconds"] < PATIENCE_SECONDS
    assert writing.lost() == []
    assert 0 < record["downtime_seconds"] <= writing.summary["longest_seconds"] + 2
    assert f"downtime: {record['downtime_seconds']} s" in output


def test_old_databases_and_dumps_are_kept(instance, host):
    record = instance.records()[0]
    for dump in record["dumps"]:
        assert host.check_output(f"sha256sum {dump['file']}").split()[0] == dump["sha256"]
        assert host.file(dump["file"]).mode == 0o640
    kept = [swap["outgoing"] for swap in record["swaps"]]
    assert all(instance.sql("select datallowconn from pg_database where datname = :'name'", name=name) == ["f"] for name in kept)
    assert instance.sql("select datname from pg_database where datname like '%_next'") == []


def test_a_second_upgrade_changes_nothing(instance):
    pid = instance.host.check_output("systemctl show -p MainPID --value %s.service", instance.unit)
    assert "changed=0" in instance.play("upgrade")
    assert instance.host.check_output("systemctl show -p MainPID --value %s.service", instance.unit) == pid


def test_rollback_says_what_would_be_lost_and_wants_it_confirmed(instance):
    output = instance.play("rollback", fails=True)
    assert "mlflowdb.metrics:" in output and "rollback_confirm is ''" in output and "-e rollback_confirm=upgrade" in output
    assert instance.release() == "3.17.2"


def test_rollback_keeps_aside_what_it_takes_away(instance, seen):
    output = instance.play("rollback", rollback_confirm="upgrade")
    print(output[output.index("SUMMARY") :])
    assert instance.release() == "3.16.1"
    record = instance.records()[0]
    assert record["rolled_back"]["downtime_seconds"] < PATIENCE_SECONDS
    # all that the newer version had acknowledged is in what is kept aside; all of before the upgrade is served
    aside = record["rolled_back"]["swaps"][0]["outgoing"]
    instance.sql(f"alter database {aside} allow_connections true", "postgres")
    assert seen["writing"].lost(aside) == []
    instance.sql(f"alter database {aside} allow_connections false", "postgres")
    run = instance.host.check_output(f"cat {seen['writing'].folder}/run")
    assert int(instance.sql("select count(*) from metrics where run_uuid = :'run'", run=run)[0]) >= 20


def test_the_earlier_version_takes_writes_again(instance):
    with Writing(instance) as writing:
        writing.wait_for(20)
    assert writing.summary["failed"] == 0 and writing.lost() == []
