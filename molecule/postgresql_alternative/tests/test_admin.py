# SPDX-License-Identifier: GPL-3.0-or-later
"""An administrator's login on the external server: what is missing there is created, once."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import testinfra

CONVERGE = Path(__file__).parent.parent / "converge.yml"
INVENTORY = str(Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory")
CLIENT = testinfra.get_host("docker://lt-postgresql-client")
SERVER = testinfra.get_host("docker://lt-postgresql-server")
HBA = "/etc/postgresql/15/labtrack/pg_hba.conf"
PASSWORD = "another-horse-and-staple"
SITE = {
    "site_database_name": "thirddb",
    "site_database_user": "third",
    "site_database_password": PASSWORD,
    "site_auth_database_name": "thirdauth",
    "postgresql_admin_user": "dba",
    "postgresql_admin_password": "dba-horse-and-staple",
}


def sql(statement):
    return SERVER.check_output(f'runuser -u postgres -- psql -XAtq -p 5433 -c "{statement}"')


@pytest.fixture(scope="module", autouse=True)
def _administrator():
    """A role as managed services give it: no superuser, but CREATEDB and CREATEROLE."""
    address = CLIENT.check_output("hostname -i").split()[0]
    SERVER.check_output(f"cp -p {HBA} {HBA}.before")
    sql("create role dba login createdb createrole password 'dba-horse-and-staple'")
    SERVER.check_output(f"printf 'hostssl all dba,third {address}/32 scram-sha-256\\n' >>{HBA}")
    sql("select pg_reload_conf()")
    yield
    for name in ("thirddb", "thirdauth"):
        sql(f"drop database if exists {name}")
    sql("drop role if exists third")
    sql("drop role dba")
    SERVER.check_output(f"mv {HBA}.before {HBA}")
    sql("select pg_reload_conf()")


def converge(**changes):
    command = ["ansible-playbook", "-i", INVENTORY, "--limit", "lt-postgresql-client", str(CONVERGE)]
    command += ["-e", json.dumps({**SITE, **changes})]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "ANSIBLE_FORCE_COLOR": "0"})
    assert PASSWORD not in done.stdout
    return done.returncode, " ".join(done.stdout.split())


def test_refused_without_or_with_a_wrong_administrator():
    code, output = converge(postgresql_admin_user="")
    assert code != 0
    assert "the password of user 'third' is refused, or there is no such user" in output
    code, output = converge(postgresql_admin_password="wrong-password-12")
    assert code != 0
    assert "the password of user 'dba' is refused" in output
    assert sql("select count(*) from pg_roles where rolname = 'third'") == "0"


def test_creates_what_is_missing_once():
    code, output = converge()
    assert code == 0, output
    created = sql("select datname, pg_get_userbyid(datdba) from pg_database where datname like 'third%' order by 1").split()
    assert created == ["thirdauth|third", "thirddb|third"]
    code, output = converge()
    assert code == 0
    assert "changed=0" in output


def test_a_user_that_exists_keeps_its_password():
    code, output = converge(site_database_password="a-third-horse-and-staple")
    assert code != 0
    assert "the password of user 'third' is refused" in output
