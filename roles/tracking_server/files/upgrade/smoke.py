# SPDX-License-Identifier: GPL-3.0-or-later
"""With the Python of a release, as the service's user: serve a copy of the databases on loopback, and work with it as a person would.

Reads JSON from standard input, writes the answers as JSON in the last line of standard output. The copy is thrown away afterwards.
"""

from __future__ import annotations

import configparser
import http.client
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

NAME = "labtrack-smoke-" + secrets.token_hex(4)
METRICS = {"loss": [0.5, 0.25, 0.125]}
TEXT = "written by the smoke test of an upgrade\n"


def free_port() -> int:
    """A port of loopback that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def serve(request: dict, port: int) -> subprocess.Popen:
    """The release's own server program with the copy's URIs."""
    folder = Path(tempfile.mkdtemp())
    (folder / "database_uri").write_text(request["tracking_uri"] + "\n")
    login = configparser.ConfigParser(interpolation=None)
    login["mlflow"] = {**request["login"], "database_uri": request["auth_uri"].replace("%", "%%")}
    with (folder / "login.ini").open("w") as file:
        login.write(file)
    os.environ["MLFLOW_AUTH_CONFIG_PATH"] = str(folder / "login.ini")
    environment = {**os.environ, "LABTRACK_CONFIG_DIR": str(folder), "LABTRACK_ASGI_WORKERS": "1", "LABTRACK_API_WORKERS": "0"}
    program = Path(request["release_dir"], "server", "gunicorn.conf.py")
    command = [sys.executable, "-B", "-m", "gunicorn", "--config", str(program), "--bind", f"127.0.0.1:{port}"]
    return subprocess.Popen(command, env=environment, stdout=sys.stderr)


def wait(server: subprocess.Popen, port: int, seconds: float) -> None:
    """Until it answers."""
    end = time.monotonic() + seconds
    while server.poll() is None and time.monotonic() < end:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/health", headers={"Host": "localhost"})
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        except (OSError, http.client.HTTPException):
            time.sleep(0.2)
    sys.exit(f"the server does not answer; exit code {server.poll()}")


def make_user(request: dict, settings: str) -> tuple[str, str]:
    """An administrator of the copy."""
    login = configparser.ConfigParser(interpolation=None)
    login.read(settings)
    login["mlflow"]["admin_password"] = secrets.token_hex()  # MLflow 3.15 wants one
    with open(settings, "w") as file:
        login.write(file)
    from mlflow.server.auth import store

    name, password = NAME, secrets.token_urlsafe(24)
    store.init_db(request["auth_uri"])
    store.create_user(name, password, is_admin=True)
    return name, password


def work(url: str) -> dict:
    """Read what is there, log, read back, delete."""
    import mlflow
    from mlflow.artifacts import download_artifacts
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    mlflow.set_tracking_uri(url)
    client = mlflow.MlflowClient()
    experiments = [experiment.experiment_id for experiment in client.search_experiments(max_results=1000)]
    newest = client.search_runs(experiments, max_results=1)
    if newest and client.get_run(newest[0].info.run_id).data.metrics != newest[0].data.metrics:
        sys.exit("the newest run is read in two ways, with two results")
    experiment = client.create_experiment(NAME)
    run = client.create_run(experiment)
    for name, values in METRICS.items():
        for step, value in enumerate(values):
            client.log_metric(run.info.run_id, name, value, step=step)
    client.log_param(run.info.run_id, "release", mlflow.__version__)
    client.log_text(run.info.run_id, TEXT, "note.txt")
    client.set_terminated(run.info.run_id)
    client.create_registered_model(NAME)
    client.create_model_version(NAME, f"{run.info.artifact_uri}/note.txt", run.info.run_id)
    found = client.get_run(run.info.run_id)
    history = [metric.value for metric in client.get_metric_history(run.info.run_id, "loss")]
    text = Path(download_artifacts(run_id=run.info.run_id, artifact_path="note.txt")).read_text()
    versions = client.search_model_versions(f"name = '{NAME}'")
    if (history, found.data.params, found.info.status, text, len(versions)) != (METRICS["loss"], {"release": mlflow.__version__}, "FINISHED", TEXT, 1):
        sys.exit(f"read back: {history}, {found.data.params}, {found.info.status}, {text!r}, {len(versions)} versions")
    client.delete_registered_model(NAME)
    get_artifact_repository(run.info.artifact_uri).delete_artifacts("note.txt")
    client.delete_run(run.info.run_id)
    client.delete_experiment(experiment)
    return {"mlflow": mlflow.__version__, "experiments": len(experiments), "newest_run": newest[0].info.run_id if newest else ""}


def main() -> None:
    """Serve, work, stop."""
    request = json.load(sys.stdin)
    port = free_port()
    url = f"http://localhost:{port}"
    server = serve(request, port)
    try:
        wait(server, port, request["seconds"])
        name, password = make_user(request, os.environ["MLFLOW_AUTH_CONFIG_PATH"])
        os.environ |= {"MLFLOW_TRACKING_USERNAME": name, "MLFLOW_TRACKING_PASSWORD": password, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
        answer = work(url)
    finally:
        server.terminate()
        server.wait()
    print("\n" + json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
