# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that were made by hand: an mlruns directory with its dates, a dump whose artifacts are in a bucket. Goes on from test_a_move."""

from __future__ import annotations

import json
import shlex

PYTHON = "/opt/labtrack/mlflow/main/current/bin/python"
OLD = """
import json, mlflow, time
mlflow.set_tracking_uri("file:///srv/old/mlruns")
mlflow.set_experiment("by hand")
client = mlflow.MlflowClient()
experiment = mlflow.get_experiment_by_name("by hand").experiment_id
run = client.create_run(experiment, start_time=1600000000000)
for step in range(50):
    client.log_metric(run.info.run_id, "loss", 1 / (step + 1), timestamp=1600000000000 + step, step=step)
client.log_param(run.info.run_id, "rate", "0.1")
client.log_text(run.info.run_id, "a figure", "figures/one.txt")
client.set_terminated(run.info.run_id, end_time=1600000100000)
client.create_registered_model("by-hand")
client.create_model_version("by-hand", client.get_run(run.info.run_id).info.artifact_uri + "/figures", run.info.run_id)
print(json.dumps({"run": run.info.run_id}))
"""


def sql(host, statement: str) -> str:
    return host.check_output(f"printf %s {shlex.quote(statement)} | runuser -u postgres -- psql -XAtq -v ON_ERROR_STOP=1 -d mlflowdb")


def test_a_site_with_runs_is_refused(host, play):
    host.check_output("install -d -m 0755 /srv/old")
    environment = "MLFLOW_ALLOW_FILE_STORE=true MLFLOW_DISABLE_TELEMETRY=true GIT_PYTHON_REFRESH=quiet"
    made = host.check_output(f"env {environment} {PYTHON} -c {shlex.quote(OLD)} 2>/dev/null").splitlines()[-1]
    host.check_output(f"printf %s {shlex.quote(made)} > /opt/old.json")
    before = sql(host, "select count(*) from runs")
    done = play("playbooks/import_site.yml", "tracking_server_artifacts_mode=local", "import_source=/srv/old/mlruns", "import_apply=true")
    assert done.returncode == 2 and "a site without runs" in " ".join(done.stdout.split()), done.stdout[-3000:]
    assert sql(host, "select count(*) from runs") == before


def test_a_directory_is_taken_over_with_its_dates(host, play, people, audit):
    switches = ["import_apply=true", "import_replace=true", "import_confirm=move-import"]
    done = play("playbooks/import_site.yml", "tracking_server_artifacts_mode=local", "import_source=/srv/old/mlruns", *switches)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
    run = json.loads(host.file("/opt/old.json").content_string)["run"]
    assert sql(host, "select start_time, end_time, (select count(*) from metrics), (select min(timestamp) from metrics) from runs") == (
        "1600000000000|1600000100000|50|1600000000000"
    )
    assert people("read", run, "figures/one.txt") == "a figure"
    assert sql(host, "select artifact_uri like 'mlflow-artifacts:/%' from runs") == "t"
    report = audit()
    assert report["missing"] == 0 and report["bucket"]["orphaned"]["objects"] >= 0
    made = people("make")  # new rows get new numbers
    assert people("files", made["full"]) == ["a.txt", "sub"]


def test_a_dump_with_a_bucket_is_taken_over(host, play, people, audit):
    """The database of test_a_move as it was put aside, named as the old instructions had it: s3://bucket."""
    host.check_output("bash -c 'runuser -u postgres -- pg_dump -Fc mlflowdb_before_import > /srv/old/site.dump'")
    rows = host.check_output("runuser -u postgres -- psql -XAtqd mlflowdb_before_import -c 'select count(*) from runs'")
    site = json.loads(host.file("/opt/made.json").content_string)
    source = ["import_source=/srv/old/site.dump", "import_location=s3://move-import-a", "import_artifacts=s3://move-import-a"]
    switches = ["import_apply=true", "import_replace=true", "import_confirm=move-import", "tracking_server_artifacts_mode=local"]
    done = play("playbooks/import_site.yml", *source, *switches)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
    assert sql(host, "select count(*) from runs") == rows
    assert people("read", site["full"], "a.txt") == "a" * 1000
    assert people("predict", "models:/twice/1") == ["abab"]
    assert audit()["missing"] == 0
