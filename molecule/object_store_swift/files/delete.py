# SPDX-License-Identifier: GPL-3.0-or-later
"""Log many small artifacts and delete them through the server, as the administrator; prints how many were there, why not, how many are left."""

import json
import os
import sys
import tempfile

from socket_client import connect


def main(asgi: str, credentials_file: str, number: str) -> None:
    """Log, count, delete, count."""
    connect(asgi, credentials_file)
    import mlflow
    import requests
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    mlflow.set_experiment("many")
    with tempfile.TemporaryDirectory() as folder, mlflow.start_run() as run:
        for index in range(int(number)):
            with open(os.path.join(folder, f"{index}.txt"), "w", encoding="utf-8") as file:
                file.write(str(index))
        mlflow.log_artifacts(folder)
    repository, error = get_artifact_repository(run.info.artifact_uri), ""
    before = len(repository.list_artifacts())
    try:
        repository.delete_artifacts()
    except (mlflow.exceptions.MlflowException, requests.exceptions.RequestException) as problem:
        error = str(problem)
    print(json.dumps({"before": before, "error": error, "after": len(repository.list_artifacts())}))


if __name__ == "__main__":
    main(*sys.argv[1:])
