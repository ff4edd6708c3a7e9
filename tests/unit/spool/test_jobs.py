# SPDX-License-Identifier: GPL-3.0-or-later
"""Tags of a job, and what the batch system says about its end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import labtrack_spool
import mlflow
import pytest
from labtrack_spool import jobs, spool
from mlflow.tracking.context import registry

from .helpers import activate, cli, runs_of

JOB = {
    "SLURM_JOB_ID": "4712",
    "SLURM_ARRAY_JOB_ID": "4700",
    "SLURM_ARRAY_TASK_ID": "12",
    "SLURM_CLUSTER_NAME": "island",
    "SLURM_JOB_ACCOUNT": "def-ada",
    "SLURM_JOB_NUM_NODES": "2",
    "SLURM_JOB_NODELIST": "n[1-2]",
    "SLURM_GPUS_ON_NODE": "4",
}


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch):
    """This process runs in an array task, and MLflow has found the provider, as after `pip install`."""
    for name, value in JOB.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(registry._run_context_provider_registry, "_registry", [*registry._run_context_provider_registry, jobs.JobContext()])
    return JOB


def slurm(folder: Path, alive: str, cluster: str = "island", fails: bool = False) -> str:
    """PATH with a Slurm of our own, which says that these jobs are not over; it notes each question."""
    folder.mkdir(exist_ok=True)
    for name, answer in (("squeue", alive), ("scontrol", f"Configuration data\nClusterName             = {cluster}")):
        (folder / name).write_text(f"#!/bin/sh\necho {name} >>{folder}/asked\necho '{answer}'\nexit {int(fails)}\n")
        (folder / name).chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def repository(folder: Path) -> str:
    """A commit; its name."""
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@lab.example"]
    subprocess.run([*git, "init", "--quiet", "--initial-branch=main", str(folder)], check=True)
    (folder / "train.py").write_text("pass\n")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "--quiet", "-m", "x"], check=True)
    return subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()


def test_runs_of_a_job_carry_its_facts_and_its_name(job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "code").mkdir()
    made = repository(tmp_path / "code")
    monkeypatch.chdir(tmp_path / "code")
    monkeypatch.setattr(sys, "argv", ["train.py"])
    jobs.commit.cache_clear()
    activate(tmp_path / "spool")
    with mlflow.start_run() as unnamed, mlflow.start_run(run_name="mine", nested=True, tags={"job.account": "other"}) as named:
        pass
    found = mlflow.get_run(unnamed.info.run_id).data.tags
    assert unnamed.info.run_name == "4700_12"
    expected = {"job.id": "4712", "job.array_id": "4700", "job.array_task": "12", "job.cluster": "island", "job.account": "def-ada", "job.nodes": "2"}
    expected |= {"job.node_list": "n[1-2]", "job.gpus": "4", "job.scheduler": "slurm", "git.commit": made, "git.branch": "main", "git.dirty": "false"}
    assert {key: value for key, value in found.items() if key.startswith(("job.", "git."))} == expected
    assert named.info.run_name == "mine"
    assert mlflow.get_run(named.info.run_id).data.tags["job.account"] == "other"


def test_the_package_declares_the_provider() -> None:
    text = (Path(labtrack_spool.__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert '[project.entry-points."mlflow.run_context_provider"]\nlabtrack-job = "labtrack_spool.jobs:JobContext"' in text


def test_it_can_be_turned_off(job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABTRACK_RUN_NAME", "off")
    assert "mlflow.runName" not in jobs.JobContext().tags()
    monkeypatch.setenv("LABTRACK_JOB_TAGS", "off")
    assert not jobs.JobContext().in_context()


def test_outside_of_a_job_there_is_nothing() -> None:
    assert not jobs.JobContext().in_context()
    assert jobs.facts() == {}
    assert labtrack_spool.rank() == 0


def test_other_batch_systems_give_id_and_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PBS_JOBID", "9.pbs/x")
    assert jobs.facts() == {"job.scheduler": "pbs", "job.id": "9.pbs/x"}
    assert jobs.name() == spool.job_name() == "9.pbs_x"


@pytest.mark.parametrize(("variables", "expected"), [({"SLURM_PROCID": "3"}, 3), ({"RANK": "1", "SLURM_PROCID": "0"}, 1), ({"RANK": "x"}, 0)])
def test_rank(variables: dict[str, str], expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert labtrack_spool.rank() == expected


@pytest.mark.parametrize(
    ("wrote", "alive", "cluster", "expected"),
    [
        ([{"id": "1", "cluster": "island"}], "2 3", "island", True),
        ([{"id": "1", "cluster": "island"}], "1", "island", False),
        ([{"id": "1", "cluster": "island"}, {"id": "3", "cluster": "island"}], "3", "island", False),
        ([{"id": "1", "cluster": "island"}], "", "shore", False),
        ([], "", "island", False),
    ],
)
def test_whether_the_jobs_of_a_spool_are_over(wrote, alive: str, cluster: str, expected: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", slurm(tmp_path / "bin", alive, cluster))
    assert jobs.Jobs().ended({"jobs": wrote}, os.getuid()) is expected


def test_an_epilog_says_that_its_job_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", slurm(tmp_path / "bin", "7 8"))
    monkeypatch.setenv("LABTRACK_ENDED_JOBS", "7")
    assert [jobs.Jobs().ended({"jobs": [{"id": each, "cluster": "island"}]}, os.getuid()) for each in ("7", "8")] == [True, False]


def test_a_slurm_that_does_not_answer_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", slurm(tmp_path / "bin", "", fails=True))
    assert jobs.Jobs().ended({"jobs": [{"id": "1", "cluster": ""}]}, os.getuid()) is False
    assert jobs.Jobs().ended({"jobs": [{"id": "1", "cluster": "island"}]}, os.getuid()) is False


def test_sync_asks_once_and_ends_the_runs_of_jobs_that_are_over(server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in ("1", "2"):
        monkeypatch.setenv("SLURM_JOB_ID", number)
        monkeypatch.setenv("SLURM_CLUSTER_NAME", "island")
        client = activate(tmp_path / "spools" / number)
        monkeypatch.delenv("LABTRACK_SPOOL_PATH")
        found = client.get_experiment_by_name("jobs") or client.get_experiment(client.create_experiment("jobs"))
        client.log_metric(client.create_run(found.experiment_id, run_name=number, tags={"number": number}).info.run_id, "x", 1.0, timestamp=1_700_000_000_000)
        assert spool.settings(tmp_path / "spools" / number)["jobs"] == [{"id": number, "cluster": "island"}]
    monkeypatch.setenv("PATH", slurm(tmp_path / "bin", "2"))
    cli("sync", tmp_path / "spools", "--to", server.uri, "--running-as", "JOB")
    assert [run.info.status for run in runs_of(server, "jobs")] == ["KILLED", "RUNNING"]
    assert (tmp_path / "bin" / "asked").read_text().split() == ["scontrol", "squeue"]
    monkeypatch.setenv("PATH", slurm(tmp_path / "bin", ""))
    cli("sync", tmp_path / "spools", "--to", server.uri, "--running-as", "JOB")
    assert [run.info.status for run in runs_of(server, "jobs")] == ["KILLED", "KILLED"]
