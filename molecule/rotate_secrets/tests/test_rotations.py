# SPDX-License-Identifier: GPL-3.0-or-later
"""Each secret in turn, while somebody works: no request fails, what was encrypted opens, the earlier secret is refused at once."""

from __future__ import annotations

import secrets
import subprocess

import pytest
from testbed.load import Caller
from testbed.site import Site, scenario_host

HOST = scenario_host()
MACHINE, FQDN = HOST["testbed_machine"], HOST["site_fqdn"]
API = "/api/2.0/mlflow/"
KEYS = "/var/lib/labtrack/mlflow/main/keys"
# all have the fixture `host`, so that they run in this order
pytestmark = pytest.mark.usefixtures("host")


def root(command: str) -> subprocess.CompletedProcess:
    return subprocess.run(["docker", "exec", MACHINE, "sh", "-c", command], capture_output=True, text=True, check=False)


def read(path: str) -> str:
    return root(f"cat {path}").stdout.strip()


def busy(load, playbook, names: str) -> str:
    """The playbook under load; the figures."""
    with load:
        load.wait_for(60)
        playbook.run(names)
        load.wait_for(60)
    return load.check()


def test_nothing_is_asked_for_by_accident(playbook):
    assert "names no secret" in playbook.run("", fails=True)
    assert "nonsense is not known" in " ".join(playbook.run("nonsense", fails=True).split())


def test_keys_that_encrypt(site, load, playbook, encrypted):
    encrypted.make(site)
    before = [read(f"{KEYS}/{name}") for name in ("kek_passphrase", "webhook_key", "flask_secret_key")]
    assert encrypted.opened() == (encrypted.text, encrypted.text)
    print("kek, webhook, flask:", busy(load, playbook, "kek,webhook,flask"))
    after = [read(f"{KEYS}/{name}") for name in ("kek_passphrase", "webhook_key", "flask_secret_key")]
    assert not set(before) & set(after)
    assert encrypted.opened() == (encrypted.text, encrypted.text)
    assert encrypted.opened(*before[:2]) == (None, None), "the earlier keys open nothing"
    assert encrypted.service_opens(site)
    assert root(f"ls {KEYS} | grep old").returncode != 0
    assert read("/var/lib/labtrack/mlflow/main/rotated.json").count('": 1') == 3


@pytest.mark.parametrize("boundary", [r"configure \| Write the configuration", r"service \| Let what", r"rotate \| Encrypt again"])
def test_an_interrupted_rotation_goes_on(site, load, playbook, encrypted, boundary):
    before = [read(f"{KEYS}/{name}") for name in ("kek_passphrase", "webhook_key")]
    with load:
        playbook.kill_at("kek,webhook", boundary)
        load.wait_for(20)
        assert encrypted.service_opens(site), "both keys are right meanwhile"
        playbook.run("kek,webhook")
    print(f"interrupted at '{boundary}':", load.check())
    assert encrypted.opened() == (encrypted.text, encrypted.text)
    assert encrypted.opened(*before) == (None, None)
    assert root(f"ls {KEYS} | grep old").returncode != 0


def test_the_password_of_the_administrator(site, load, playbook, tmp_path):
    print("admin:", busy(load, playbook, "admin"))
    path = f"{API}experiments/search?max_results=1"
    earlier = Caller(site, site.user, site.password)
    assert {earlier.ask("GET", path)[0] for _ in range(12)} == {401}
    now = Site.of_scenario(tmp_path / "now.pem")
    assert now.password != site.password
    assert {Caller(now, now.user, now.password).ask("GET", path)[0] for _ in range(4)} == {200}


def psql(password: str) -> int:
    command = f"PGPASSWORD={password} PGSSLMODE=verify-full PGSSLROOTCERT=/etc/labtrack/tls/ca.pem psql -XtA -h localhost -U mlflowdb mlflowdb -c 'select 1'"
    return root(command).returncode


def test_the_password_of_the_database(load, playbook):
    earlier = read("/etc/labtrack/mlflow/main/database_uri").partition("mlflowdb:")[2].partition("@")[0]
    assert psql(earlier) == 0
    assert "is the one in use" in " ".join(playbook.run("database", fails=True).split())
    playbook.given["vault_database_password"] = f"another-{secrets.token_hex(12)}"
    print("database:", busy(load, playbook, "database"))
    assert (psql(earlier), psql(playbook.given["vault_database_password"])) == (2, 0)
    assert root("ls /etc/labtrack/mlflow/main | grep old").returncode != 0


def backups_go_on() -> None:
    """A backup of each kind, and the WAL of this moment, reach the store; nothing waits."""
    for job in ("incremental", "configuration"):
        done = root(f"systemctl start labtrack-backup-{job}.service")
        assert done.returncode == 0, done.stderr + root(f"journalctl --no-pager -n 20 -u labtrack-backup-{job}.service").stdout
    done = root("runuser -u postgres -- pgbackrest --stanza=labtrack check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_key_of_the_bucket(load, playbook):
    earlier = read("/etc/labtrack/object_store/environment")
    assert "is the one in use" in " ".join(playbook.run("s3", fails=True).split())
    playbook.given |= {"site_s3_access_key": f"key-{secrets.token_hex(6)}", "vault_s3_secret_key": secrets.token_hex(24)}
    print("s3:", busy(load, playbook, "s3"))
    now = read("/etc/labtrack/object_store/environment")
    assert playbook.given["vault_s3_secret_key"] in now
    assert "vault" not in now and earlier != now
    script = "import boto3; print(len(boto3.client('s3', endpoint_url='https://localhost:7443').list_objects_v2(Bucket='rotate-mlflow')['Contents']))"
    tried = []
    for environment in (earlier, now):
        lines = " ".join(f"{line}" for line in environment.splitlines() if line.startswith("AWS_"))
        tried.append(root(f'env {lines} /opt/labtrack/mlflow/main/current/bin/python -c "{script}"'))
    assert [done.returncode for done in tried] == [1, 0], tried
    assert "InvalidAccessKeyId" in tried[0].stderr
    assert root("ls /etc/labtrack/object_store | grep old").returncode != 0
    backups_go_on()


def test_the_passphrase_of_the_backups(load, playbook):
    """The new repository is used and proven; the earlier one stays readable with the earlier passphrase, which opens nothing of the new one."""
    assert "can only be read with it" in " ".join(playbook.run("backup", fails=True).split())
    playbook.given["backup_s3_prefix"] = "backup/mlflow-2"
    assert "is the one in use" in " ".join(playbook.run("backup", fails=True).split())
    for name in ("pgbackrest/pgbackrest.conf", "labtrack/backup/passphrase", "labtrack/backup/config.json"):
        root(f"install -D -m 600 /etc/{name} /root/earlier/{name}")
    before = read("/var/lib/labtrack/backup/last_proof.json")
    playbook.given["vault_backup_passphrase"] = f"another-{secrets.token_hex(12)}"
    print("backup:", busy(load, playbook, "backup"))
    backups_go_on()
    assert read("/var/lib/labtrack/backup/last_proof.json") not in ("", before)
    restic = (
        "set -a; . /etc/labtrack/backup/environment; set +a; restic --no-cache --cacert /etc/labtrack/tls/ca.pem "
        "-r s3:https://localhost:7443/rotate-mlflow/backup/{} --password-file {} snapshots"
    )
    earlier, now = "/root/earlier/labtrack/backup/passphrase", "/etc/labtrack/backup/passphrase"
    tried = [root(restic.format(*each)) for each in (("mlflow/restic", earlier), ("mlflow-2/restic", now), ("mlflow-2/restic", earlier))]
    assert [done.returncode == 0 for done in tried] == [True, True, False], tried
    assert "wrong password" in tried[2].stderr
    # as root, because the copy of the configuration is only root's
    repository = root("pgbackrest --config=/root/earlier/pgbackrest/pgbackrest.conf --log-level-file=off --stanza=labtrack info")
    assert "full backup" in repository.stdout, repository


def fingerprint(what: str) -> str:
    return root(f"openssl x509 -in /etc/labtrack/tls/{what} -noout -pubkey | sha256sum").stdout


def test_the_key_of_the_certificate(load, playbook):
    before = fingerprint("fullchain.pem"), fingerprint("ca.pem")
    print("certificate:", busy(load, playbook, "certificate"))
    after = fingerprint("fullchain.pem"), fingerprint("ca.pem")
    assert before[0] != after[0] and before[1] == after[1]
    served = root(f"openssl s_client -connect localhost:443 -servername {FQDN} </dev/null 2>/dev/null | openssl x509 -noout -pubkey | sha256sum").stdout
    assert served == after[0]


def bundle() -> int:
    return int(root("grep -c BEGIN /etc/labtrack/tls/ca.pem").stdout)


def test_the_authority_of_the_lab(load, playbook, site, tmp_path):
    """First step: who has only the earlier bundle goes on. Second step: who has the new one goes on, the earlier one is out."""
    assert bundle() == 1
    print("lab_ca:", busy(load, playbook, "lab_ca"))
    assert bundle() == 2
    both = Site.of_scenario(tmp_path / "both.pem")
    load = type(load)(both, load.user, load.password, idle_may_close=True)
    print("lab_ca_end:", busy(load, playbook, "lab_ca_end"))
    assert bundle() == 1
    with pytest.raises(Exception, match="certificate verify failed"):
        Caller(site, load.user, load.password).ask("GET", "/health")
    now = Site.of_scenario(tmp_path / "now.pem")
    assert Caller(now, load.user, load.password).ask("GET", "/health")[0] == 200


def test_secrets_are_not_in_the_logs(playbook):
    seen = root("journalctl --no-pager; cat /var/log/nginx/*.log /var/log/postgresql/*").stdout
    values = [*playbook.given.values(), *(read(f"{KEYS}/{name}") for name in ("kek_passphrase", "webhook_key", "flask_secret_key"))]
    assert not [value[:6] for value in values if len(value) > 20 and value in seen]
