# SPDX-License-Identifier: GPL-3.0-or-later
"""Two instances beside each other on Debian 12, installed from a wheelhouse."""

from __future__ import annotations

import json

RELEASE = "/srv/mlflow/research/current"
OLD = "postgresql+psycopg2://research@/{}?host=/var/run/postgresql&port=5433"
# the last but one revision of MLflow's own migrations, made by those themselves
AGE = """
import sqlalchemy
from alembic import command
from alembic.script import ScriptDirectory
from mlflow.store.db import utils
from mlflow.store.tracking.dbmodels.initial_models import Base
uri = '{}'
Base.metadata.create_all(sqlalchemy.create_engine(uri))
config = utils._get_alembic_config(uri)
command.upgrade(config, ScriptDirectory.from_config(config).get_revision('head').down_revision)
"""
TEACHING = "/run/labtrack-mlflow-teaching"
CHIEF = "chief:chosen%by=the-chief"


def answer(host, url: str, options: str) -> dict:
    return json.loads(host.check_output(f"curl -sS -m 60 {options} '{url}'"))


def status(host, url: str, options: str = "") -> str:
    return host.run(f"curl -s -o /dev/null -m 60 -w '%{{http_code}}' {options} '{url}'").stdout


def test_each_has_its_own_users_and_data(host):
    research = f"-u '{CHIEF}' -H 'Content-Type: application/json'"
    password = host.check_output("sed -n 's/^mlflow_tracking_password = //p' /srv/state/mlflow/teaching/admin_credentials")
    teaching = f"--unix-socket {TEACHING}/api.sock -u 'admin:{password}'"
    answer(host, "http://localhost:5000/api/2.0/mlflow/experiments/create", research + ' -d \'{"name": "research-only"}\'')
    search = "/api/2.0/mlflow/experiments/search?max_results=100"
    assert "research-only" in str(answer(host, f"http://localhost:5000{search}", research))
    assert "research-only" not in str(answer(host, f"http://localhost{search}", teaching))
    assert status(host, f"http://localhost{search}", f"--unix-socket {TEACHING}/api.sock -u '{CHIEF}'") == "401"


def test_artifacts_stay_in_the_directory(host):
    url = "http://localhost:5000/api/2.0/mlflow-artifacts/artifacts/folder/note.txt"
    assert status(host, url, f"-u '{CHIEF}' -T /etc/hostname") == "200"
    assert host.file("/srv/research-artifacts/folder/note.txt").user == "mlresearch"
    assert host.check_output(f"curl -s -u '{CHIEF}' {url}") == host.check_output("cat /etc/hostname")
    assert host.run("runuser -u mlteaching -- cat /srv/research-artifacts/folder/note.txt").rc != 0


def test_the_site_s_names_are_accepted(host):
    for name in ("mlflow.labtrack.test", "192.0.2.10:443", "[2001:db8::10]"):
        assert status(host, "http://localhost:5000/", f"-H 'Host: {name}'") == "401"
    assert status(host, "http://localhost:5000/", "-H 'Host: 192.0.2.11'") == "403"
    post = f"-u '{CHIEF}' -X POST -H 'Content-Type: application/json' -d '{{\"max_results\": 1}}' -H 'Origin: https://"
    search = "http://localhost:5000/ajax-api/2.0/mlflow/experiments/search"
    assert status(host, search, f"{post}notebook.labtrack.test'") == "200"
    assert status(host, search, f"{post}evil.example.org'") == "403"


def test_limits(host):
    shown = host.check_output("systemctl show -p MemoryMax,CPUQuotaPerSecUSec,TimeoutStopUSec labtrack-mlflow-research.service")
    values = dict(line.split("=") for line in shown.splitlines())
    assert (values["MemoryMax"], float(values["CPUQuotaPerSecUSec"].rstrip("s")), values["TimeoutStopUSec"]) == ("1073741824", 1.5, "10s")


def test_given_secrets_are_used(host):
    assert host.file("/srv/state/mlflow/research/keys/kek_passphrase").content_string.strip() == "a-passphrase-from-the-vault"
    assert len(host.file("/srv/state/mlflow/teaching/keys/kek_passphrase").content_string.strip()) == 43
    assert host.file("/root/research-admin").mode == 0o600


def test_releases_share_their_files(host):
    names = [host.check_output(f"readlink {path}/current") for path in ("/srv/mlflow/research", "/opt/labtrack/mlflow/teaching")]
    assert names[0] == names[1]
    assert int(host.check_output("du -sm --total /srv/mlflow /opt/labtrack/mlflow /opt/labtrack/uv/cache | tail -1 | cut -f1")) < 1500


def test_the_wheels_were_enough(host):
    assert host.run("ls /opt/labtrack/uv/cache/simple-*").rc != 0, "uv has asked an index"


def step(host, action: str) -> dict:
    """The program that the role runs, as the service's user."""
    request = json.dumps({"tracking_uri": OLD.format("olddb"), "auth_uri": OLD.format("oldauth"), "admin_username": "admin", "admin_password": "a" * 12})
    return json.loads(host.check_output(f"echo '{request}' | runuser -u mlresearch -- {RELEASE}/bin/python {RELEASE}/server/database.py {action}"))


def test_an_old_schema_is_migrated_only_when_told(host):
    script = AGE.format(OLD.format("olddb"))
    host.check_output(f'cd / && runuser -u mlresearch -- {RELEASE}/bin/python -c "{script}"')
    for action in ("inspect", "initialise"):
        found = step(host, action)
        assert (found["tracking"]["state"], found["auth"]["state"], found["done"]) == ("old", "empty", [])
    assert step(host, "migrate")["done"] == ["tracking", "auth", "admin"]
    found = step(host, "migrate")
    assert (found["tracking"]["state"], found["auth"]["state"], found["users"], found["done"]) == ("ready", "ready", 1, [])
