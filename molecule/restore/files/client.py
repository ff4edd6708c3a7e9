# SPDX-License-Identifier: GPL-3.0-or-later
"""What people do, with the real client. usage: client.py log|write|read FILE; the server comes from the environment.

log    100 runs with parameters, metrics and 5 artifacts each; FILE gets run, path and SHA-256 of each
write  one metric after the other until it is killed; FILE gets the step and the time of each that the server has acknowledged
read   every artifact of FILE, byte by byte
"""

import hashlib
import json
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric

RUNS, ARTIFACTS, THREADS = 100, 5, 4


def log_run(client: MlflowClient, experiment: str, number: int) -> list:
    """One run; what must be found again."""
    run = client.create_run(experiment, run_name=f"client {number}").info.run_id
    metrics = [Metric("loss", 1 / (step + 1), 1_700_000_000_000 + step, step) for step in range(20)]
    client.log_batch(run, metrics=metrics)
    client.log_param(run, "number", number)
    found = []
    with tempfile.TemporaryDirectory() as directory:
        for index in range(ARTIFACTS):
            content = os.urandom(2000 + 997 * index)
            path = Path(directory, f"{index}.bin")
            path.write_bytes(content)
            found.append([run, f"data/{path.name}", hashlib.sha256(content).hexdigest()])
        client.log_artifacts(run, directory, "data")
    client.set_terminated(run)
    return found


def log(client: MlflowClient, file: Path) -> None:
    experiment = client.create_experiment("restore")
    with ThreadPoolExecutor(THREADS) as pool:
        found = [item for part in pool.map(lambda number: log_run(client, experiment, number), range(RUNS)) for item in part]
    file.write_text(json.dumps(found), encoding="utf-8")


def write(client: MlflowClient, file: Path) -> None:
    run = client.create_run(client.get_experiment_by_name("restore").experiment_id, run_name="until the end").info.run_id
    with file.open("w", encoding="utf-8") as stream:
        print(run, file=stream, flush=True)
        for step in range(10**9):
            client.log_metric(run, "step", step, step=step)
            print(step, time.time(), file=stream, flush=True)


def read(_client: MlflowClient, file: Path) -> None:
    def wrong(item: list) -> bool:
        run, path, checksum = item
        with tempfile.TemporaryDirectory() as directory:
            local = mlflow.artifacts.download_artifacts(run_id=run, artifact_path=path, dst_path=directory)
            return hashlib.sha256(Path(local).read_bytes()).hexdigest() != checksum

    wanted = json.loads(file.read_text(encoding="utf-8"))
    with ThreadPoolExecutor(THREADS) as pool:
        different = sum(pool.map(wrong, wanted))
    print(f"{len(wanted)} artifacts read, {different} differ")
    sys.exit(different != 0)


{"log": log, "write": write, "read": read}[sys.argv[1]](MlflowClient(), Path(sys.argv[2]))
