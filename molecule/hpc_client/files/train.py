# SPDX-License-Identifier: GPL-3.0-or-later
"""A job: two runs that end, and one that the time limit ends. Values and their times are fixed, so that two jobs can be compared."""

from __future__ import annotations

import math
import os
import signal
import socket
import sys
import urllib.parse

import matplotlib.pyplot as plt
import mlflow
from mlflow.entities import Metric

START = 1_700_000_000_000


class Model(mlflow.pyfunc.PythonModel):
    """Doubles."""

    def predict(self, context, model_input: list[float], params=None) -> list[float]:
        return [2 * value for value in model_input]


def log(run: str, points: int) -> None:
    """A history of each of two metrics."""
    client = mlflow.MlflowClient()
    for begin in range(0, points, 500):
        steps = range(begin, min(begin + 500, points))
        client.log_batch(run, metrics=[Metric("loss", math.exp(-step / 100), START + step, step) for step in steps])
        client.log_batch(run, metrics=[Metric("odd", math.nan if step % 7 == 0 else -step, START + step, step) for step in steps])


def main() -> None:
    """The runs."""
    address = urllib.parse.urlsplit(os.environ["LABTRACK_SPOOL_SERVER"])
    try:
        socket.create_connection((address.hostname, address.port or 443), timeout=10).close()
        print("the server can be reached")
    except OSError as error:
        print(f"the server cannot be reached: {error}")
    with mlflow.start_run(description="a note") as run:
        mlflow.log_params({"rate": 0.1, "depth": 3})
        log(run.info.run_id, 2000)
        figure, axes = plt.subplots()
        axes.plot([1, 2, 4])
        mlflow.log_figure(figure, "figures/curve.png")
        mlflow.log_text("häuser", "notes/a.txt")
        name = os.environ["MLFLOW_EXPERIMENT_NAME"]
        mlflow.pyfunc.log_model(name="model", python_model=Model(), registered_model_name=name, pip_requirements=["mlflow-skinny"])
    with mlflow.start_run(run_name="second", tags={"mine": "yes"}) as run:
        log(run.info.run_id, 10)
    with mlflow.start_run(run_name="killed") as run:
        log(run.info.run_id, 300)
        mlflow.log_text("before the end", "notes/b.txt")
        if "--wait" in sys.argv:
            print("waiting for the time limit", flush=True)
            while True:
                signal.pause()


if __name__ == "__main__":
    main()
