# SPDX-License-Identifier: GPL-3.0-or-later
"""The model registry: versions of one model, the alias that programs load, and what its version came from.

usage: model_registry.py [NAME]     the registered model, `examples-iris` unless given
"""

from __future__ import annotations

import os
import sys

import mlflow
from mlflow.tracking import MlflowClient
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

ALIAS = "champion"


def main(name: str) -> None:
    """Register two versions, give the better one the alias, load it by the alias alone."""
    features, labels = load_iris(return_X_y=True, as_frame=True)
    train_x, test_x, train_y, test_y = train_test_split(features, labels, random_state=0)
    mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", "examples"))
    client, best = MlflowClient(), (-1.0, "")
    with mlflow.start_run(run_name="model registry") as run:
        for label, strength in (("strict", 0.001), ("loose", 1.0)):
            model = LogisticRegression(C=strength, max_iter=500).fit(train_x, train_y)
            accuracy = float(model.score(test_x, test_y))
            logged = mlflow.sklearn.log_model(model, name=label, input_example=train_x[:2], registered_model_name=name)
            client.set_model_version_tag(name, logged.registered_model_version, "accuracy", f"{accuracy:.3f}")
            best = max(best, (accuracy, str(logged.registered_model_version)))
        client.set_registered_model_alias(name, ALIAS, best[1])
    loaded = mlflow.sklearn.load_model(f"models:/{name}@{ALIAS}")
    print(f"version {best[1]} of {name} is {ALIAS}: accuracy {loaded.score(test_x, test_y):.3f}")
    print(f"run {run.info.run_id}")


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["examples-iris"]))
