# SPDX-License-Identifier: GPL-3.0-or-later
"""A database machine of its own: SCRAM over verified TLS for one client machine, for one user, for its databases."""

import testinfra

CLIENT = testinfra.get_host("docker://lt-postgresql-client")
SERVER = testinfra.get_host("docker://lt-postgresql-server")
PASSWORD = "correct-horse-battery-staple"
HOSTS = "host=absent.labtrack.test,db.labtrack.test port=5433,5433"
GOOD = f"{HOSTS} user=labowner dbname=labdb sslmode=verify-full sslrootcert=/etc/labtrack/tls/database-ca.pem target_session_attrs=read-write"


def psql(machine, options, password=PASSWORD, statement="select 1"):
    return machine.run(f"PGPASSWORD='{password}' PGCONNECT_TIMEOUT=10 psql -XAtq '{options}' -c \"{statement}\"")


def refused(options, message, machine=CLIENT, password=PASSWORD):
    done = psql(machine, options, password)
    assert done.rc != 0, f"{options} was admitted"
    assert message in done.stderr, done.stderr


def test_scram_over_verified_tls():
    done = psql(CLIENT, GOOD, statement="create table t (a int); insert into t values (7); select a from t; drop table t")
    assert done.stdout.strip() == "7", done.stderr
    assert psql(CLIENT, GOOD.replace("dbname=labdb", "dbname=labauth")).rc == 0
    session = psql(CLIENT, GOOD, statement="select version, ssl from pg_stat_ssl where pid = pg_backend_pid()").stdout.strip()
    assert session == "TLSv1.3|t"
    stored = SERVER.check_output("runuser -u postgres -- psql -XAtq -p 5433 -c \"select rolpassword from pg_authid where rolname = 'labowner'\"")
    assert stored.startswith("SCRAM-SHA-256$4096:")


def test_without_tls():
    refused(GOOD.replace("verify-full", "disable"), "no encryption")


def test_wrong_authority():
    refused(GOOD.replace("database-ca.pem", "stranger.pem"), "certificate verify failed")


def test_wrong_name():
    address = SERVER.check_output("hostname -i").split()[0]
    refused(GOOD.replace("absent.labtrack.test,db.labtrack.test port=5433,5433", f"{address} port=5433"), "does not match host name")


def test_wrong_password():
    refused(GOOD, "password authentication failed", password="wrong-password-12")


def test_other_databases_and_users():
    refused(GOOD.replace("dbname=labdb", "dbname=postgres"), "no pg_hba.conf entry")
    refused(GOOD.replace("dbname=labdb", "dbname=seconddb"), "no pg_hba.conf entry")
    refused(GOOD.replace("user=labowner", "user=postgres"), "no pg_hba.conf entry")


def test_other_network():
    """The server's own address is not the client's."""
    refused(GOOD, "no pg_hba.conf entry", machine=SERVER)


def test_second_instance_by_peer_only():
    SERVER.run("id second-mlflow || useradd --system second-mlflow")
    local = "runuser -u {} -- psql -XAtq -p 5433 -U {} -d {} -c 'select 1'"
    assert SERVER.check_output(local.format("second-mlflow", "second", "seconddb")) == "1"
    assert SERVER.run(local.format("second-mlflow", "labowner", "labdb")).rc != 0
    assert SERVER.run(local.format("second-mlflow", "second", "labdb")).rc != 0


def test_listens_on_one_address_only():
    address = SERVER.check_output("hostname -i").split()[0]
    listeners = [line.split()[3] for line in SERVER.check_output("ss -Hlnt").splitlines()]
    assert [listener for listener in listeners if listener.endswith(("5433", "5432"))] == [f"{address}:5433"]


def test_settings_of_the_site_win():
    show = "runuser -u postgres -- psql -XAtq -p 5433 -c 'show {}'"
    expected = {"work_mem": "8MB", "track_io_timing": "on", "statement_timeout": "0", "shared_buffers": "256MB", "max_connections": "150"}
    assert {name: SERVER.check_output(show.format(name)) for name in expected} == expected


def test_the_packages_own_cluster_rests():
    """The package was installed without the role's preparation."""
    lines = [line.split()[:4] for line in SERVER.check_output("pg_lsclusters -h").splitlines()]
    assert ["15", "labtrack", "5433", "online"] in lines
    assert ["15", "main", "5432", "down"] in lines
    assert SERVER.file("/var/lib/postgresql/15/main/PG_VERSION").exists, "its files must stay"
    assert SERVER.check_output("runuser -u postgres -- psql -XAtq -p 5433 -c 'show data_directory'") == "/srv/data/postgresql/15/labtrack"


def test_the_client_has_no_server():
    assert not CLIENT.package("postgresql-15").is_installed
    assert CLIENT.package("postgresql-client-15").is_installed


def test_no_password_in_log_or_files():
    for machine in (CLIENT, SERVER):
        found = machine.run(f"grep -rlF '{PASSWORD}' /etc /var/log /var/lib/labtrack-config")
        assert found.stdout == ""
