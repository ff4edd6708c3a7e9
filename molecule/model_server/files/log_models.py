# SPDX-License-Identifier: GPL-3.0-or-later
"""Log models as a person does, with MLflow's own client: `log_models.py NAME KIND VALUE [ALIAS]`; prints the version.

KIND constant: a regressor that always says VALUE. iris: a classifier. broken: as constant, without what it needs. address: requirements that name an address.
"""

import sys

import mlflow
import pandas as pd
from mlflow.models import infer_signature
from sklearn.datasets import load_iris
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import LogisticRegression

SMALL = [f"mlflow-skinny=={mlflow.__version__}", "pandas", "numpy"]
WHOLE = [*SMALL, "scikit-learn", "skops"]
REQUIREMENTS = {"constant": WHOLE, "broken": SMALL, "address": [*WHOLE, "nice @ https://packages.example.org/nice-1.0-py3-none-any.whl"]}


def main() -> None:
    """Entry point."""
    name, kind, value, *alias = sys.argv[1:]
    if kind == "iris":
        data = load_iris(as_frame=True)
        features, model = data.data, LogisticRegression(max_iter=500).fit(data.data, data.target)
        requirements = WHOLE
    else:
        features = pd.DataFrame({"x": [0.0, 1.0, 2.0]})
        model, requirements = DummyRegressor(strategy="constant", constant=float(value)).fit(features, [0.0, 0.0, 0.0]), REQUIREMENTS[kind]
    mlflow.set_experiment("models")
    with mlflow.start_run():
        signature = infer_signature(features, model.predict(features))
        options = {"signature": signature, "input_example": features.head(2), "pip_requirements": requirements}
        info = mlflow.sklearn.log_model(model, name="model", **options)
    version = mlflow.register_model(info.model_uri, name).version
    for each in alias:
        mlflow.MlflowClient().set_registered_model_alias(name, each, version)
    print(f"version {version}")


if __name__ == "__main__":
    main()
