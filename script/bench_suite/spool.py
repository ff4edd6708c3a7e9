# SPDX-License-Identifier: GPL-3.0-or-later
"""labtrack-spool beside mlflow-export-import: the same runs from the same SQLite store to the same server with logins, one after the other.

Both sides run with their defaults. `spool`: `mlflow server` with its data in SQLite on this machine; nothing else is needed. `spool_site`: the deployed site.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from suite.spool import environment_of, spool_environment

from . import cpu
from .figures import Figure, Report, say
from .targets import Target

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
        return total / cpu.TICKS

    def stop(self) -> None:
        """End it."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@dataclass
class Place:
    """Where both sides send to: address, variables of a client, and the CPU seconds of all that serves."""

    name: str
    uri: str
    client: dict[str, str]
    cpu: Callable[[], float]


def measure(place: Place, commands: list[tuple[list[str], dict[str, str]]], log: Path) -> Took:
    """Run the commands of one side, one after the other."""
    before, client, peak, started = place.cpu(), 0.0, 0, time.monotonic()
    with log.open("wb") as output:
        for command, environment in commands:
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
            _pid, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise OSError(f"{command[0]}: {log.read_text(encoding='utf-8')[-2000:]}")
            client, peak = client + usage.ru_utime + usage.ru_stime, max(peak, usage.ru_maxrss)
    return Took(time.monotonic() - started, client, place.cpu() - before, peak / 1024)


def stock(report: Report, scale: float, peer_scale: float) -> None:
    """To `mlflow server` with its defaults; `scale` times 1,000 runs for labtrack-spool, `peer_scale` times as many for the other one."""
    venv = environment_of("spool")
    with TemporaryDirectory(prefix="labtrack-bench-") as temporary:
        server = Server(Path(temporary) / "server", venv, 2)
        login = {"MLFLOW_TRACKING_USERNAME": LOGIN[0], "MLFLOW_TRACKING_PASSWORD": LOGIN[1]}
        try:
            bench(report, Place("spool", server.uri, login, server.cpu), Path(temporary), scale, peer_scale)
        finally:
            server.stop()


def deployed(report: Report, target: Target, counter: Path, scale: float, peer_scale: float) -> None:
    """To the deployed site, through nginx, TLS and login into PostgreSQL and the object store."""
    user, password = base64.b64decode(target.header.split()[1]).decode().split(":", 1)
    with TemporaryDirectory(prefix="labtrack-bench-") as temporary:
        ca = Path(temporary) / "ca.pem"
        ca.write_text(target.ca_pem, encoding="utf-8")
        login = {"MLFLOW_TRACKING_USERNAME": user, "MLFLOW_TRACKING_PASSWORD": password, "MLFLOW_TRACKING_SERVER_CERT_PATH": str(ca)}
        bench(report, Place("spool_site", target.url, login, lambda: cpu.read(counter)), Path(temporary), scale, peer_scale)


def bench(report: Report, place: Place, folder: Path, scale: float, peer_scale: float) -> None:
    """Measure both sides."""
    ours, peer = environment_of("spool"), environment_of("spool-peer")
    runs = max(1, int(RUNS * scale))
    number = max(1, int(runs * peer_scale))
    mark = f"{time.time():.0f}"  # the server may have been measured before
    login = place.client | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    env = spool_environment(ours) | {"LABTRACK_SPOOL_TEMPLATES": str(folder / "templates"), "MLFLOW_DISABLE_TELEMETRY": "true"}
    for name, count in (("spool", runs), ("small", number)):
        say(f"{place.name}: {count} runs of {POINTS} points and {ARTIFACTS} artifacts are written")
        words = [str(folder / name), *map(str, (count, POINTS, ARTIFACTS, ARTIFACT_BYTES))]
        subprocess.run([str(ours / "bin" / "python"), "-c", MAKE, *words], env=env, check=True, cwd=folder, capture_output=True)
    command = [str(ours / "bin" / "python"), "-m", "labtrack_spool"]
    options = [str(folder / "spool"), "--to", place.uri, "--json", "--rename-experiment", f"bench=ours-{mark}"]
    one = measure(place, [([*command, "sync", *options], env | login)], folder / "ours.log")
    sent = json.loads((folder / "ours.log").read_text(encoding="utf-8").splitlines()[-1])["counts"]
    if (sent["runs"], sent["metrics"], sent["artifacts"]) != (runs, runs * POINTS, runs * ARTIFACTS):
        raise OSError(f"labtrack-spool sent {sent}")
    again = measure(place, [([*command, "sync", *options], env | login)], folder / "again.log")
    here = spool_environment(peer) | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    export = [str(peer / "bin" / "export-experiment"), "--experiment", "bench", "--output-dir", str(folder / "exported")]
    bring = [str(peer / "bin" / "import-experiment"), "--experiment-name", f"peer-{mark}", "--input-dir", str(folder / "exported")]
    commands = [
        (export, here | {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/small/mlflow.db"}),
        (bring, here | login | {"MLFLOW_TRACKING_URI": place.uri}),
    ]
    two = measure(place, commands, folder / "peer.log")
    mine, theirs = runs / one.wall, number / two.wall
    used, theirs_used = (one.client + one.server) / runs, (two.client + two.server) / number
    rows = (("labtrack-spool", runs, one), ("labtrack-spool again", runs, again), ("mlflow-export-import", number, two))
    report.tables[f"{place.name}: runs, wall s, CPU s of the client, CPU s of the server, peak MB of the client"] = [
        {"who": f"{name:22}", "runs": count, "wall": took.wall, "client": took.client, "server": took.server, "peak": took.peak_mb}
        for name, count, took in rows
    ]
    sides = f"{runs} runs in {one.wall:.1f} s, {one.peak_mb:.0f} MB; mlflow-export-import {theirs:.2f} 1/s, {two.peak_mb:.0f} MB"
    per_run = two.client / number, one.client / runs
    report.add(
        Figure(f"{place.name} runs/s", mine, "1/s", sides),
        Figure(f"{place.name} ratio", mine / theirs, "x", "runs a second: labtrack-spool by mlflow-export-import, wall clock", 20),
        Figure(f"{place.name} CPU ratio", theirs_used / used, "x", f"CPU s a run, client and server: {theirs_used:.2f} by {used:.2f}"),
        Figure(f"{place.name} client CPU ratio", per_run[0] / per_run[1], "x", f"CPU s a run, client: {per_run[0]:.3f} by {per_run[1]:.3f}"),
    )
