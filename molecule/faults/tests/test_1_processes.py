# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes that die: the service comes back by itself."""

from __future__ import annotations

UNIT = "labtrack-mlflow-main"


def main_process(machine, unit: str) -> str:
    return machine.sh(f"systemctl show -p MainPID --value {unit}")


def test_a_worker_of_mlflow_is_killed(scene, machine):
    with scene("kill -9 of an MLflow worker"):
        machine.sh(f"pkill -9 --oldest -P {main_process(machine, UNIT)}")


def test_all_of_mlflow_is_killed(scene, machine):
    with scene("kill -9 of MLflow (master and workers)"):
        machine.sh(f"systemctl kill -s KILL {UNIT}.service")


def test_nginx_is_killed(scene, machine):
    with scene("kill -9 of nginx"):
        machine.sh("pkill -9 nginx")


def test_the_master_of_nginx_is_killed(scene, machine):
    with scene("kill -9 of nginx's master alone"):
        machine.sh(f"kill -9 {main_process(machine, 'nginx')}")


def test_a_process_of_postgresql_is_killed(scene, machine):
    with scene("kill -9 of a PostgreSQL backend"):
        machine.sh("pkill -9 --newest -f '[p]ostgres:.*mlflowdb'")


def test_postgresql_is_killed(scene, machine):
    with scene("kill -9 of PostgreSQL (postmaster)"):
        machine.sh("kill -9 $(head -1 /var/lib/labtrack/postgresql/17/labtrack/postmaster.pid)")


def test_the_machine_loses_its_power(scene, machine):
    with scene("power-off of the machine") as now:
        machine.power_off()
        try:
            now.failure("metrics")
        finally:
            machine.power_on()
        now.over("power on")
