# SPDX-License-Identifier: GPL-3.0-or-later
"""What was deleted long ago goes for good, when told twice; what somebody uses stays; a crash loses nothing unseen. Goes on from test_a_audit."""

from __future__ import annotations

import json
import re
import shlex

JOURNAL = "/var/lib/labtrack/retention/main/gc/begun.json"
# what is deleted now was deleted 40 days ago
AGE = """
update runs set deleted_time = deleted_time - 3456000000 where lifecycle_stage = 'deleted';
update experiments set last_update_time = last_update_time - 3456000000 where lifecycle_stage = 'deleted';
update logged_models set last_updated_timestamp_ms = last_updated_timestamp_ms - 3456000000 where lifecycle_stage = 'deleted';
"""
LOCK = "begin; select 1 from runs where run_uuid = :'id' for update; \\! touch /tmp/locked \n select pg_sleep(60); rollback;"


def sql(host, statement: str, **values: str) -> str:
    words = " ".join(f"-v {name}={value}" for name, value in values.items())
    return host.check_output(f"printf %s {shlex.quote(statement)} | runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 -d mlflowdb {words}")


def altered(host, name: str, file: str, old: str, new: str) -> str:
    """A copy of the program with another line in it; its configuration."""
    host.check_output(f"rm -rf /tmp/{name} && cp -r /usr/local/lib/labtrack/artifacts /tmp/{name}")
    host.check_output(f"sed 's#/usr/local/lib/labtrack/artifacts#/tmp/{name}#' /etc/labtrack/retention/main.json > /tmp/{name}.json")
    path = f"/tmp/{name}/{file}"
    code = host.file(path).content_string
    assert old in code
    host.check_output(f"printf %s {shlex.quote(code.replace(old, new))} > {path}")
    return f"/tmp/{name}.json"


def test_what_was_deleted_lately_stays(site, people, play):
    people("delete_runs", *site["gone"], site["old_style"])
    people("delete_experiment", site["old_experiment"])
    people("delete_model", site["twice"]["model"])
    done = play("playbooks/gc.yml", "gc_delete=true", "gc_confirm=retention")
    assert done.returncode == 0 and "0 runs, 0 logged models, 0 experiments" in done.stdout, done.stdout[-3000:]


def test_without_switches_nothing_goes(site, host, people, play, artifacts):
    sql(host, AGE)
    before = artifacts("audit")["bucket"]["objects"]
    done = play("playbooks/gc.yml")
    assert done.returncode == 0 and "Would remove" in done.stdout and "4 runs, 0 logged models, 1 experiments; 10 objects" in done.stdout, done.stdout[-3000:]
    assert re.search(r"changed=0 ", done.stdout)
    refused = play("playbooks/gc.yml", "gc_delete=true", "gc_confirm=another")
    assert refused.returncode == 2 and "'retention' (site_name)" in refused.stdout
    host.check_output("systemctl start labtrack-gc.service")
    assert artifacts("audit")["bucket"]["objects"] == before
    assert people("files", site["gone"][0]) == ["0.txt", "1.txt", "2.txt"]


def test_the_timer_says_what_it_would_remove(metrics):
    found = metrics()
    assert found['labtrack_gc_removable{kind="run"}'] == 4 and found['labtrack_job_last_run_success{job="gc"}'] == 1


def test_what_fails_does_not_stop_the_rest(site, host, artifacts):
    """One run is being restored while this works: its row is locked by another."""
    locked = site["gone"][0]
    host.check_output(f"printf %s {shlex.quote(LOCK)} > /tmp/lock.sql")
    host.check_output(f"systemd-run --unit lt-hold -p User=postgres psql -Xqd mlflowdb -v id={locked} -f /tmp/lock.sql")
    host.check_output("timeout 20 bash -c 'until [ -e /tmp/locked ]; do sleep 0.1; done'")
    report = artifacts("gc", keep=True, age_days=30, delete=True)
    assert report["removed"] == {"run": 3, "logged_model": 0, "experiment": 1} and report["failures"] == 0
    reasons = {entry["id"]: entry["reason"] for entry in report["kept"]}
    assert "restored, or somebody" in reasons[locked]
    assert "old/1 uses" in reasons[site["old_style"]] and "twice/1 uses" in reasons[site["twice"]["model"]]
    assert sql(host, "select count(*) from runs where lifecycle_stage = 'deleted'") == "2"
    assert sql(host, "select count(*) from experiments where experiment_id = :id", id=site["old_experiment"]) == "0"
    # the server would sleep on after its client has gone
    sql(host, "select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep(60)%' and pid <> pg_backend_pid()")


def test_registered_versions_still_work(site, people):
    assert people("predict", "models:/twice/1") == ["abab"]


def test_the_rest_of_the_site_is_whole(site, artifacts, people):
    report = artifacts("audit", grace_hours=0)
    assert report["missing"] == 0 and report["bucket"]["orphaned"]["objects"] == 0
    assert people("files", site["full"]) == ["a.txt", "sub"]


def test_a_crash_in_the_middle_is_finished_later_or_said(site, host, people, artifacts):
    """Killed when the objects are gone and the row is not: the row is there, and the journal knows."""
    first = site["gone"][0]
    line = "                    with self._same(session):"
    config = altered(host, "killed", "collect.py", line, f"                    os.kill(os.getpid(), 9)\n{line}")
    killed = host.run(f"labtrack-artifacts --config {config} gc --keep --option age_days=30 --option delete=true")
    assert killed.rc == 1 and "exit status -9" in killed.stderr, killed.stdout + killed.stderr
    assert list(json.loads(host.file(JOURNAL).content_string)) == [f"run {first}"]
    assert sql(host, "select lifecycle_stage from runs where run_uuid = :'id'", id=first) == "deleted"
    people("restore_run", first)
    report = artifacts("gc", keep=True, status=1)
    assert [entry["id"] for entry in report["incomplete"]] == [first] and "recover_artifacts.yml" in report["text"]
    assert host.run("systemctl start labtrack-gc.service").rc != 0
    assert artifacts("recover", kind="run", id=first, apply=True)["objects"] == 3
    assert people("read", first, "1.txt") == "z" * 100
    people("delete_runs", first)
    sql(host, AGE)
    assert artifacts("gc", keep=True, age_days=30, delete=True)["removed"]["run"] == 1
    assert json.loads(host.file(JOURNAL).content_string) == {}
    host.check_output("systemctl start labtrack-gc.service")


def test_orphans_go_with_the_same_switches(host, play, artifacts, s3):
    s3("[client.put_object(Bucket=bucket, Key=f'1/stray/{number}', Body=b'x') for number in range(3)]")
    done = play("playbooks/gc.yml", "gc_what=orphans", "gc_delete=true", "gc_confirm=retention")
    assert done.returncode == 0 and "Removed: 0 objects" in done.stdout, done.stdout[-3000:]  # too young
    config = altered(host, "young", "orphans.py", '86400 * max(request["age_days"], 1)', "0")
    report = json.loads(host.check_output(f"labtrack-artifacts --config {config} orphans --json --option delete=true"))
    assert (report["objects"], report["failures"]) == (3, 0)
    assert artifacts("audit", grace_hours=0)["bucket"]["orphaned"]["objects"] == 0
