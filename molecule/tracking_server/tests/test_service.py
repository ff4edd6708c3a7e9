# SPDX-License-Identifier: GPL-3.0-or-later
"""The service with its defaults, without a proxy: what people do, who gets in, what survives, what it refuses."""

from __future__ import annotations

import json
import re

import pytest

UNIT = "labtrack-mlflow-main"
PROGRAMS = "/opt/labtrack/mlflow/main"
PYTHON = f"{PROGRAMS}/current/bin/python"
CREDENTIALS = "/var/lib/labtrack/mlflow/main/admin_credentials"
ASGI, API = (f"/run/{UNIT}/{name}.sock" for name in ("asgi", "api"))
SEARCH = "http://localhost/api/2.0/mlflow/experiments/search?max_results=1"
MEMORY_MB = 400


@pytest.fixture(autouse=True)
def _journal(host, request):
    """The journal explains a failure."""
    yield
    if request.session.testsfailed:
        print(host.run(f"journalctl -u {UNIT} --no-pager -n 30").stdout)


def status(host, socket: str, url: str = SEARCH, user: str = "www-data", options: str = "") -> str:
    return host.run(f"runuser -u {user} -- curl -s -o /dev/null -m 60 -w '%{{http_code}}' {options} --unix-socket {socket} '{url}'").stdout


def processes(host) -> list[str]:
    group = host.check_output(f"systemctl show -p ControlGroup --value {UNIT}.service")
    return host.check_output(f"cat /sys/fs/cgroup/systemd{group}/cgroup.procs 2>/dev/null || cat /sys/fs/cgroup{group}/cgroup.procs").split()


def sql(host, database: str, statement: str) -> str:
    return host.check_output(f'runuser -u postgres -- psql -XAtq -d {database} -c "{statement}"')


def test_people_log_and_read_back(host):
    answer = json.loads(host.check_output(f"MLFLOW_DISABLE_TELEMETRY=true {PYTHON} /opt/client.py {ASGI} {CREDENTIALS}").splitlines()[-1])
    assert answer["params"] == {"rate": "0.1", "layers": "3"}
    assert (answer["steps"], answer["same"], answer["versions"]) == (10, True, 1)
    assert answer["artifacts"] == ["payload.bin", "sub"]
    assert answer["artifact_uri"].startswith("mlflow-artifacts:/")
    assert answer["foreign_visible"]
    assert "denied" in answer["refused"].lower()


@pytest.mark.parametrize("socket", [ASGI, API])
def test_nobody_gets_in_without_a_login(host, socket):
    assert status(host, socket) == "401"
    assert status(host, socket, options="-u admin:wrong-password") == "401"
    assert status(host, socket, options="-H 'Host: evil.example.org'") == "403"


@pytest.mark.parametrize("name", ["mlflow.labtrack.test", "mlflow.labtrack.test:443"])
def test_the_site_s_names_are_accepted(host, name):
    assert status(host, API, options=f"-H 'Host: {name}'") == "401"
    assert status(host, ASGI, "http://localhost/", options=f"-H 'Host: {name}'") == "401"


@pytest.mark.parametrize("socket", [ASGI, API])
def test_only_the_proxy_may_connect(host, socket):
    assert status(host, socket, user="nobody") == "000"
    assert not [line for line in host.check_output("ss -Hlntp").splitlines() if "python" in line], "MLflow listens on TCP"


def test_secrets_are_in_files_only(host):
    keys = host.check_output("cat /var/lib/labtrack/mlflow/main/keys/*").split()
    password = host.check_output(f"sed -n 's/^mlflow_tracking_password = //p' {CREDENTIALS}")
    assert len(keys) == 3 and len(set(keys)) == 3 and len(password) >= 24
    seen = host.check_output(f"ps axww; systemctl cat {UNIT}.service {UNIT}.socket; journalctl --no-pager -o cat; cat /etc/labtrack/mlflow/main/environment")
    assert not [secret for secret in [*keys, password] if secret in seen]
    assert host.file(CREDENTIALS).mode == 0o600
    for path in ("/etc/labtrack/mlflow/main/database_uri", "/var/lib/labtrack/mlflow/main/keys/kek_passphrase"):
        assert host.run(f"runuser -u nobody -- cat {path}").rc != 0
        assert host.run(f"runuser -u mlflow -- tee {path} < /dev/null").rc != 0


def test_the_unit_is_hardened(host):
    score = re.search(r"exposure level for .*: ([0-9.]+)", host.check_output(f"systemd-analyze security {UNIT}.service --no-pager"))
    assert float(score[1]) <= 1.2
    main = host.check_output(f"systemctl show -p MainPID --value {UNIT}.service")
    state = dict(line.split(":", 1) for line in host.check_output(f"cat /proc/{main}/status").splitlines())
    assert (state["Seccomp"].strip(), state["NoNewPrivs"].strip(), int(state["CapEff"], 16)) == ("2", "1", 0)


def test_a_dead_worker_is_replaced_by_its_like(host):
    before = set(processes(host))
    host.check_output(f"kill -9 {' '.join(before - {host.check_output(f'systemctl show -p MainPID --value {UNIT}.service')})}")
    assert status(host, ASGI, "http://localhost/health", options="--retry 20 --retry-all-errors --retry-delay 1") == "200"
    assert status(host, API, options="--retry 20 --retry-all-errors --retry-delay 1") == "401"
    assert len(processes(host)) == len(before)


def test_a_restart_loses_no_request(host):
    counts = json.loads(host.check_output(f"python3 /opt/load.py 3 {CREDENTIALS} {UNIT}.service {ASGI} {API}"))
    assert counts.pop("200") > 8
    counts.pop("reopened", None)
    assert not counts


def test_memory_after_load(host):
    host.check_output(f"python3 /opt/load.py 8 {CREDENTIALS} '' {ASGI} {API}")
    total = sum(int(host.check_output(f"awk '/^Pss:/ {{print $2}}' /proc/{process}/smaps_rollup")) for process in processes(host))
    print(f"{total // 1024} MB in {len(processes(host))} processes")
    assert total // 1024 <= MEMORY_MB


def test_it_starts_without_a_network(host):
    drop_in = f"/run/systemd/system/{UNIT}.service.d/network.conf"
    host.check_output(f"mkdir -p $(dirname {drop_in}) && printf '[Service]\\nPrivateNetwork=yes\\n' > {drop_in} && systemctl daemon-reload")
    try:
        host.check_output(f"systemctl restart {UNIT}.service")
        assert status(host, API) == "401"
    finally:
        host.check_output(f"rm -r $(dirname {drop_in}) && systemctl daemon-reload")  # the next restart undoes it


@pytest.mark.parametrize("location", ["file:///etc", "s3://another-bucket/x", "mlflow-artifacts:/1", "/etc"])
def test_nobody_chooses_where_the_server_writes(host, location):
    login = host.check_output(f"sed -n 's/^mlflow_tracking_[a-z]* = //p' {CREDENTIALS} | paste -sd:")
    body = json.dumps({"name": f"at {location}", "artifact_location": location})
    command = f"curl -s -K - -m 60 --unix-socket {API} -H 'Content-Type: application/json' -d '{body}' http://localhost/api/2.0/mlflow/experiments/create"
    answer = host.check_output(f"echo 'user = \"{login}\"' | {command}")
    assert "does not open places that others choose" in answer, answer


READ = {"mlflowauth": "select version_num from alembic_version_auth", "mlflowdb": "select version_num from alembic_version"}
WRITE = {
    "mlflowauth": "update alembic_version_auth set version_num = 'NEW'",
    "mlflowdb": "update alembic_version set version_num = 'NEW'",
}
COUNT = "select count(*) from information_schema.tables"


def test_another_schema_is_refused_and_left_alone(host):
    for database in READ:
        current, tables = sql(host, database, READ[database]), sql(host, database, COUNT)
        sql(host, database, WRITE[database].replace("NEW", "000000000000"))
        try:
            assert host.run(f"systemctl restart {UNIT}.service").rc != 0
            assert host.check_output(f"systemctl show -p ExecMainStatus --value {UNIT}.service") == "78"
            assert f"database '{database}' is new" in host.check_output(f"journalctl -u {UNIT} --no-pager -o cat -n 20")
            assert (sql(host, database, READ[database]), sql(host, database, COUNT)) == ("000000000000", tables)
        finally:
            sql(host, database, WRITE[database].replace("NEW", current))
    host.check_output(f"systemctl restart {UNIT}.service")
    assert status(host, API) == "401"
