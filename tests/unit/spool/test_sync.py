# SPDX-License-Identifier: GPL-3.0-or-later
"""What sync does when it is repeated, killed, refused, or when the job still writes."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
import pytest
from mlflow.entities import Metric, ViewType

from .helpers import activate, cli, command, leave, runs_of, small_spool, use, wait_until
from .relay import Relay, kill


def counts(done: subprocess.CompletedProcess[str]) -> dict[str, int]:
    """What a run with --json has sent."""
    return {key: value for key, value in json.loads(done.stdout.splitlines()[-1])["counts"].items() if value and key != "runs looked at"}


def test_twice_makes_nothing_new(server, tmp_path: Path) -> None:
    small_spool(tmp_path / "spool", "twice")
    first = counts(cli("sync", tmp_path / "spool", "--to", server.uri, "--json"))
    assert (first["runs"], first["metrics"], first["artifacts"]) == (3, 90, 6)
    assert counts(cli("sync", tmp_path / "spool", "--to", server.uri, "--json")) == {}
    runs = runs_of(server, "twice")
    assert [run.data.tags["number"] for run in runs] == ["0", "1", "2"]
    cli("verify", tmp_path / "spool", "--to", server.uri)


def test_without_its_state_the_server_is_asked(server, tmp_path: Path) -> None:
    small_spool(tmp_path / "spool", "lost state")
    cli("sync", tmp_path / "spool", "--to", server.uri)
    use(server.uri).set_tag(runs_of(server, "lost state")[0].info.run_id, "number", "0 changed by a person")
    shutil.rmtree(tmp_path / "spool" / ".labtrack-spool")
    again = counts(cli("sync", tmp_path / "spool", "--to", server.uri, "--json"))
    assert "runs" not in again
    runs = runs_of(server, "lost state")
    assert len(runs) == 3
    assert runs[0].data.tags["number"] == "0 changed by a person"
    history = use(server.uri).get_metric_history(runs[0].info.run_id, "m0")
    assert len(history) == 10


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_at_every_request(server, tmp_path: Path, moment: str) -> None:
    """kill -9 when the n-th request is under way: the server has not heard of it (before), or has done it, and nobody knows (after)."""
    small_spool(tmp_path / "spool", "killed", runs=2, points=6, files=1)
    source = tmp_path / "spool"
    number = 0
    while True:
        number += 1 if moment == "after" else 3
        name = f"killed {moment} {number}"
        spool = tmp_path / f"copy-{number}"
        shutil.copytree(source, spool)
        words = ["sync", str(spool), "--rename-experiment", f"killed={name}", "--workers", "1", "--quiet"]
        process: list[subprocess.Popen[bytes]] = []
        started = threading.Event()

        def strike(request: int, _method: str, _path: str, at: int = number, process=process, started=started) -> bool:
            if request != at:
                return False
            started.wait(10)
            kill(process[0].pid)
            process[0].wait()
            return True

        hooks = {"after": strike} if moment == "after" else {"before": lambda *args, strike=strike: (500, {}) if strike(*args) else None}
        with Relay(server.port, **hooks) as relay:
            process.append(subprocess.Popen(command(*words, "--to", relay.uri)))
            started.set()
            code = process[0].wait(120)
        if code == 0:
            break
        assert code == -9
        shutil.move(spool / ".labtrack-spool", spool / ".state-of-the-relay")
        state = next((spool / ".state-of-the-relay").rglob("state.db"))
        _rename_server(state, relay.uri, server.uri)
        shutil.move(spool / ".state-of-the-relay", spool / ".labtrack-spool")
        cli(*words, "--to", server.uri, "--verify")
        runs = runs_of(server, name)
        assert [run.data.tags["number"] for run in runs] == ["0", "1"], f"killed at request {number}"
        assert all(run.info.status == "FINISHED" for run in runs)
    assert number > 10


def _rename_server(state: Path, old: str, new: str) -> None:
    """The relay has an address of its own; the state must speak of the server behind it."""
    import sqlite3

    with sqlite3.connect(state) as connection:
        assert connection.execute("UPDATE sent SET server = ? WHERE server = ?", (new, old)).rowcount >= 0


def test_a_server_with_hiccups(server, tmp_path: Path) -> None:
    """429, 503, 500 and lost answers on every third request: nothing is lost, nothing is there twice."""
    small_spool(tmp_path / "spool", "hiccups", runs=4)

    def refuse(number: int, _method: str, _path: str) -> tuple[int, dict[str, str]] | None:
        return {0: (429, {"Retry-After": "1"}), 6: (503, {}), 9: (502, {})}.get(number % 12)

    def swallow(number: int, _method: str, _path: str) -> bool:
        return number % 12 == 3

    with Relay(server.port, refuse, swallow) as relay:
        done = cli("sync", tmp_path / "spool", "--to", relay.uri, "--json", "--workers", 3)
    assert counts(done)["metrics"] == 120
    assert [run.data.tags["number"] for run in runs_of(server, "hiccups")] == ["0", "1", "2", "3"]


def test_watch_follows_a_job_that_writes(server, tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    client = activate(spool)
    identity = client.create_experiment("watched")
    run = client.create_run(identity, tags={"number": "0"}).info.run_id
    client.log_metric(run, "loss", 1.0, 1, 0)
    process = subprocess.Popen(command("sync", spool, "--to", server.uri, "--watch", "0.3", "--until-done", "--quiet"))
    try:
        there = use(server.uri)
        target = wait_until(lambda: [found for found in runs_of(server, "watched") if found.data.metrics])[0]
        assert target.info.status == "RUNNING"
        client.log_batch(run, metrics=[Metric("loss", step / 2, 2, step) for step in range(1, 500)])
        client.set_tag(run, "number", "one")
        client.log_text(run, "late", "late.txt")
        wait_until(lambda: there.get_run(target.info.run_id).data.metrics["loss"] == 499 / 2)
        wait_until(lambda: [entry.path for entry in there.list_artifacts(target.info.run_id)] == ["late.txt"])
        assert process.poll() is None
        client.set_terminated(run, "FAILED")
        assert process.wait(60) == 0
    finally:
        process.kill()
    found = there.get_run(target.info.run_id)
    assert (found.info.status, found.data.tags["number"]) == ("FAILED", "one")
    assert len(there.get_metric_history(target.info.run_id, "loss")) == 500
    leave()
    cli("verify", spool, "--to", server.uri)


def test_an_array_job_of_many_spools(server, tmp_path: Path) -> None:
    for task in range(6):
        small_spool(tmp_path / "spools" / f"99_{task}", "array", runs=2, points=9, files=1)
    words = ["sync", tmp_path / "spools", "--to", server.uri, "--json"]
    with ThreadPoolExecutor(3) as pool:  # three syncs at once: a timer, an epilog, and a person
        done = list(pool.map(lambda _number: cli(*words), range(3)))
    cli(*words)
    assert sum(counts(each).get("runs", 0) for each in done) <= 12
    assert len(runs_of(server, "array")) == 12
    cli("verify", tmp_path / "spools", "--to", server.uri)


def test_runs_that_never_ended(server, tmp_path: Path) -> None:
    client = activate(tmp_path / "spool")
    run = client.create_run(client.create_experiment("time limit"), start_time=1_700_000_000_000).info.run_id
    client.log_metric(run, "loss", 1.0, 1_700_000_005_000, 0)
    leave()
    cli("sync", tmp_path / "spool", "--to", server.uri)
    assert runs_of(server, "time limit")[0].info.status == "RUNNING"
    cli("sync", tmp_path / "spool", "--to", server.uri, "--running-as", "KILLED")
    info = runs_of(server, "time limit")[0].info
    assert (info.status, info.end_time) == ("KILLED", 1_700_000_005_000)


def test_an_experiment_that_was_deleted_on_the_server(server, tmp_path: Path) -> None:
    small_spool(tmp_path / "spool", "gone", runs=1)
    client = use(server.uri)
    client.delete_experiment(client.create_experiment("gone"))
    refused = cli("sync", tmp_path / "spool", "--to", server.uri, check=1)
    assert "experiment 'gone' is deleted on the server" in refused.stderr
    assert cli("sync", tmp_path / "spool", "--to", server.uri, "--dry-run", check=1).stderr.count("deleted on the server") == 1
    cli("sync", tmp_path / "spool", "--to", server.uri, "--restore-deleted")
    assert len(runs_of(server, "gone", ViewType.ACTIVE_ONLY)) == 1


def test_a_run_that_somebody_deleted_on_the_server_stays_deleted(server, tmp_path: Path) -> None:
    small_spool(tmp_path / "spool", "deleted there", runs=1)
    cli("sync", tmp_path / "spool", "--to", server.uri)
    client = use(server.uri)
    client.delete_run(runs_of(server, "deleted there")[0].info.run_id)
    writer = activate(tmp_path / "spool")
    source = writer.search_runs([writer.get_experiment_by_name("deleted there").experiment_id])[0].info.run_id
    writer.log_metric(source, "late", 1.0)
    leave()
    done = cli("sync", tmp_path / "spool", "--to", server.uri)
    assert "left alone" in done.stdout
    assert [run.info.lifecycle_stage for run in runs_of(server, "deleted there")] == ["deleted"]


def test_dry_run_changes_nothing(server, tmp_path: Path) -> None:
    small_spool(tmp_path / "spool", "dry")
    planned = counts(cli("sync", tmp_path / "spool", "--to", server.uri, "--dry-run", "--json"))
    assert (planned["runs"], planned["metrics"], planned["artifacts"], planned["bytes"]) == (3, 90, 6, 600)
    assert use(server.uri).get_experiment_by_name("dry") is None


def test_verify_finds_what_differs(server, tmp_path: Path) -> None:
    small_spool(tmp_path / "spool", "differs")
    cli("sync", tmp_path / "spool", "--to", server.uri)
    client = use(server.uri)
    first, second, third = (run.info.run_id for run in runs_of(server, "differs"))
    client.set_tag(first, "number", "other")
    client.log_metric(second, "m0", 77.0, 1, 1)
    (server.folder / "artifacts" / client.get_experiment_by_name("differs").experiment_id / third / "artifacts" / "d0" / "file").write_text("short")
    found = cli("verify", tmp_path / "spool", "--to", server.uri, check=1).stderr
    assert found.count("PROBLEM") == 3
    for text in ("tags: spool", "metric 'm0': 10 points in the spool, 11 on the server", "artifacts: 1 of 2 differ, for instance 'd0/file'"):
        assert text in found


def test_a_wrong_password_stops_at_once(server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_spool(tmp_path / "spool", "login", runs=1)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "wrong")
    done = cli("sync", tmp_path / "spool", "--to", server.uri, check=2)
    assert "the login is missing or wrong" in done.stderr
    assert "wrong-" not in done.stderr
    monkeypatch.delenv("MLFLOW_TRACKING_PASSWORD")
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME")
    folder = tmp_path / "home" / ".mlflow"
    folder.mkdir(parents=True)
    (folder / "credentials").write_text("[mlflow]\nmlflow_tracking_username = ada\nmlflow_tracking_password = correct-horse-battery\n")
    cli("sync", tmp_path / "spool", "--to", server.uri)


def test_names_that_the_spool_may_hold(server, tmp_path: Path) -> None:
    client = activate(tmp_path / "spool")
    run = client.create_run(client.create_experiment("quo'te % ü/x"), run_name="r ü'").info.run_id
    client.log_metric(run, "train/loss ü", 1.0)
    client.log_param(run, "a.b/c-d e", "x" * 6000)
    client.set_tag(run, "key ü", "'; drop table\n\t\u2028")
    client.log_text(run, "x", "odd/na me +ü.txt")
    leave()
    cli("sync", tmp_path / "spool", "--to", server.uri, "--verify")
    found = runs_of(server, "quo'te % ü/x")[0]
    assert found.data.tags["key ü"] == "'; drop table\n\t\u2028"
    assert mlflow.artifacts.load_text(f"{found.info.artifact_uri}/odd/na me +ü.txt") == "x"
