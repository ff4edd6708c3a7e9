# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL 15 of Debian 12 becomes 17 of Debian 13: refused, killed, powered off, done, taken back, done again, and the old data removed at last."""

from __future__ import annotations

import json
import re

import pytest
from conftest import FOLDER, ORDER, PROGRAM, SITE
from testbed.faults import wait

OLD, NEW = "/var/lib/labtrack/postgresql/15/labtrack", "/var/lib/labtrack/postgresql/17/labtrack"


def serves_old(site, before):
    """As if nothing had happened."""
    site.ready()
    assert site.version() == 15 and site.fingerprint() == before
    assert site.run(f"test -e {NEW} || test -e {NEW}.upgrade || test -e {FOLDER}/journal.json || test -e /etc/postgresql/17").returncode == 1
    assert site.sh("cat /etc/postgresql/15/labtrack/start.conf") == "auto"


def backups(site):
    """What there is of the cluster."""
    return json.loads(site.sh("labtrack-backup status"))["full"]


def test_the_machine_is_debian_13_with_the_database_of_12(site):
    assert site.version() == 15
    assert site.sh("cat /etc/debian_version").startswith("13")


def test_check_mode_changes_nothing(site):
    before = site.fingerprint()
    done = site.play(options=("--check",))
    assert done.returncode == 0, done.stdout[-3000:]
    assert "would take the data to PostgreSQL 17" in done.stdout
    serves_old(site, before)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (("upgrade_confirm=another-site",), "upgrade_confirm is 'another-site': that is not the name of the site"),
        (("upgrade_remove_old=true",), "upgrade_confirm is '': that is not the name"),
        (("upgrade_remove_old=true", "upgrade_rollback=true", f"upgrade_confirm={SITE}"), "upgrade_rollback and upgrade_remove_old are both 'true'"),
        (("backup_enabled=false",), "backup_enabled is 'False': an upgrade begins with a backup"),
    ],
    ids=["another_site", "unconfirmed", "both", "no_backups"],
)
def test_wrong_switches_are_refused(site, variables, said):
    done = site.play(*variables)
    message = " ".join(done.stdout.split())
    assert done.returncode != 0 and said in message and "Accepted:" in message and "nothing was changed" in message, done.stdout[-2000:]
    assert "changed=0" in message


def test_a_setting_that_the_new_version_does_not_know_stops_nothing(site):
    before = site.fingerprint()
    with site.writing() as client:
        done = site.play('{"postgresql_settings": {"vacuum_defer_cleanup_age": 5}, "upgrade_debian": false}')
    assert done.returncode != 0 and "vacuum_defer_cleanup_age" in done.stdout, done.stdout[-2000:]
    assert client["failed"] == 0 and client["longest_seconds"] < 5 and client["lost"] == []
    assert site.fingerprint() != before, "the client wrote"
    assert site.version() == 15


def test_killed_under_the_playbook_the_old_version_serves(site):
    site.sh(f"echo copy > {ORDER}")
    with site.writing() as client:
        done = site.play("upgrade_debian=false")
    assert done.returncode != 0 and "labtrack-postgresql-upgrade.service was killed" in done.stdout, done.stdout[-2000:]
    assert client["lost"] == []
    serves_old(site, site.fingerprint())
    assert backups(site)["backups"] >= 2, "a backup was made first"


@pytest.mark.parametrize("step", ["hold", "stop", "copy", "check", "place"])
def test_killed_at_each_step_the_old_version_serves(site, step):
    with site.writing() as client:
        before = site.fingerprint().count("\n")
        assert "was killed" in site.kill_at(step).stderr
    assert client["lost"] == [] and site.fingerprint().count("\n") == before
    serves_old(site, site.fingerprint())


@pytest.mark.parametrize("step", ["copy", "place"])
def test_without_power_in_the_middle_the_old_version_serves(site, step):
    before = site.fingerprint()
    site.sh(f"echo pause-{step} > {ORDER}")
    site.sh(f"setsid {PROGRAM} start upgrade {FOLDER} > /dev/null 2>&1 < /dev/null &")
    wait(lambda: site.run(f"test -e {ORDER}").returncode == 1, 120, f"the program has come to '{step}'")
    site.machine.power_off()
    site.machine.power_on()
    wait(lambda: site.run("runuser -u postgres -- psql -c 'select 1'").returncode == 0, 120, "PostgreSQL answers")
    serves_old(site, before)


def test_upgrade_while_a_client_writes(site):
    with site.writing() as client:
        done = site.play()
    assert done.returncode == 0, done.stdout[-4000:]
    told = re.search(r"versions: PostgreSQL 17 from 15, requests waited ([\d.]+) s", " ".join(done.stdout.split()))
    assert told, done.stdout[-2000:]
    print(f"requests waited {told[1]} s by the playbook, {client['longest_seconds']} s by the client; {client['acknowledged']} acknowledged, none lost")
    assert client["lost"] == [] and client["failed"] == 0, client
    assert site.version() == 17
    clusters = site.sh("pg_lsclusters -h | tr -s ' '")
    assert "15 labtrack 5432 down" in clusters and "17 labtrack 5432 online" in clusters


def test_the_indexes_fit_the_order_of_characters(site):
    query = "select count(*) from pg_database where datallowconn and datcollversion is distinct from pg_database_collation_actual_version(oid)"
    assert site.sql(query) == "0"
    assert site.sql("select count(*) from pg_index where not indisvalid", "handmade") == "0"
    site.sql("create extension if not exists amcheck; select bt_index_check('words_pkey'::regclass, true); drop extension amcheck;", "handmade")


def test_the_backups_go_on_and_can_be_restored(site):
    found = backups(site)
    assert found["state"] == "good" and found["newest"].endswith("F"), found
    site.sh("labtrack-backup prove", 600)


def test_a_second_run_has_nothing_to_upgrade(site):
    done = site.play("upgrade_debian=false")
    assert done.returncode == 0, done.stdout[-3000:]
    assert "requests waited" not in done.stdout
    changed = set(re.findall(r"TASK \[([^\]]+)\] \*+\nchanged", done.stdout))
    assert changed <= {"Run them"}, changed


def test_the_way_back_says_what_would_be_lost(site):
    with site.writing():
        pass
    done = site.play("upgrade_rollback=true")
    message = " ".join(done.stdout.split())
    assert done.returncode != 0 and "upgrade_confirm is not given" in message, message[-2000:]
    assert re.search(r"mlflowdb\.public\.metrics: \d+ rows written", message) and "nothing was changed" in message
    assert site.version() == 17


def test_the_way_back(site):
    kept = site.sql("select count(*) from metrics", "mlflowdb")
    done = site.play("upgrade_rollback=true", f"upgrade_confirm={SITE}")
    assert done.returncode == 0, done.stdout[-4000:]
    assert site.version() == 15
    site.ready()
    assert int(site.sql("select count(*) from metrics", "mlflowdb")) < int(kept)
    assert backups(site)["state"] == "good"
    assert site.run(f"ls -d {NEW}.rolled_back_*").returncode == 0, "what is taken back is kept"
    with site.writing() as client:
        pass
    assert client["lost"] == []


def test_killed_when_the_new_one_starts_it_serves_and_a_repetition_converges(site):
    site.sh(f"echo start > {ORDER}")
    with site.writing() as client:
        done = site.play("upgrade_debian=false")
        assert done.returncode != 0 and "was killed" in done.stdout, done.stdout[-2000:]
        site.ready()
    assert client["lost"] == []
    assert site.version() == 17
    done = site.play("upgrade_debian=false")
    assert done.returncode == 0, done.stdout[-4000:]
    assert backups(site)["state"] == "good"


def test_the_old_data_go_when_told_twice(site):
    done = site.play("upgrade_remove_old=true", f"upgrade_confirm={SITE}")
    assert done.returncode == 0, done.stdout[-4000:]
    assert site.run(f"test -e {OLD} || test -e /etc/postgresql/15/labtrack || test -e /usr/lib/postgresql/15/bin/postgres").returncode == 1
    assert site.version() == 17
    done = site.play("upgrade_rollback=true", f"upgrade_confirm={SITE}")
    assert done.returncode != 0 and "there is no upgrade of PostgreSQL in the state 'switched' (removed)" in " ".join(done.stdout.split()), done.stdout[-2000:]
