# SPDX-License-Identifier: GPL-3.0-or-later
"""The data volume outlives the machine."""

import json
import os
import subprocess
from pathlib import Path

CONVERGE = Path(__file__).parent.parent / "converge.yml"
INVENTORY = str(Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory")


def converge(**variables):
    command = ["ansible-playbook", "-i", INVENTORY, str(CONVERGE), "-e", json.dumps(variables)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "ANSIBLE_FORCE_COLOR": "0"})
    return done.returncode, " ".join(done.stdout.split())


def sql(host, statement):
    return host.check_output(f'runuser -u postgres -- psql -XAtq -d mlflowdb -c "{statement}"')


def test_data_of_an_earlier_machine_is_taken_over(host):
    """Everything of the machine but the data is gone, the server was cut off, and the data belongs to a number that is somebody else here."""
    data = "/var/lib/labtrack/postgresql/17/labtrack"
    sql(host, "create table keepsake (a int); insert into keepsake values (42)")
    identifier = sql(host, "select system_identifier from pg_control_system()")
    host.check_output("systemctl kill --signal=KILL postgresql@17-labtrack && systemctl stop postgresql@17-labtrack")
    host.check_output("rm -r /etc/postgresql /etc/systemd/system/postgresql@17-labtrack.service.d /var/lib/labtrack-config && systemctl daemon-reload")
    host.check_output(f"chown -R 4711:4711 {data}")
    code, output = converge()
    assert code == 0, output
    assert sql(host, "select a from keepsake") == "42"
    assert sql(host, "select system_identifier from pg_control_system()") == identifier
    assert sql(host, "show wal_compression") == "lz4"
    assert host.file(data).user == "postgres"
    sql(host, "drop table keepsake")
    code, output = converge()
    assert "changed=0" in output


def test_data_of_another_version_is_not_ignored(host):
    host.check_output("install -d /srv/other/postgresql/15/labtrack && echo 15 >/srv/other/postgresql/15/labtrack/PG_VERSION")
    code, output = converge(postgresql_data_dir="/srv/other/postgresql/17/labtrack")
    assert code != 0
    assert "holds data of version 15 and none of 17" in output
    assert not host.file("/srv/other/postgresql/17").exists
