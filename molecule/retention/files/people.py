# SPDX-License-Identifier: GPL-3.0-or-later
"""What people of a lab do with the real client, through a TCP port that is forwarded to the server's socket.

usage: people.py SOCKET CREDENTIALS ACTION [ARGUMENT…]; prints JSON
"""

import json
import os
import sys
import tempfile
from pathlib import Path

from socket_client import connect


def log_run(mlflow, experiment: str, files: dict) -> str:
    """A run with files; its id."""
    with mlflow.start_run(experiment_id=experiment) as run:
        mlflow.log_metric("loss", 0.5)
        for name, text in files.items():
            mlflow.log_text(text, name)
    return run.info.run_id


def log_model(mlflow, experiment: str, registered: str) -> dict:
    """A model in a run, registered."""
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder, "model.py")
        code.write_text(
            "import mlflow\nclass Twice(mlflow.pyfunc.PythonModel):\n    def predict(self, context, model_input: list[str]):\n"
            "        return [word * 2 for word in model_input]\nmlflow.models.set_model(Twice())\n"
        )
        with mlflow.start_run(experiment_id=experiment) as run:
            found = mlflow.pyfunc.log_model(name="twice", python_model=str(code), registered_model_name=registered, pip_requirements=[])
    return {"run": run.info.run_id, "model": found.model_id}


def make(mlflow) -> dict:
    """Runs, a registered model, an old-style version in a run, a table, a trace, an empty run."""
    client = mlflow.MlflowClient()
    mlflow.set_experiment("lab")
    lab = mlflow.get_experiment_by_name("lab").experiment_id
    made = {"lab": lab, "full": log_run(mlflow, lab, {"a.txt": "a" * 1000, "sub/b.txt": "b"}), "empty": log_run(mlflow, lab, {})}
    made["twice"] = log_model(mlflow, lab, "twice")
    made["old_style"] = log_run(mlflow, lab, {"model/MLmodel": "flavors: {}", "other.txt": "x"})
    client.create_registered_model("old")
    client.create_model_version("old", f"{client.get_run(made['old_style']).info.artifact_uri}/model", made["old_style"])
    with mlflow.start_run(experiment_id=lab) as run:
        mlflow.log_table({"x": [1, 2]}, "table.json")
    made["table"] = run.info.run_id
    mlflow.genai.register_prompt("greeting", "Hello {{name}}")
    with mlflow.start_span("question") as span:
        span.set_inputs({"text": "why"})
    mlflow.flush_trace_async_logging()
    made["trace"] = span.trace_id
    made["gone"] = [log_run(mlflow, lab, {f"{number}.txt": "z" * 100 for number in range(3)}) for _ in range(3)]
    made["old_experiment"] = client.create_experiment("old-experiment")
    made["in_old"] = log_run(mlflow, made["old_experiment"], {"c.txt": "c"})
    return made


def use(mlflow, experiment: str, metric_points: int, size: int) -> dict:
    """What one person does in an experiment of their own: two runs of which one is deleted, and a file."""
    identity = mlflow.set_experiment(experiment).experiment_id
    with mlflow.start_run() as run:
        for step in range(metric_points):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.log_params({"rate": 0.1, "depth": 3})
        mlflow.log_text("x" * size, "x.txt")
    mlflow.MlflowClient().delete_run(log_run(mlflow, identity, {}))
    return {"experiment": identity, "run": run.info.run_id}


def create_user(name: str, password: str) -> int:
    """Somebody who can log in; the status."""
    import requests

    login = (os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"])
    url = f"{os.environ['MLFLOW_TRACKING_URI']}/api/2.0/mlflow/users/create"
    return requests.post(url, json={"username": name, "password": password}, auth=login, timeout=30).status_code


def main(socket_file: str, credentials_file: str, action: str, *arguments: str) -> None:
    """One action."""
    connect(socket_file, credentials_file)
    import mlflow

    client = mlflow.MlflowClient()
    if action == "make":
        answer = make(mlflow)
    elif action == "use":
        answer = use(mlflow, arguments[0], int(arguments[1]), int(arguments[2]))
    elif action == "create_user":
        answer = create_user(*arguments)
    elif action == "delete_runs":
        answer = [client.delete_run(identity) for identity in arguments]
    elif action == "restore_run":
        answer = client.restore_run(arguments[0])
    elif action == "delete_experiment":
        answer = client.delete_experiment(arguments[0])
    elif action == "delete_model":
        answer = client.delete_logged_model(arguments[0])
    elif action == "files":
        answer = sorted(item.path for item in client.list_artifacts(arguments[0]))
    elif action == "read":
        answer = mlflow.artifacts.load_text(f"runs:/{arguments[0]}/{arguments[1]}")
    elif action == "remove_file":
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        answer = get_artifact_repository(client.get_run(arguments[0]).info.artifact_uri).delete_artifacts(arguments[1])
    elif action == "overwrite":
        answer = client.log_text(arguments[0], arguments[2], arguments[1])
    elif action == "predict":
        answer = mlflow.pyfunc.load_model(arguments[0]).predict(["ab"])
    elif action == "trace":
        answer = [span.name for span in client.get_trace(arguments[0]).data.spans]
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
