# SPDX-License-Identifier: GPL-3.0-or-later
"""Two people with MLflow's own client: the report has what they logged, and the quota of the greedy one is a metric for as long as they have more."""

from __future__ import annotations

import json
import shlex

import pytest

PYTHON = "/opt/labtrack/mlflow/main/current/bin/python"
SOCKET = "/run/labtrack-mlflow-main/asgi.sock"
PASSWORD = "a-plain-password-1"
NASTY = "<script>alert(1)</script>"
FOLDER = "/var/lib/labtrack-usage"
ABOVE = 'labtrack_usage_above_quota{kind="user",name="greedy",resource="metric_points"}'
HOW_MANY = 'labtrack_usage_names_above_quota{kind="user",resource="metric_points"}'
AGE = "update runs set deleted_time = deleted_time - 3456000000 where lifecycle_stage = 'deleted'"

ROWS = """select (select count(*) from runs), (select count(*) from metrics), (select count(*) from params), (select count(*) from trace_info),
    (select count(*) from logged_models)"""


def sql(host, statement: str) -> str:
    return host.check_output(f"runuser -u postgres -- psql -XAtq -d mlflowdb -c {shlex.quote(statement)}")


def entry(report: dict, kind: str, **wanted: str) -> dict:
    """The only entry with these values."""
    found = [entry for entry in report[kind] if wanted.items() <= entry.items()]
    assert len(found) == 1, (wanted, report[kind])
    return found[0]


@pytest.fixture(scope="module")
def used(host, people, site):
    """What each of two people has made, once."""
    if not host.file("/opt/used.json").exists:
        made = {}
        for name, experiment, points, size in (("ann", NASTY, 3, 2000), ("greedy", "greedy's", 50, 500)):
            assert people("create_user", name, PASSWORD) == 200
            login = f"[mlflow]\nmlflow_tracking_username = {name}\nmlflow_tracking_password = {PASSWORD}\n"
            host.check_output(f"printf %s {shlex.quote(login)} > /opt/{name}.ini")
            words = shlex.join([PYTHON, "/opt/people.py", SOCKET, f"/opt/{name}.ini", "use", experiment, str(points), str(size)])
            made[name] = json.loads(host.check_output(f"env MLFLOW_DISABLE_TELEMETRY=true GIT_PYTHON_REFRESH=quiet {words}").splitlines()[-1])
        host.check_output(f"printf %s {shlex.quote(json.dumps(made))} > /opt/used.json")
    return json.loads(host.file("/opt/used.json").content_string)


def test_the_report_has_what_people_have_logged(host, used, site, artifacts):
    report = artifacts("usage")
    numbers = {"runs": 2, "runs_deleted": 1, "params": 2, "traces": 0, "logged_models": 0, "model_versions": 0, "objects": 1}
    for name, experiment, points, size in (("ann", NASTY, 4, 2000), ("greedy", "greedy's", 51, 500)):
        wanted = {"name": name, **numbers, "metric_points": points, "bytes": size}
        assert entry(report, "users", name=name) == wanted
        of_experiment = {**wanted, "id": used[name]["experiment"], "name": experiment, "workspace": "default", "state": "active"}
        assert entry(report, "experiments", id=used[name]["experiment"]) == of_experiment
    lab = entry(report, "experiments", id=site["lab"])
    assert (lab["name"], lab["traces"], lab["model_versions"]) == ("lab", 1, 2)
    assert entry(report, "users", name="")["traces"] == 1
    rows = dict(zip(("runs", "metric_points", "params", "traces", "logged_models"), map(int, sql(host, ROWS).split("|"))))
    assert {field: report["totals"][field] for field in rows} == rows
    whole = artifacts("audit")["bucket"]["referenced"]
    assert {name: report["totals"][name] for name in whole} == whole
    assert [entry["name"] for entry in report["workspaces"]] == ["default"] and report["workspaces"][0]["runs"] == report["totals"]["runs"]


def test_what_is_above_its_quota_is_a_metric(host, used, metrics):
    host.check_output("systemctl start labtrack-usage.service")
    found = metrics()
    assert (found[ABOVE], found[HOW_MANY]) == (1, 1)
    assert found['labtrack_usage_names_above_quota{kind="user",resource="bytes"}'] == 0
    assert found['labtrack_usage_metric_points{kind="user",name="greedy"}'] == 51 and found['labtrack_usage_bytes{kind="user",name="ann"}'] == 2000
    assert found[f'labtrack_usage_bytes{{kind="experiment",name="{NASTY}",id="{used["ann"]["experiment"]}"}}'] == 2000
    assert found['labtrack_job_last_run_success{job="usage"}'] == 1


def test_the_page_is_for_the_web_server_only(host, used):
    folder, page = host.file(FOLDER), host.file(f"{FOLDER}/index.html")
    assert (folder.mode, folder.user, folder.group) == (0o2750, "root", "www-data")
    assert (page.mode, page.user, page.group) == (0o640, "root", "www-data")
    assert host.run(f"runuser -u nobody -- cat {FOLDER}/index.html").rc != 0
    text = host.check_output(f"runuser -u www-data -- cat {FOLDER}/index.html")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text and NASTY not in text
    assert "greedy has 51 of 40 metric_points" in host.file(f"{FOLDER}/usage.txt").content_string
    assert json.loads(host.file(f"{FOLDER}/usage.json").content_string)["above_quota"][0]["name"] == "greedy"
    kept = host.file("/var/lib/labtrack/retention/main/usage")
    assert (kept.mode, kept.user) == (0o700, "mlflow")


def test_the_playbook_prints_it_and_writes_it_on_request(used, play, tmp_path):
    done = play("playbooks/usage.yml")
    assert done.returncode == 0 and "ABOVE THE QUOTA: user greedy has 51 of 40 metric_points" in done.stdout, done.stdout[-3000:]
    assert "changed=0" in done.stdout
    done = play("playbooks/usage.yml", f"usage_report_dir={tmp_path}/usage")
    assert done.returncode == 0, done.stdout[-3000:]
    written = tmp_path / "usage" / "retention.json"
    assert json.loads(written.read_text())["totals"]["runs"] > 4 and written.stat().st_mode & 0o777 == 0o600


def test_what_was_removed_is_above_no_more(host, used, people, artifacts, metrics):
    people("delete_runs", used["greedy"]["run"])
    host.check_output("systemctl start labtrack-usage.service")
    assert metrics()[ABOVE] == 1, "a deleted run counts until gc has removed it"
    sql(host, AGE)
    assert artifacts("gc", keep=True, age_days=30, delete=True)["removed"]["run"] >= 2
    host.check_output("systemctl start labtrack-usage.service")
    found = metrics()
    assert ABOVE not in found and found[HOW_MANY] == 0


def test_bad_quotas_are_refused(play, tmp_path):
    book = tmp_path / "refused.yml"
    role = {"name": "labtrack.mlflow.retention", "tasks_from": "preflight"}
    quotas = [{"user": "ann"}, {"each": "user", "traces": 5}]
    tasks = [{"name": "Check", "ansible.builtin.include_role": role, "vars": {"retention_usage_quotas": quotas}}]
    book.write_text(json.dumps([{"name": "Refused", "hosts": "all", "gather_facts": False, "tasks": tasks}]))
    done = play(str(book))
    said = " ".join(done.stdout.split())
    assert done.returncode == 2 and "'user: ann' has no limit" in said and "MLflow notes no user" in said, said[-3000:]
