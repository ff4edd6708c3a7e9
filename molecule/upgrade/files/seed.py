# SPDX-License-Identifier: GPL-3.0-or-later
"""What a lab has after a while, logged by MLflow's own client: seed.py URL NAME PASSWORD RUNS. Runs with the Python of the version that serves."""

import os
import sys
import time


def main(url: str, name: str, password: str, runs: str) -> None:
    """Experiments, runs with metrics, parameters, tags and artifacts, a model, a person with a grant."""
    os.environ |= {"MLFLOW_TRACKING_USERNAME": name, "MLFLOW_TRACKING_PASSWORD": password}
    import mlflow
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.server.auth.client import AuthServiceClient

    mlflow.set_tracking_uri(url)
    client = mlflow.MlflowClient()
    experiment = client.create_experiment("seeded")
    for number in range(int(runs)):
        run = client.create_run(experiment, run_name=f"seed-{number}")
        at = int(time.time() * 1000)
        for start in range(0, 2000, 1000):
            metrics = [Metric("loss", 1 / (step + 1), at + step, step) for step in range(start, start + 1000)]
            client.log_batch(run.info.run_id, metrics=metrics)
        client.log_batch(run.info.run_id, params=[Param("rate", str(number / 7))], tags=[RunTag("purpose", "seed ä")])
        client.log_text(run.info.run_id, f"artifact of {number}\n", "note.txt")
        client.set_terminated(run.info.run_id)
    client.create_registered_model("seeded-model", tags={"kind": "seed"})
    client.create_model_version("seeded-model", f"{run.info.artifact_uri}/note.txt", run.info.run_id)
    client.set_registered_model_alias("seeded-model", "champion", "1")
    client.delete_run(client.create_run(experiment).info.run_id)
    AuthServiceClient(url).create_user("reader", "the-password-of-reader")
    print(run.info.run_id)


if __name__ == "__main__":
    main(*sys.argv[1:])
