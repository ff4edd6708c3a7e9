# SPDX-License-Identifier: GPL-3.0-or-later
"""labtrack-spool beside mlflow-export-import: the same runs from the same SQLite store to the same `mlflow server` with logins, one after the other.

Both sides run with their defaults. The server keeps its data in SQLite on this machine, so that it is the same and nothing else is needed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from suite.spool import environment_of, spool_environment

from .cpu import TICKS
from .figures import Figure, Report, say

RUNS, POINTS, ARTIFACTS, ARTIFACT_BYTES = 1000, 1000, 3, 10_000
LOGIN = ("bench", "correct-horse-battery")
AUTH = """\
[mlflow]
default_permission = READ
database_uri = sqlite:///{folder}/auth.db
admin_username = {0}
admin_password = {1}
auth_cache_ttl_seconds = 600
"""
MAKE = """
import os, shutil, sqlite3, sys, uuid
from pathlib import Path
import labtrack_spool
folder, runs, points, artifacts, size = sys.argv[1], *map(int, sys.argv[2:])
labtrack_spool.activate(folder)
import mlflow
from mlflow.entities import Metric, Param
client = mlflow.MlflowClient()
experiment = client.create_experiment("bench")
os.makedirs(folder + ".files")
for number in range(artifacts):
    with open(f"{folder}.files/{number}.bin", "wb") as stream:
        stream.write(os.urandom(size))
run = client.create_run(experiment, run_name="run 0").info.run_id
metrics = [Metric(f"m{point % 10}", point * 0.37, 1_700_000_000_000 + point, point // 10) for point in range(points)]
for start in range(0, points, 1000):
    client.log_batch(run, metrics=metrics[start:start + 1000])
client.log_batch(run, params=[Param(f"p{each}", str(each)) for each in range(10)])
client.log_artifacts(run, folder + ".files")
client.set_terminated(run)
# the other runs are copies of the first one: MLflow needs a quarter of a second for each
place = Path(folder) / "artifacts" / experiment
with sqlite3.connect(f"{folder}/mlflow.db") as connection:
    tables = {name: [row[1] for row in connection.execute(f"PRAGMA table_info({name})")] for name in ("runs", "metrics", "latest_metrics", "params", "tags")}
    for number in range(1, runs):
        new = uuid.uuid4().hex
        for name, columns in tables.items():
            source = [f"replace({column}, '{run}', '{new}')" if column in ("run_uuid", "artifact_uri") else column for column in columns]
            connection.execute(f"INSERT INTO {name} ({', '.join(columns)}) SELECT {', '.join(source)} FROM {name} WHERE run_uuid = ?", (run,))
        shutil.copytree(place / run, place / new)
"""


@dataclass
class Took:
    """What one side used."""

    wall: float
    client: float
    server: float
    peak_mb: float


class Server:
    """`mlflow server` with basic-auth on the loopback interface."""

    def __init__(self, folder: Path, venv: Path, workers: int) -> None:
        folder.mkdir(parents=True)
        (folder / "auth.ini").write_text(AUTH.format(*LOGIN, folder=folder), encoding="utf-8")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.uri = f"http://127.0.0.1:{port}"
        command = [str(venv / "bin" / "mlflow"), "server", "--app-name", "basic-auth", "--port", str(port), "--workers", str(workers)]
        command += ["--backend-store-uri", f"sqlite:///{folder}/store.db", "--artifacts-destination", str(folder / "artifacts")]
        env = spool_environment(venv) | {"MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"), "MLFLOW_FLASK_SERVER_SECRET_KEY": "bench"}
        env |= {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        deadline = time.monotonic() + 300
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise OSError((folder / "log").read_text(encoding="utf-8")[-2000:])
            time.sleep(0.3)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, TimeoutError):
            return False

    def cpu(self) -> float:
        """CPU seconds of all its processes."""
        total = 0
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = status.read_text(encoding="utf-8").rsplit(")", 1)[1].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[3]) == self.process.pid:  # its session
                total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def stop(self) -> None:
        """End it."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def measure(server: Server, commands: list[tuple[list[str], dict[str, str]]], log: Path) -> Took:
    """Run the commands of one side, one after the other."""
    before, client, peak, started = server.cpu(), 0.0, 0, time.monotonic()
    with log.open("wb") as output:
        for command, environment in commands:
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
            _pid, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise OSError(f"{command[0]}: {log.read_text(encoding='utf-8')[-2000:]}")
            client, peak = client + usage.ru_utime + usage.ru_stime, max(peak, usage.ru_maxrss)
    return Took(time.monotonic() - started, client, server.cpu() - before, peak / 1024)


def bench(report: Report, scale: float, peer_scale: float) -> None:
    """Measure; `scale` times 1,000 runs for labtrack-spool, `peer_scale` times as many for the other one."""
    ours, peer = environment_of("spool"), environment_of("spool-peer")
    runs = max(1, int(RUNS * scale))
    login = {"MLFLOW_TRACKING_USERNAME": LOGIN[0], "MLFLOW_TRACKING_PASSWORD": LOGIN[1], "MLFLOW_DISABLE_TELEMETRY": "true"}
    with TemporaryDirectory(prefix="labtrack-bench-") as temporary:
        folder = Path(temporary)
        env = spool_environment(ours) | {"LABTRACK_SPOOL_TEMPLATES": str(folder / "templates"), "MLFLOW_DISABLE_TELEMETRY": "true"}
        for name, number in (("spool", runs), ("small", max(1, int(runs * peer_scale)))):
            say(f"spool: {number} runs of {POINTS} points and {ARTIFACTS} artifacts are written")
            words = [str(folder / name), *map(str, (number, POINTS, ARTIFACTS, ARTIFACT_BYTES))]
            subprocess.run([str(ours / "bin" / "python"), "-c", MAKE, *words], env=env, check=True, cwd=folder, capture_output=True)
        server = Server(folder / "server", ours, 2)
        try:
            sync = [str(ours / "bin" / "python"), "-m", "labtrack_spool", "sync", str(folder / "spool"), "--to", server.uri, "--json"]
            sync += ["--rename-experiment", "bench=ours"]
            one = measure(server, [(sync, env | login)], folder / "ours.log")
            sent = json.loads((folder / "ours.log").read_text(encoding="utf-8").splitlines()[-1])["counts"]
            if (sent["runs"], sent["metrics"], sent["artifacts"]) != (runs, runs * POINTS, runs * ARTIFACTS):
                raise OSError(f"labtrack-spool sent {sent}")
            again = measure(server, [(sync, env | login)], folder / "again.log")
            here = spool_environment(peer) | {"MLFLOW_DISABLE_TELEMETRY": "true"}
            export = [str(peer / "bin" / "export-experiment"), "--experiment", "bench", "--output-dir", str(folder / "exported")]
            bring = [str(peer / "bin" / "import-experiment"), "--experiment-name", "peer", "--input-dir", str(folder / "exported")]
            commands = [
                (export, here | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/small/mlflow.db"}),
                (bring, here | login | {"MLFLOW_TRACKING_URI": server.uri}),
            ]
            two = measure(server, commands, folder / "peer.log")
        finally:
            server.stop()
    number = max(1, int(runs * peer_scale))
    mine, theirs = runs / one.wall, number / two.wall
    used, theirs_used = (one.client + one.server) / runs, (two.client + two.server) / number
    rows = (("labtrack-spool", runs, one), ("labtrack-spool again", runs, again), ("mlflow-export-import", number, two))
    report.tables["spool: runs, wall s, CPU s of the client, CPU s of the server, peak MB of the client"] = [
        {"who": f"{name:22}", "runs": count, "wall": took.wall, "client": took.client, "server": took.server, "peak": took.peak_mb}
        for name, count, took in rows
    ]
    sides = f"{runs} runs in {one.wall:.1f} s, {one.peak_mb:.0f} MB; mlflow-export-import {theirs:.2f} 1/s, {two.peak_mb:.0f} MB"
    per_run = two.client / number, one.client / runs
    report.add(
        Figure("spool runs/s", mine, "1/s", sides),
        Figure("spool ratio", mine / theirs, "x", "runs a second: labtrack-spool by mlflow-export-import, wall clock", 20),
        Figure("spool CPU ratio", theirs_used / used, "x", f"CPU s a run, client and server: {theirs_used:.2f} by {used:.2f}"),
        Figure("spool client CPU ratio", per_run[0] / per_run[1], "x", f"CPU s a run, client: {per_run[0]:.3f} by {per_run[1]:.3f}"),
    )
