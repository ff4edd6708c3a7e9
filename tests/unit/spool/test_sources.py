# SPDX-License-Identifier: GPL-3.0-or-later
"""What others have written: mlruns directories, SQLite stores without our triggers, spools seen under another path."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest

from .conftest import clean_environment
from .helpers import activate, cli, leave, runs_of, small_spool, use

JOB = """
import mlflow, sys
from mlflow.entities import Metric
client = mlflow.MlflowClient()
mlflow.set_experiment(sys.argv[1])
with mlflow.start_run(run_name="outer", tags={"number": "0"}) as run:
    mlflow.log_params({"a": 1, "b/c": "two"})
    client.log_batch(run.info.run_id, metrics=[Metric("train/loss", 1 / (step + 1), 1700000000000 + step, step) for step in range(1500)])
    mlflow.log_metric("odd", float("nan"), step=1)
    mlflow.log_metric("odd", float("inf"), step=2)
    mlflow.log_text("hello", "d/hello.txt")
    with mlflow.start_run(nested=True, run_name="inner", tags={"number": "1"}):
        mlflow.log_metric("x", 2.0)
deleted = client.create_run(run.info.experiment_id, run_name="gone", tags={"number": "2"})
client.delete_run(deleted.info.run_id)
"""


def run_job(folder: Path, uri: str, experiment: str, **environment: str) -> None:
    """The job in a process of its own, with that folder as its working directory."""
    env = clean_environment(MLFLOW_TRACKING_URI=uri, **environment)
    done = subprocess.run([sys.executable, "-c", JOB, experiment], cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def check(server, experiment: str) -> None:
    """What the job logged is on the server."""
    outer, inner, gone = runs_of(server, experiment)
    client = use(server.uri)
    assert (outer.info.run_name, inner.info.run_name, gone.info.lifecycle_stage) == ("outer", "inner", "deleted")
    assert inner.data.tags["mlflow.parentRunId"] == outer.info.run_id
    assert outer.data.params == {"a": "1", "b/c": "two"}
    history = client.get_metric_history(outer.info.run_id, "train/loss")
    assert [(point.step, point.value) for point in sorted(history, key=lambda point: point.step)] == [(step, 1 / (step + 1)) for step in range(1500)]
    odd = {point.step: point.value for point in client.get_metric_history(outer.info.run_id, "odd")}
    assert odd[1] != odd[1]
    assert odd[2] == sys.float_info.max
    assert [entry.path for entry in client.list_artifacts(outer.info.run_id, "d")] == ["d/hello.txt"]
    assert outer.info.status == "FINISHED"


def test_an_mlruns_directory(server, tmp_path: Path) -> None:
    run_job(tmp_path, str(tmp_path / "mlruns"), "files", MLFLOW_ALLOW_FILE_STORE="true")
    moved = tmp_path / "elsewhere" / "mlruns"
    moved.parent.mkdir()
    (tmp_path / "mlruns").rename(moved)
    cli("sync", moved, "--to", server.uri, "--verify")
    check(server, "files")
    # the job goes on: only what is new is sent
    run = next(path.parent for path in moved.glob("*/*/artifacts") if (path / "d").is_dir())
    with (run / "metrics" / "train" / "loss").open("a") as stream:
        stream.write("1700000009999 0.5 1500\n1700000009999 0.5 15")
    done = cli("sync", moved, "--to", server.uri)
    assert "sent: 1 metrics" in done.stdout
    assert "nothing new" in cli("sync", moved, "--to", server.uri).stdout


def test_a_model_registry_and_traces_of_an_mlruns_directory(server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    client = use(str(tmp_path / "mlruns"))
    experiment = client.create_experiment("file registry")
    run = client.create_run(experiment, tags={"number": "0"})
    client.log_text(run.info.run_id, "m", "model/MLmodel")
    client.create_registered_model("of files", tags={"a": "b"}, description="text")
    client.create_model_version("of files", f"{run.info.artifact_uri}/model", run.info.run_id, tags={"v": "1"})
    client.set_registered_model_alias("of files", "best", "1")
    model = client.create_logged_model(experiment, "logged", source_run_id=run.info.run_id, params={"p": "1"}, tags={"t": "2"})
    client.log_outputs(run.info.run_id, [mlflow.entities.LoggedModelOutput(model.model_id, 3)])
    client.finalize_logged_model(model.model_id, "READY")
    mlflow.set_experiment(experiment_id=experiment)
    mlflow.trace(lambda word: word * 2, name="double")("a")
    mlflow.flush_trace_async_logging()
    client.set_terminated(run.info.run_id)
    leave()
    cli("sync", tmp_path / "mlruns", "--to", server.uri, "--verify")
    there = use(server.uri)
    found = runs_of(server, "file registry")[0]
    version = there.get_model_version_by_alias("of files", "best")
    assert (version.run_id, version.tags["v"]) == (found.info.run_id, "1")
    assert version.source == f"{found.info.artifact_uri}/model"
    logged = there.get_logged_model(found.outputs.model_outputs[0].model_id)
    assert (logged.name, logged.params, logged.tags["t"], str(logged.status)) == ("logged", {"p": "1"}, "2", "READY")
    traces = there.search_traces([found.info.experiment_id])
    assert [(span.name, span.inputs, span.outputs) for span in traces[0].data.spans] == [("double", {"word": "a"}, "aa")]


def test_a_sqlite_store_of_somebody_else(server, tmp_path: Path) -> None:
    """Its artifacts are named by the path of the computer where it was written."""
    (tmp_path / "there").mkdir()
    run_job(tmp_path / "there", f"sqlite:///{tmp_path}/there/mlflow.db", "foreign")
    (tmp_path / "there").rename(tmp_path / "here")
    cli("sync", tmp_path / "here" / "mlflow.db", "--to", server.uri, "--verify")
    check(server, "foreign")


def test_a_store_in_a_folder_that_may_not_be_written(server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_spool(tmp_path / "spool", "read only")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for path in (tmp_path / "spool", tmp_path / "spool" / "mlflow.db"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        if os.geteuid() == 0:
            pytest.skip("root may write everywhere")
        cli("sync", tmp_path / "spool", "--to", server.uri)
        assert len(runs_of(server, "read only")) == 3
    finally:
        (tmp_path / "spool").chmod(0o755)


def test_a_spool_seen_under_other_paths(server, tmp_path: Path) -> None:
    """In a container the spool has another path than outside; the job goes on in a second container with a third path."""
    inside, again, outside = tmp_path / "container" / "spool", tmp_path / "container2" / "deep" / "spool", tmp_path / "scratch" / "4711"
    client = activate(inside)
    run = client.create_run(client.create_experiment("container"), tags={"number": "0"})
    assert run.info.artifact_uri.startswith(f"{inside}/artifacts/")
    client.log_text(run.info.run_id, "one", "one.txt")
    again.parent.mkdir(parents=True)
    inside.rename(again)
    leave()
    second = f"""
import labtrack_spool
labtrack_spool.activate({str(again)!r})
import mlflow
with mlflow.start_run(run_id={run.info.run_id!r}):
    mlflow.log_text("two", "two.txt")
"""
    done = subprocess.run([sys.executable, "-c", second], env=clean_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not inside.exists()
    outside.parent.mkdir()
    again.rename(outside)
    cli("sync", outside, "--to", server.uri, "--verify")
    found = runs_of(server, "container")[0]
    assert [entry.path for entry in use(server.uri).list_artifacts(found.info.run_id)] == ["one.txt", "two.txt"]


def test_a_job_that_was_killed_while_it_wrote(server, tmp_path: Path) -> None:
    """It leaves a write-ahead log; what it had written is sent."""
    spool = tmp_path / "spool"
    activate(spool)
    script = f"""
import mlflow, os, signal
from mlflow.entities import Metric
client = mlflow.MlflowClient("sqlite:///{spool}/mlflow.db")
run = client.create_run(client.create_experiment("killed job"), tags={{"number": "0"}}).info.run_id
client.log_batch(run, metrics=[Metric("loss", 1.0, 1, step) for step in range(700)])
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", script], env=clean_environment(), check=False).returncode == -9
    assert (spool / "mlflow.db-wal").stat().st_size > 0
    leave()
    cli("sync", spool, "--to", server.uri, "--verify", "--running-as", "KILLED")
    found = runs_of(server, "killed job")[0]
    assert (found.info.status, found.data.metrics) == ("KILLED", {"loss": 1.0})
    assert len(use(server.uri).get_metric_history(found.info.run_id, "loss")) == 700


def test_a_schema_of_mlflow_1(server, tmp_path: Path) -> None:
    """Without steps, NaN, names of runs and every newer table."""
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as connection:
        connection.executescript("""
            CREATE TABLE experiments (experiment_id INTEGER PRIMARY KEY, name, artifact_location, lifecycle_stage);
            CREATE TABLE runs (run_uuid PRIMARY KEY, name, source_type, source_name, user_id, status, start_time, end_time, lifecycle_stage,
              artifact_uri, experiment_id);
            CREATE TABLE tags (key, value, run_uuid);
            CREATE TABLE params (key, value, run_uuid);
            CREATE TABLE metrics (key, value, timestamp, run_uuid);
            INSERT INTO experiments VALUES (1, 'mlflow 1', '/nowhere/1', 'active');
            INSERT INTO runs VALUES ('0123456789abcdef0123456789abcdef', '', 'LOCAL', 'x.py', 'bob', 'FINISHED', 1500000000000, 1500000001000, 'active',
              '/nowhere/1/a', 1);
            INSERT INTO params VALUES ('p', '1', '0123456789abcdef0123456789abcdef');
            INSERT INTO metrics VALUES ('m', 1.5, 1500000000, '0123456789abcdef0123456789abcdef'), ('m', 2.5, 1500000001, '0123456789abcdef0123456789abcdef');
        """)
    cli("sync", path, "--to", server.uri)
    found = runs_of(server, "mlflow 1")[0]
    assert (found.data.params, found.info.user_id, found.info.start_time, found.info.end_time) == ({"p": "1"}, "bob", 1500000000000, 1500000001000)
    assert sorted(point.value for point in use(server.uri).get_metric_history(found.info.run_id, "m")) == [1.5, 2.5]


@pytest.mark.parametrize(("make", "text"), [(lambda path: None, "does not exist"), (lambda path: path.mkdir(), "holds nothing to send")])
def test_what_is_no_store_is_refused(tmp_path: Path, make, text: str) -> None:
    make(tmp_path / "x")
    done = cli("sync", tmp_path / "x", "--to", "http://127.0.0.1:9", check=2)
    assert text in done.stderr
    assert "Accepted: a spool" in done.stderr


def test_an_empty_folder_may_be_allowed(tmp_path: Path) -> None:
    (tmp_path / "spools").mkdir()
    assert "nothing new" in cli("sync", tmp_path / "spools", "--to", "http://127.0.0.1:9", "--allow-empty").stdout


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("no database at all, but long enough to look like a file of some kind" * 20)
    assert "cannot be read" in cli("sync", tmp_path / "x.db", "--to", "http://127.0.0.1:9", check=2).stderr
