# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab that never stops writing: what the server has acknowledged goes into a journal, so that it can be asked for afterwards.

Runs with the real client's Python; the server comes from the environment, as a person's bundle sets it. `lab_writer.py JOURNAL`, until SIGTERM.
Four lanes write side by side. `runs` and `files` are MLflow's client as everybody has it: it repeats what fails. `metrics` and `objects`
are single requests that nobody repeats, several a second, so that a failure shows when it begins and when it ends.

A line of the journal is a JSON object: `time` (seconds since 1970) and `begun` (the same, of the request), `lane`, and either `error` or what was acknowledged.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import requests
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

PAUSE_SECONDS = 0.2
PATIENCE_SECONDS = 30  # of a single request; the client's own is MLflow's default
SMALL, LARGE = 20_000, 6_000_000
EXPERIMENT = "faults"


class Journal:
    """Lines of what was acknowledged; each is written before the next request begins."""

    def __init__(self, path: Path) -> None:
        self._file, self._lock = path.open("a", encoding="utf-8"), threading.Lock()

    def add(self, lane: str, begun: float, **what: object) -> None:
        """One line."""
        line = json.dumps({"time": time.time(), "begun": begun, "lane": lane, **what})
        with self._lock:
            self._file.write(line + "\n")
            self._file.flush()


class Lab:
    """The four lanes."""

    def __init__(self, journal: Journal) -> None:
        self.journal, self.stopped = journal, threading.Event()
        self.client = MlflowClient()
        found = self.client.get_experiment_by_name(EXPERIMENT)
        self.experiment = found.experiment_id if found else self.client.create_experiment(EXPERIMENT)
        self.server, self.verify = os.environ["MLFLOW_TRACKING_URI"], os.environ["MLFLOW_TRACKING_SERVER_CERT_PATH"]
        self.login = (os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"])

    def attempt(self, lane: str, what: dict[str, object], action: Callable[[], object]) -> object:
        """Do it, and write down what came of it."""
        begun = time.time()
        try:
            result = action()
        except (MlflowException, OSError, ValueError) as error:  # those of requests are OSErrors
            self.journal.add(lane, begun, error=f"{type(error).__name__}: {error}"[:1500])
            return None
        self.journal.add(lane, begun, **{key: value(result) if callable(value) else value for key, value in what.items()})
        return result

    def runs(self) -> None:
        """Runs with parameters and metrics, one after the other."""
        number = 0
        while not self.stopped.is_set():
            number += 1
            run = self.attempt("runs", {"run": lambda made: made.info.run_id}, partial(self.client.create_run, self.experiment))
            if not run:
                continue
            key, ask, values = run.info.run_id, self.client, [(number * 12 + step) / 7 for step in range(12)]
            self.attempt("runs", {"run": key, "param": ["number", str(number)]}, partial(ask.log_param, key, "number", str(number)))
            for step, value in enumerate(values[:2]):
                self.attempt("runs", {"run": key, "metric": ["loss", step, value]}, partial(ask.log_metric, key, "loss", value, step=step))
            points = [["loss", step, value] for step, value in enumerate(values[2:], 2)]
            many = [Metric(name, value, int(time.time() * 1000), step) for name, step, value in points]
            batch = {"run": key, "metrics": points, "param": ["batch", str(values[0])]}
            self.attempt("runs", batch, partial(ask.log_batch, key, many, [Param("batch", str(values[0]))]))
            self.attempt("runs", {"run": key, "status": "FINISHED"}, partial(ask.set_terminated, key))

    def files(self) -> None:
        """Artifacts of two sizes, all different."""
        run = self.client.create_run(self.experiment).info.run_id
        number = 0
        with tempfile.TemporaryDirectory() as folder:
            while not self.stopped.is_set():
                number += 1
                file = Path(folder, f"{number}.bin")
                content = os.urandom(LARGE if number % 5 == 0 else SMALL)
                file.write_bytes(content)
                what = {"run": run, "file": file.name, "sha256": hashlib.sha256(content).hexdigest()}
                self.attempt("files", what, partial(self.client.log_artifact, run, str(file)))
                file.unlink()
                self.stopped.wait(PAUSE_SECONDS)

    def single(self, method: str, path: str, **arguments: object) -> None:
        """One request on a connection of its own, never repeated; an answer that is no success is an error with its text."""
        answer = requests.request(method, self.server + path, auth=self.login, verify=self.verify, timeout=PATIENCE_SECONDS, **arguments)
        if answer.status_code != 200:
            raise OSError(f"{answer.status_code} {answer.text}")

    def metrics(self) -> None:
        """Points of one metric."""
        run = self.client.create_run(self.experiment).info.run_id
        step = 0
        while not self.stopped.is_set():
            step += 1
            body = {"run_id": run, "key": "pulse", "value": step / 7, "timestamp": int(time.time() * 1000), "step": step}
            what = {"run": run, "metric": ["pulse", step, step / 7]}
            self.attempt("metrics", what, partial(self.single, "POST", "/api/2.0/mlflow/runs/log-metric", json=body))
            self.stopped.wait(PAUSE_SECONDS)

    def objects(self) -> None:
        """Small artifacts."""
        run = self.client.create_run(self.experiment)
        place = run.info.artifact_uri.removeprefix("mlflow-artifacts:/").lstrip("/")
        number = 0
        while not self.stopped.is_set():
            number += 1
            content = os.urandom(2000)
            what = {"run": run.info.run_id, "file": f"pulse-{number}", "sha256": hashlib.sha256(content).hexdigest()}
            path = f"/api/2.0/mlflow-artifacts/artifacts/{place}/pulse-{number}"
            self.attempt("objects", what, partial(self.single, "PUT", path, data=content))
            self.stopped.wait(PAUSE_SECONDS)


def main() -> None:
    """Write until told to stop."""
    lab = Lab(Journal(Path(sys.argv[1])))
    signal.signal(signal.SIGTERM, lambda *_: lab.stopped.set())
    lanes = [threading.Thread(target=lane, daemon=True) for lane in (lab.runs, lab.files, lab.metrics, lab.objects)]
    for lane in lanes:
        lane.start()
    while not lab.stopped.wait(1):
        pass
    for lane in lanes:
        lane.join(5)


if __name__ == "__main__":
    main()
