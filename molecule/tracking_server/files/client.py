# SPDX-License-Identifier: GPL-3.0-or-later
"""What people do with the real client, through a TCP port that is forwarded to a socket of the server; prints what was read back."""

import hashlib
import json
import os
import secrets
import sys
import tempfile

from socket_client import connect


def main(asgi: str, credentials_file: str) -> None:
    """Log as a new person, read back, and try what this person may not do."""
    connect(asgi, credentials_file)
    import mlflow
    from mlflow.server.auth.client import AuthServiceClient

    name, password = f"person-{secrets.token_hex(4)}", secrets.token_urlsafe(16)
    AuthServiceClient(os.environ["MLFLOW_TRACKING_URI"]).create_user(name, password)
    foreign = mlflow.create_experiment(f"of-admin-{name}")
    os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"] = name, password
    mlflow.set_experiment(f"of-{name}")
    payload = os.urandom(5_000_000)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "payload.bin")
        with open(path, "wb") as file:
            file.write(payload)
        with mlflow.start_run() as run:
            mlflow.log_params({"rate": 0.1, "layers": 3})
            for step in range(10):
                mlflow.log_metric("loss", 1 / (step + 1), step=step)
            mlflow.log_artifact(path)
            mlflow.log_dict({"a": [1, 2]}, "sub/dict.json")
        client = mlflow.MlflowClient()
        client.create_registered_model(f"model-{name}")
        client.create_model_version(f"model-{name}", f"{run.info.artifact_uri}/sub", run.info.run_id)
        read = mlflow.artifacts.download_artifacts(run_id=run.info.run_id, artifact_path="payload.bin", dst_path=os.path.join(folder, "back"))
        with open(read, "rb") as file:
            same = hashlib.sha256(file.read()).digest() == hashlib.sha256(payload).digest()
    found = client.get_run(run.info.run_id)
    refused = ""
    try:
        client.delete_experiment(foreign)
    except mlflow.exceptions.MlflowException as error:
        refused = str(error)
    print(
        json.dumps(
            {
                "params": found.data.params,
                "steps": len(client.get_metric_history(run.info.run_id, "loss")),
                "same": same,
                "artifacts": sorted(item.path for item in client.list_artifacts(run.info.run_id)),
                "artifact_uri": run.info.artifact_uri,
                "versions": len(client.search_model_versions(f"name='model-{name}'")),
                "refused": refused,
                "foreign_visible": client.get_experiment(foreign) is not None,
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
