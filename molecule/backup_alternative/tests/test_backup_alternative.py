# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory as the repository, on Debian 12: a cluster with local artifacts, and the client of an external server."""

from __future__ import annotations

import json

import pytest
import testinfra

PROGRAM = "/usr/local/sbin/labtrack-backup"


@pytest.fixture(scope="module")
def server():
    return testinfra.get_host("docker://lt-backup-posix")


@pytest.fixture(scope="module")
def client():
    return testinfra.get_host("docker://lt-backup-dump")


def start(host, job):
    done = host.run(f"systemctl start labtrack-backup-{job}.service")
    return done.rc, host.run(f"journalctl -u labtrack-backup-{job} -o cat --no-pager -n 30").stdout


def psql(host, query):
    return host.check_output("cd / && runuser -u postgres -- psql -XAtq -p 5433 labdb -c %s", query).strip()


def test_everything_has_a_first_backup(server, client):
    for host, parts in ((server, {"full", "configuration", "artifacts"}), (client, {"full", "configuration"})):
        found = json.loads(host.check_output(f"{PROGRAM} status"))
        assert {name for name, part in found.items() if isinstance(part, dict) and part["backups"] > 0} == parts
    assert server.file("/srv/metrics/labtrack_job_backup_full.prom").exists


def test_the_given_passphrase_is_used_and_closed(server):
    assert server.file("/etc/lab/backup/passphrase").content_string.strip() == "a-passphrase-of-this-test-0123456789"
    assert server.run("grep -rl a-passphrase-of-this-test /etc/systemd /var/log /var/lib/labtrack-config").stdout == ""
    assert server.run("grep -rl 'an artifact of a site' /mnt/backup").stdout == "", "the repository is not encrypted"
    assert server.file("/mnt/backup/lab/pgbackrest").mode == 0o750
    assert server.file("/mnt/backup/lab/restic").mode == 0o700


def test_proof_of_cluster_artifacts_and_configuration(server):
    psql(server, "create table if not exists runs (run_uuid text); insert into runs select i::text from generate_series(1, 300) i")
    code, journal = start(server, "proof")
    assert code == 0, journal
    found = json.loads(server.file("/srv/data/backup/last_proof.json").content_string)
    assert found["passed"] and found["artifacts"]["files"] >= 1
    assert found["database"]["tables"]["labdb"]["public.runs"]["rows"] >= 300


def test_the_proof_fails_when_a_backup_is_damaged(server):
    """A file of the newest full backup is lost from the repository."""
    assert start(server, "full")[0] == 0
    server.check_output("cd /mnt/backup/lab/pgbackrest/backup/labtrack && mv $(ls -d *F | tail -n 1)/pg_data /mnt/backup/moved")
    code, _journal = start(server, "proof")
    found = json.loads(server.file("/srv/data/backup/last_proof.json").content_string)
    server.check_output("cd /mnt/backup/lab/pgbackrest/backup/labtrack && mv /mnt/backup/moved $(ls -d *F | tail -n 1)/pg_data")
    assert code != 0 and not found["passed"] and found["errors"]
    assert found["last_passed_timestamp"] > 0
    assert "labtrack_backup_proof_success 0" in server.file("/srv/metrics/labtrack_backup_proof.prom").content_string
    assert not server.file("/srv/data/backup/scratch").exists
    assert start(server, "proof")[0] == 0


def test_artifacts_come_back_and_what_they_replace_is_kept(server):
    server.check_output("rm -r /srv/data/artifacts/1 && mkdir /srv/data/artifacts/2 && echo newer > /srv/data/artifacts/2/file")
    server.check_output(f"{PROGRAM} restore-files artifacts")
    assert server.file("/srv/data/artifacts/1/run/model.bin").content_string == "an artifact of a site without a store"
    assert server.file("/srv/data/artifacts/2/file").exists


def test_a_dump_holds_the_rows_of_the_external_server(server, client):
    psql(server, "create table if not exists notes (text text); truncate notes; insert into notes values ('one'), ('two'); alter table notes owner to labowner")
    psql(server, "alter table if exists runs owner to labowner")
    code, journal = start(client, "full")
    assert code == 0, journal
    code, journal = start(client, "proof")
    assert code == 0, journal
    found = json.loads(client.file("/srv/data/backup/last_proof.json").content_string)
    assert found["dump"]["tables"]["labdb"]["public.notes"] == 2
    result = json.loads(client.check_output(f"{PROGRAM} unpack-dumps").splitlines()[-1])
    assert client.file(f"{result['directory']}/labdb.dump").size > 500
    assert client.file(f"{result['directory']}/labauth.dump").exists
