# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever happens to an upgrade before its end: the old version serves, nothing that was acknowledged is lost, and a repeat converges."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time

import pytest
from testbed.engine import ROOT
from testbed.upgrades import Instance, Writing

DATABASES = ["mlflowdb", "mlflowauth", "minordb", "minorauth", "legacydb", "legacyauth"]
SETTINGS = {
    "site_name": "upgrade",
    "site_fqdn": "mlflow.labtrack.test",
    "tracking_server_artifacts_mode": "local",
    "tracking_server_api_workers": 1,
    "postgresql_databases": [{"name": name, "owner": "mlflowdb", "system_user": "mlflow"} for name in DATABASES],
}
ORDER = "/run/labtrack-test-kill"
# the program that each step of the rehearsal runs
REHEARSAL = ["pg_dump", "initialise", "pg_restore", "migrate", "systemd-run"]
WINDOW = ["stop", "close", "copy", "migrate", "check", "swap", "link", "start"]
OLD, NEW = "3.16.1", "3.17.2"


@pytest.fixture
def instance(host) -> Instance:
    return Instance(host, SETTINGS)


@pytest.fixture(scope="module")
def prepared():
    """The request of an upgrade that was rehearsed once; each switch may be tried again with it."""
    return {}


def command_of(instance: Instance, action: str, **more: str) -> list[str]:
    """The module, as the role calls it."""
    releases = instance.host.check_output(f"ls {instance.program_dir}/releases").split()
    arguments = {
        "action": action, "unit": instance.unit, "serving": instance.unit, "release": next(name for name in releases if name.startswith(NEW)),
        "running": next(name for name in releases if name.startswith(OLD)), "program_dir": instance.program_dir,
        "config_dir": "/etc/labtrack/mlflow/main", "state_dir": instance.state_dir, "user": "mlflow", "owner": "mlflowdb",
        "databases": {"tracking": "mlflowdb", "auth": "mlflowauth"}, "credentials_file": f"{instance.state_dir}/admin_credentials",
        "artifacts_dir": f"{instance.state_dir}/artifacts", **more,
    }  # fmt: skip
    return instance.command("ansible", "all", "-m", "labtrack.mlflow.mlflow_upgrade", "-a", json.dumps(arguments))


def ask(instance: Instance, action: str, **more: str) -> dict:
    """Its answer."""
    command = command_of(instance, action, **more)
    done = subprocess.run(command, cwd=ROOT, env={**instance.environment(), "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"}, capture_output=True, text=True)
    return json.loads(done.stdout[done.stdout.index("{") :])


def rehearsed(instance: Instance, prepared: dict) -> str:
    """An id with which to switch. The playbook brings release and program, and is stopped before it switches."""
    if "id" not in prepared:
        until(instance.begin("upgrade"), "Switch, while requests wait", kill=True)
        settle(instance)
        if instance.release() == NEW:  # the unit was faster
            ask(instance, "rollback")
        prepared["id"] = ask(instance, "rehearse")["id"]
    return prepared["id"]


def until(process: subprocess.Popen, text: str, *, kill: bool) -> str:
    """Read a playbook's output up to a text, then kill it with all its children."""
    output = []
    for line in process.stdout:
        output.append(line)
        if text in line:
            break
    else:
        pytest.fail(f"it ended before '{text}':\n{''.join(output)[-3000:]}")
    if kill:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return "".join(output)


def settle(instance: Instance) -> None:
    """The program's unit has ended, whatever became of it."""
    instance.host.check_output(f"timeout 300 sh -c 'while systemctl is-active -q {instance.unit}-upgrade; do sleep 0.2; done'")
    instance.host.check_output(f"timeout 300 sh -c 'until systemctl is-active -q {instance.unit}; do sleep 0.2; done'")


def expect_old(instance: Instance, writing: Writing) -> None:
    """The old version serves, in a state from which everything goes on."""
    settle(instance)
    writing.wait_for(10)
    assert instance.release() == OLD
    assert instance.sql("select datname from pg_database where not datallowconn and datname in ('mlflowdb', 'mlflowauth')") == []
    assert not instance.host.file(ORDER).exists, "nothing was killed"
    assert json.loads(instance.host.check_output(f"cat {instance.state_dir}/upgrade/journal.json"))["step"] in ("reverted", "done", "")


@pytest.mark.parametrize("step", REHEARSAL)
def test_the_rehearsal_is_killed(instance, prepared, step):
    rehearsed(instance, prepared)
    instance.host.check_output(f"echo rehearsal-{step} > {ORDER}")
    with Writing(instance) as writing:
        assert "was killed" in ask(instance, "rehearse")["msg"]
        expect_old(instance, writing)
    assert writing.summary["failed"] == 0 and writing.lost() == []


@pytest.mark.parametrize("step", WINDOW)
def test_the_switch_is_killed(instance, prepared, step):
    name = rehearsed(instance, prepared)
    instance.host.check_output(f"echo {step} > {ORDER}")
    with Writing(instance) as writing:
        assert "was killed" in ask(instance, "switch", id=name)["msg"]
        expect_old(instance, writing)
    print(step, writing.summary)
    assert writing.summary["failed"] == 0 and writing.lost() == []


def test_a_migration_that_fails_in_the_rehearsal_costs_no_downtime(instance):
    instance.sql("create table sql_trace_metric_daily_rollups (conflict int)")
    with Writing(instance) as writing:
        output = instance.play("upgrade", fails=True)
        expect_old(instance, writing)
    instance.sql("drop table sql_trace_metric_daily_rollups")
    assert "sql_trace_metric_daily_rollups" in output and "already exists" in output
    assert writing.summary["failed"] == 0 and writing.summary["longest_seconds"] < 10 and writing.lost() == []


def test_an_index_that_is_missing_afterwards_is_an_error(instance):
    definition = instance.sql("select indexdef from pg_indexes where indexname = 'index_metrics_run_uuid'")[0]
    instance.sql("drop index index_metrics_run_uuid")
    with Writing(instance) as writing:
        output = instance.play("upgrade", fails=True)
        expect_old(instance, writing)
    instance.sql(definition)
    assert "parts of the schema are missing after the migration" in output and "index metrics USING btree run_uuid" in output
    assert writing.lost() == []


def test_a_migration_that_fails_in_the_switch(instance, prepared):
    name = rehearsed(instance, prepared)
    instance.sql("create table sql_trace_metric_daily_rollups (conflict int)")
    with Writing(instance) as writing:
        assert "already exists" in ask(instance, "switch", id=name)["msg"]
        expect_old(instance, writing)
    instance.sql("drop table sql_trace_metric_daily_rollups")
    assert writing.summary["failed"] == 0 and writing.lost() == []


def test_a_release_that_does_not_start(instance, prepared):
    name = rehearsed(instance, prepared)
    program = f"{instance.program_dir}/releases/{NEW}-*/server/application.py"
    instance.host.check_output(f"echo 'raise RuntimeError(1234321)' | tee -a {program}")
    with Writing(instance) as writing:
        assert "RuntimeError: 1234321" in ask(instance, "switch", id=name)["msg"]
        expect_old(instance, writing)
    instance.host.check_output(f"sed -i '$d' {program}")
    assert writing.summary["failed"] == 0 and writing.lost() == []


@pytest.mark.parametrize("step", ["migrate", "start"])
def test_the_machine_is_restarted(instance, prepared, step):
    name, host = rehearsed(instance, prepared), instance.host
    host.check_output(f"echo pause-{step} > {ORDER}")
    with Writing(instance) as writing:
        switching = subprocess.Popen(command_of(instance, "switch", id=name), cwd=ROOT, env=instance.environment(), stdout=subprocess.DEVNULL)
        host.check_output(f"timeout 300 sh -c 'while [ -e {ORDER} ]; do sleep 0.2; done'")
        subprocess.run(["docker", "restart", "-t", "0", host.backend.host], check=True, capture_output=True)
        switching.wait()
        end = time.monotonic() + 180
        while host.run(f"systemctl is-active {instance.unit}").stdout.strip() != "active":
            assert time.monotonic() < end, host.run(f"journalctl -b -u {instance.unit} -n 40").stdout
            time.sleep(0.5)
    settle(instance)
    assert instance.release() == OLD and writing.lost() == []


@pytest.mark.parametrize("task", ["Rehearse on copies", "Switch, while requests wait"])
def test_the_playbook_is_killed(instance, task):
    """In the rehearsal nothing happens any more. A switch that has begun goes on to its end: either version serves then."""
    with Writing(instance) as writing:
        until(instance.begin("upgrade"), f"upgrade | {task}", kill=True)
        settle(instance)
        writing.wait_for(10)
    assert writing.summary["failed"] == 0 and writing.lost() == []
    assert instance.release() in (OLD, NEW)
    if task.startswith("Rehearse"):
        assert instance.release() == OLD


def test_a_repeat_converges(instance):
    with Writing(instance) as writing:
        instance.play("upgrade")
        writing.wait_for(20)
    assert instance.release() == NEW
    assert writing.summary["failed"] == 0 and writing.lost() == []
    assert instance.sql("select datname from pg_database where datname like '%_next'") == []
