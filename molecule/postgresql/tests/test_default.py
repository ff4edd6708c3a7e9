# SPDX-License-Identifier: GPL-3.0-or-later
"""Defaults on Debian 13: a server that nobody reaches from outside, for one system user."""

import json


def sql(host, statement, user="postgres", login="postgres", database="postgres"):
    return host.run(f'runuser -u {user} -- psql -XAtq -U {login} -d {database} -c "{statement}"')


def test_no_tcp_listener(host):
    listeners = [line.split()[3] for line in host.check_output("ss -Hlnt").splitlines()]
    assert not [listener for listener in listeners if listener.endswith(":5432")]
    owners = host.check_output("awk '$4 == \"0A\" {print $8}' /proc/net/tcp /proc/net/tcp6").split()
    assert host.check_output("id -u postgres") not in owners, "a process of PostgreSQL listens on TCP"


def test_data_is_below_the_state_directory(host):
    assert sql(host, "show data_directory").stdout.strip() == "/var/lib/labtrack/postgresql/17/labtrack"
    data = host.file("/var/lib/labtrack/postgresql/17/labtrack")
    assert (data.user, oct(data.mode)) == ("postgres", "0o700")
    assert host.check_output("pg_lsclusters -h | wc -l") == "1", "the package made a cluster of its own"
    assert sql(host, "show data_checksums").stdout.strip() == "on"


def test_databases(host):
    rows = sql(host, "select datname, pg_get_userbyid(datdba), pg_encoding_to_char(encoding) from pg_database order by 1").stdout.split()
    assert "mlflowauth|mlflowdb|UTF8" in rows
    assert "mlflowdb|mlflowdb|UTF8" in rows


def test_peer_authentication(host):
    host.run("id mlflow || useradd --system mlflow")
    for database in ("mlflowdb", "mlflowauth"):
        done = sql(host, "create table t (a int); insert into t values (7); select a from t; drop table t", "mlflow", "mlflowdb", database)
        assert done.stdout.strip() == "7", done.stderr
    for user, login, database in (
        ("nobody", "mlflowdb", "mlflowdb"),
        ("root", "mlflowdb", "mlflowdb"),
        ("mlflow", "postgres", "postgres"),
        ("mlflow", "mlflowdb", "postgres"),
        ("nobody", "postgres", "postgres"),
    ):
        assert sql(host, "select 1", user, login, database).rc != 0, (user, login, database)


def test_the_owner_has_no_other_rights(host):
    flags = sql(host, "select rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls from pg_roles where rolname = 'mlflowdb'")
    assert flags.stdout.strip() == "f|f|f|f|f"


def test_settings_are_in_effect(host):
    settings = dict(line.split("|", 1) for line in sql(host, "select name, current_setting(name) from pg_settings").stdout.splitlines() if "|" in line)
    memory_mb = int(host.check_output("awk '/MemTotal/ {print int($2 / 1024)}' /proc/meminfo"))
    budget = max(memory_mb // 2 // 256 * 256, 256)
    shown = int(sql(host, "select setting::bigint * 8 / 1024 from pg_settings where name = 'shared_buffers'").stdout)
    assert shown == min(max(budget // 4, 128), 8192)
    assert settings["wal_compression"] == "lz4"
    assert settings["autovacuum_vacuum_insert_scale_factor"] == "0.05"
    assert settings["max_connections"] == "200"
    assert settings["ssl"] == "off"
    assert sql(host, "select count(*) from pg_settings where pending_restart").stdout.strip() == "0"
    assert sql(host, "select count(*) from pg_stat_statements").rc == 0


def test_no_value_of_a_statement_in_the_log(host):
    for statement in (
        "create user canary password 'canary-secret-1'; drop user canary",
        "create table u (name text primary key); insert into u values ('canary-secret-2'); insert into u values ('canary-secret-2')",
        "drop table u",
    ):
        sql(host, statement)
    assert "canary-secret" not in host.check_output("cat /var/log/postgresql/*.log")
    stored = sql(host, "select count(*) from pg_stat_statements where query like '%canary-secret' || '-%'").stdout.strip()
    assert stored == "0"


def test_a_killed_server_comes_back(host):
    before = host.check_output("systemctl show -P MainPID postgresql@17-labtrack")
    host.check_output(f"kill -9 {before}")
    back = "systemctl is-active -q postgresql@17-labtrack && [ $(systemctl show -P MainPID postgresql@17-labtrack) != 0 ]"
    wait = f"until {back}; do read -rt 0.5 <> <(:) || :; done"
    back = host.run(f"timeout 60 bash -c '{wait}'")
    assert back.rc == 0, host.check_output("journalctl -u postgresql@17-labtrack --no-pager | tail -30")
    assert host.check_output("systemctl show -P MainPID postgresql@17-labtrack") != before
    assert sql(host, "select 1").stdout.strip() == "1"


def test_start_at_boot(host):
    assert host.service("postgresql@17-labtrack").is_enabled
    assert json.loads(sql(host, "select json_agg(error) from pg_hba_file_rules where error is not null").stdout.strip() or "null") is None
