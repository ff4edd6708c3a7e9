# SPDX-License-Identifier: GPL-3.0-or-later
"""Real parts: spools written by MLflow's client, servers started with `mlflow server` and basic-auth on the loopback interface.

These tests run in the environment of requirements/spool.txt: `script/test spool`. Elsewhere nothing is collected.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

collect_ignore_glob = [] if importlib.util.find_spec("mlflow") and importlib.util.find_spec("labtrack_spool") else ["test_*.py"]

LOGIN = ("ada", "correct-horse-battery")
OURS = ("MLFLOW_", "LABTRACK_", "SLURM_")
AUTH = """\
[mlflow]
default_permission = READ
database_uri = sqlite:///{folder}/auth.db
admin_username = {login[0]}
admin_password = {login[1]}
auth_cache_ttl_seconds = 600
"""


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without settings of MLflow, Slurm and ours."""
    return {key: value for key, value in os.environ.items() if not key.startswith(OURS)} | {"MLFLOW_DISABLE_TELEMETRY": "true"} | more


class MlflowServer:
    """A server of its own, with an empty SQLite database."""

    def __init__(self, folder: Path, template: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        shutil.copyfile(template, folder / "store.db")
        (folder / "auth.ini").write_text(AUTH.format(folder=folder, login=LOGIN), encoding="utf-8")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; `wait` waits until it answers."""
        command = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        command += ["--backend-store-uri", f"sqlite:///{self.folder}/store.db", "--artifacts-destination", str(self.folder / "artifacts")]
        env = clean_environment(
            MLFLOW_AUTH_CONFIG_PATH=str(self.folder / "auth.ini"), MLFLOW_FLASK_SERVER_SECRET_KEY="test", MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false"
        )
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self.folder, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)

    def wait(self) -> None:
        """Until it answers."""
        import requests

        deadline = time.monotonic() + 180
        while True:
            try:
                if requests.get(f"{self.uri}/api/2.0/mlflow/experiments/search?max_results=1", auth=LOGIN, timeout=5).ok:
                    return
            except requests.ConnectionError:
                pass
            assert self._process.poll() is None, (self.folder / "log").read_text()[-3000:]
            assert time.monotonic() < deadline, (self.folder / "log").read_text()[-3000:]
            time.sleep(0.2)

    def stop(self) -> None:
        """End the whole group."""
        if self._process is not None:
            os.killpg(self._process.pid, 9)
            self._process.wait()


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store of this MLflow, made by the package itself, once for all tests."""
    folder = tmp_path_factory.mktemp("templates")
    os.environ["LABTRACK_SPOOL_TEMPLATES"] = str(folder)
    from labtrack_spool import spool

    return spool.template()


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory, template: Path):
    """Two servers: one for jobs that are online, one that spools are sent to."""
    folder = tmp_path_factory.mktemp("servers")
    pair = [MlflowServer(folder / name, template) for name in ("online", "synced")]
    try:
        for each in pair:
            each.start()
        for each in pair:
            each.wait()
        yield pair
    finally:
        for each in pair:
            each.stop()


@pytest.fixture
def server(servers, monkeypatch: pytest.MonkeyPatch):
    """The server that spools are sent to, with the login in the environment."""
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", LOGIN[0])
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", LOGIN[1])
    return servers[1]


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, template: Path):
    """Nothing of the caller reaches in, nothing of one test reaches the next one."""
    for name in [name for name in os.environ if name.startswith(OURS)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("LABTRACK_SPOOL_TEMPLATES", str(template.parent))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    yield
    import mlflow

    while mlflow.active_run():
        mlflow.end_run()
    mlflow.set_tracking_uri(None)
    mlflow.set_registry_uri(None)
    for name in set(os.environ) - set(before):
        del os.environ[name]
