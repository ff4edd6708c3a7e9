# SPDX-License-Identifier: GPL-3.0-or-later
"""What a researcher does, with the real client: log a run, read it back, compare. Needs mlflow, scikit-learn, matplotlib.

The server comes from the environment, as a person's bundle sets it. `round_trip.py [MEGABYTES]`, 100 by default.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import time
from pathlib import Path

import matplotlib as mpl
import mlflow
import numpy as np
from mlflow import MlflowClient
from sklearn.linear_model import LogisticRegression

EXPERIMENT = "round-trip"
STEPS = 100


def say(what: str, started: float) -> None:
    """One line per thing that was compared."""
    print(f"  {what:52} {time.monotonic() - started:6.1f} s", flush=True)


def sha256(path: Path) -> str:
    """Checksum of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def log_run(work: Path, megabytes: int) -> tuple[str, dict[str, object]]:
    """Log one run; what must be found again."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    features = np.random.default_rng(0).normal(size=(200, 4))
    model = LogisticRegression().fit(features, features[:, 0] > 0)
    big = work / "big.bin"
    with big.open("wb") as stream:
        for _ in range(megabytes):
            stream.write(os.urandom(1 << 20))
    figure, axes = plt.subplots()
    axes.plot(np.linspace(0, 1, STEPS) ** 2)
    mlflow.set_experiment(EXPERIMENT)
    losses = [1.0 / (step + 1) for step in range(STEPS)]
    with mlflow.start_run(run_name="round trip") as run:
        started = time.monotonic()
        mlflow.log_params({"learning_rate": 0.1, "epochs": STEPS})
        for step, loss in enumerate(losses):
            mlflow.log_metric("loss", loss, step=step)
        say(f"logged 2 parameters and {STEPS} metric points", started)
        started = time.monotonic()
        mlflow.log_figure(figure, "curve.png")
        say("logged a figure", started)
        started = time.monotonic()
        mlflow.log_artifact(str(big))
        say(f"logged an artifact of {megabytes} MB", started)
        started = time.monotonic()
        info = mlflow.sklearn.log_model(model, name="model", input_example=features[:2])
        say("logged a model", started)
    return run.info.run_id, {"losses": losses, "sha256": sha256(big), "model_uri": info.model_uri, "features": features, "expected": model.predict(features)}


def compare(run_id: str, want: dict[str, object], work: Path) -> None:
    """Read everything back; an AssertionError names what differs."""
    client, started = MlflowClient(), time.monotonic()
    run = client.get_run(run_id)
    assert run.info.status == "FINISHED", run.info.status
    assert run.data.params == {"learning_rate": "0.1", "epochs": str(STEPS)}, run.data.params
    history = [(point.step, point.value) for point in client.get_metric_history(run_id, "loss")]
    assert history == list(enumerate(want["losses"])), "the metric history differs"
    say("parameters and metric history are the same", started)
    started = time.monotonic()
    names = {item.path for item in client.list_artifacts(run_id)}
    assert {"curve.png", "big.bin"} <= names, names
    png = Path(client.download_artifacts(run_id, "curve.png", str(work))).read_bytes()
    assert png.startswith(b"\x89PNG"), "the figure is not a PNG"
    (work / "back").mkdir()
    assert sha256(Path(client.download_artifacts(run_id, "big.bin", str(work / "back")))) == want["sha256"], "the artifact differs"
    say("the figure and the artifact are the same", started)
    started = time.monotonic()
    loaded = mlflow.sklearn.load_model(want["model_uri"])
    assert (loaded.predict(want["features"]) == want["expected"]).all(), "the model predicts something else"
    say("the model predicts the same", started)


def main() -> int:
    """Log, read back, compare; the run's address on the last line."""
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as directory:
        run_id, want = log_run(Path(directory), megabytes)
        compare(run_id, want, Path(directory))
    experiment = MlflowClient().get_experiment_by_name(EXPERIMENT).experiment_id
    print(f"{mlflow.get_tracking_uri()}/#/experiments/{experiment}/runs/{run_id}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
