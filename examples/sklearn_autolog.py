# SPDX-License-Identifier: GPL-3.0-or-later
"""scikit-learn with autolog: parameters, metrics, figures and the model of each fit are logged, with no line about MLflow in the training."""

from __future__ import annotations

import os

import mlflow
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV, train_test_split


def main() -> None:
    """Log one search; its candidates become child runs."""
    mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", "examples"))
    mlflow.sklearn.autolog(max_tuning_runs=4)
    features, labels = load_iris(return_X_y=True, as_frame=True)
    train_x, test_x, train_y, test_y = train_test_split(features, labels, random_state=0)
    with mlflow.start_run(run_name="sklearn autolog") as run:
        search = GridSearchCV(RandomForestClassifier(random_state=0), {"max_depth": [2, 4], "n_estimators": [10, 20]}, cv=3)
        search.fit(train_x, train_y)
        mlflow.log_metric("test_accuracy", search.score(test_x, test_y))
    print(f"run {run.info.run_id}")


if __name__ == "__main__":
    main()
