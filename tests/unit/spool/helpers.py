# SPDX-License-Identifier: GPL-3.0-or-later
"""What several tests of labtrack-spool do."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Metric, ViewType


def use(uri: str) -> mlflow.MlflowClient:
    """Let MLflow in this process talk to that address."""
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    mlflow.tracking.fluent._active_experiment_id = None
    os.environ.pop("MLFLOW_EXPERIMENT_ID", None)
    return mlflow.MlflowClient(uri, uri)


def leave() -> None:
    """Let MLflow in this process forget where it logged to."""
    mlflow.set_tracking_uri(None)
    mlflow.set_registry_uri(None)
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "LABTRACK_SPOOL_PATH"):
        os.environ.pop(name, None)


def activate(folder: Path) -> mlflow.MlflowClient:
    """Make a spool and log to it."""
    import labtrack_spool

    labtrack_spool.activate(folder)
    return use(os.environ["MLFLOW_TRACKING_URI"])


def small_spool(folder: Path, experiment: str, runs: int = 3, points: int = 30, files: int = 2) -> None:
    """A spool with a few runs, in the fastest way of MLflow's client."""
    client = activate(folder)
    identity = client.create_experiment(experiment)
    (folder.parent / "file").write_text("x" * 100)
    for number in range(runs):
        run = client.create_run(identity, run_name=f"run {number}", tags={"number": str(number)}).info.run_id
        client.log_param(run, "p", number)
        client.log_batch(run, metrics=[Metric(f"m{point % 3}", point / 7, 1_700_000_000_000 + point, point // 3) for point in range(points)])
        for name in range(files):
            client.log_artifact(run, str(folder.parent / "file"), f"d{name}")
        client.set_terminated(run)
    leave()


def command(*words: Any, **environment: str) -> list[str]:
    """Command line of labtrack-spool."""
    return [sys.executable, "-m", "labtrack_spool", *map(str, words)]


def cli(*words: Any, check: int | None = 0) -> subprocess.CompletedProcess[str]:
    """Run labtrack-spool; the exit status must be `check`."""
    done = subprocess.run(command(*words), capture_output=True, text=True, check=False, timeout=300)
    assert check is None or done.returncode == check, (done.returncode, done.stdout, done.stderr)
    return done


def runs_of(server: Any, experiment: str, view: int = ViewType.ALL) -> list[Any]:
    """All runs of an experiment on a server, sorted by their tag `number`."""
    client = use(server.uri)
    found = client.get_experiment_by_name(experiment)
    runs = list(client.search_runs([found.experiment_id], run_view_type=view, max_results=5000)) if found else []
    return sorted(runs, key=lambda run: (run.data.tags.get("number", ""), run.info.run_name))


def wait_until(ready: Callable[[], Any], seconds: float = 60) -> Any:
    """The first true answer."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ready()
        if answer:
            return answer
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.1)
