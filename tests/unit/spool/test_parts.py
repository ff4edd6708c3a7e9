# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts that need no server of MLflow."""

from __future__ import annotations

import json
import os
import shlex
import sqlite3
import ssl
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from labtrack_spool import batches, places, spool, traces, units
from labtrack_spool.cli import parser
from labtrack_spool.errors import AmbiguousError, ApiError, SetupError
from labtrack_spool.once import find_or_create
from labtrack_spool.server import Server, check_uri
from labtrack_spool.source import Source, find
from labtrack_spool.state import Entry, State, locked
from labtrack_spool.store import Store
from labtrack_spool.sync import by_level
from labtrack_spool.verify import Sum

from .helpers import cli, command


@pytest.mark.parametrize("uri", ["", "sqlite:////x/y.db", "/scratch/mlruns", "mlflow.lab.example", "ftp://x", "https://ada:secret@mlflow.lab.example"])
def test_what_is_no_server_is_refused(uri: str) -> None:
    with pytest.raises(SetupError) as caught:
        check_uri(uri)
    assert "Accepted: https://<server>" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_missing_ca_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", "/no/such/ca.pem")
    with pytest.raises(SetupError, match=r"MLFLOW_TRACKING_SERVER_CERT_PATH is '/no/such/ca.pem': there is no such file"):
        Server("https://mlflow.lab.example")


@pytest.fixture
def lab_ca(tmp_path: Path):
    """(CA file, server that speaks TLS with its certificate)."""
    openssl = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    openssl += ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "ca.pem")]
    subprocess.run(openssl, check=True, capture_output=True)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps({"authorization": self.headers.get("Authorization", "")}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "ca.pem", tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield tmp_path / "ca.pem", f"https://localhost:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_tls_with_the_ca_of_the_lab(lab_ca, monkeypatch: pytest.MonkeyPatch) -> None:
    ca, uri = lab_ca
    with pytest.raises(SetupError, match="is not trusted"):
        Server(uri, retries=0).call("GET", "x")
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(ca))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt")  # MLflow's own variable wins
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ada")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "x:y")
    assert Server(uri, retries=0).call("GET", "x")["authorization"] == "Basic YWRhOng6eQ=="


def test_a_server_that_is_not_there_is_said_so() -> None:
    told: list[str] = []
    with pytest.raises(ApiError, match=r"http://127\.0\.0\.1:9 cannot be reached") as caught:
        Server("http://127.0.0.1:9", retries=1, on_retry=told.append).call("POST", "runs/create", {}, repeatable=False)
    assert caught.value.is_fatal
    assert len(told) == 1


def test_batches_keep_within_the_limits() -> None:
    sent: list[dict[str, list]] = []
    batch = batches.Batch(sent.append)
    for number in range(250):
        batch.add("params", {"key": f"p{number}", "value": "x" * 6000})
    for number in range(2500):
        batch.add("metrics", {"key": "k" * 250, "value": 1.5, "timestamp": 1_700_000_000_000, "step": number})
    for number in range(150):
        batch.add("tags", {"key": f"t{number}", "value": "ü" * 8000})
    batch.flush()
    total = {kind: sum(len(each.get(kind, [])) for each in sent) for kind in ("params", "metrics", "tags")}
    assert total == {"params": 250, "metrics": 2500, "tags": 150}
    for each in sent:
        assert len(each.get("params", [])) <= 100
        assert len(each.get("tags", [])) <= 100
        assert len(each.get("metrics", [])) <= 1000
        assert sum(map(len, each.values())) <= 1000
        assert len(json.dumps({"run_id": "x" * 32, **each})) < 1_000_000


def test_what_was_asked_is_found_before_it_is_asked_again() -> None:
    log: list[str] = []
    answers = iter([None, None, Entry(target="there")])

    def find_it(must: bool) -> Entry | None:
        log.append(f"find {must}")
        return next(answers)

    entry = find_or_create(Entry(digest="asked 99999999999"), find_it, lambda: pytest.fail("asked twice"), lambda _entry: None, patience=5)
    assert entry.target == "there"
    assert log == ["find True"] * 3


def test_a_lost_answer_is_looked_for() -> None:
    found = iter([None, None, Entry(target="there")])

    def create() -> Entry:
        raise AmbiguousError("lost")

    assert find_or_create(Entry(), lambda _must: next(found), create, lambda _entry: None, patience=5).target == "there"


def test_paths_of_other_places(tmp_path: Path) -> None:
    (tmp_path / "mlruns" / "1" / "abc" / "artifacts").mkdir(parents=True)
    (tmp_path / "given").mkdir()
    paths = places.PathMap(tmp_path, [("/spool", "/real"), ("/spool/deep", str(tmp_path / "given"))])
    assert paths.find("/spool/deep/x") == tmp_path / "given" / "x"
    assert paths.find("file:///spool/a%20b") == Path("/real/a b")
    assert paths.find("/home/bob/old/mlruns/1/abc/artifacts") == tmp_path / "mlruns/1/abc/artifacts"
    assert paths.find("mlruns/1") == tmp_path / "mlruns/1"
    assert paths.find("s3://bucket/x") is None
    assert paths.find("/spoolother/x") == Path("/spoolother/x")


def test_file_systems(tmp_path: Path) -> None:
    assert places.filesystem_type("/proc") == "proc"
    assert not places.is_local("/proc")
    assert places.filesystem_type(tmp_path / "not" / "there") == places.filesystem_type(tmp_path)


def test_a_write_ahead_log_of_another_computer_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool.variables(tmp_path / "s")
    store = tmp_path / "s" / "mlflow.db"
    (tmp_path / "s" / "mlflow.db-wal").write_bytes(b"x" * 100)
    settings = json.loads((tmp_path / "s" / "spool.json").read_text()) | {"host": "node17"}
    (tmp_path / "s" / "spool.json").write_text(json.dumps(settings))
    monkeypatch.setattr("labtrack_spool.source.is_local", lambda _path: False)
    with pytest.raises(SetupError, match="Run the sync on node17"):
        Source(store).store()


def test_on_a_shared_file_system_there_is_no_write_ahead_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, local, mode in (("a", True, "wal"), ("b", False, "delete")):
        monkeypatch.setattr(spool, "is_local", lambda _path, local=local: local)
        spool.variables(tmp_path / name)
        with sqlite3.connect(tmp_path / name / "mlflow.db") as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone()[0] == mode


def test_one_spool_a_job_and_array_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABTRACK_SPOOL_DIR", str(tmp_path))
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    assert spool.choose(None) == tmp_path / "17"
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "16")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    assert spool.choose(None) == tmp_path / "16_3"
    monkeypatch.setenv("LABTRACK_SPOOL_PATH", str(tmp_path / "mine"))
    assert spool.choose(None) == tmp_path / "mine"


def test_without_a_place_the_job_is_told(tmp_path: Path) -> None:
    done = cli("env", check=2)
    assert "LABTRACK_SPOOL_DIR is not set" in done.stderr


def test_the_environment_of_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.lab.example")
    odd = tmp_path / "a b'c"
    lines = cli("env", odd, "--experiment", "my exp").stdout
    shown = subprocess.run(["bash", "-c", f"{lines}\nenv"], capture_output=True, text=True, check=True).stdout
    assert f"MLFLOW_TRACKING_URI=sqlite:///{odd}/mlflow.db" in shown
    assert "MLFLOW_EXPERIMENT_NAME=my exp" in shown
    assert "LABTRACK_SPOOL_SERVER=https://mlflow.lab.example" in shown
    assert json.loads(cli("env", odd, "--format", "json").stdout)["LABTRACK_SPOOL_PATH"] == str(odd)
    assert Source(odd / "mlflow.db").server == "https://mlflow.lab.example"


def test_ranks_that_make_the_spool_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _rank: spool.variables(tmp_path / "s"), range(8)))
    assert {path.name for path in (tmp_path / "s").iterdir()} - {"mlflow.db-wal", "mlflow.db-shm"} == {"artifacts", "mlflow.db", "spool.json"}
    assert [path.name for path in find(tmp_path)] == ["mlflow.db"]


def test_only_one_sync_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path) as mine:
        assert mine
        script = f"from pathlib import Path\nfrom labtrack_spool.state import locked\nwith locked(Path({str(tmp_path)!r})) as mine: print(mine)"
        assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip() == "False"


def test_the_state_outlives_a_kill(tmp_path: Path) -> None:
    script = f"""
import os, signal
from pathlib import Path
from labtrack_spool.state import Entry, State
state = State(Path({str(tmp_path)!r}), "s")
for number in range(500):
    state.put("run", str(number), Entry(target="t", cursor=number))
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    assert len(State(tmp_path, "s").all("run")) == 500
    assert State(tmp_path, "other").all("run") == {}


def test_parents_come_first() -> None:
    rows = [{"run_uuid": name, "parent": parent} for name, parent in (("c", "b"), ("b", "a"), ("a", None), ("x", "elsewhere"), ("y", "z"), ("z", "y"))]
    groups = [[row["run_uuid"] for row in group] for group in by_level(rows)]
    assert groups[0][:2] == ["a", "x"]
    assert sorted(name for group in groups for name in group) == ["a", "b", "c", "x", "y", "z"]
    assert next(number for number, group in enumerate(groups) if "c" in group) == 2


def test_a_sum_sees_every_difference_but_order() -> None:
    one, two, three = Sum(), Sum(), Sum()
    points = [("a", 1.5, 1, 1), ("a", float("nan"), 1, 2), ("b", float("inf"), 2, 3)]
    for point in points:
        one.add(*point)
    for point in reversed(points):
        two.add(*point)
    for point in [*points[:2], ("b", float("inf"), 2, 4)]:
        three.add(*point)
    assert one == two
    assert one != three


def test_values_of_spans() -> None:
    assert traces.any_value({"a": [1, 2.5, None, True, "t"]}) == {
        "kvlistValue": {
            "values": [
                {"key": "a", "value": {"arrayValue": {"values": [{"intValue": "1"}, {"doubleValue": 2.5}, {}, {"boolValue": True}, {"stringValue": "t"}]}}}
            ]
        }
    }
    assert traces.any_value(float("-inf")) == {"doubleValue": "-Infinity"}
    assert traces.any_value(2**70) == {"stringValue": str(2**70)}
    assert traces.timestamp(1_700_000_000_005) == "2023-11-14T22:13:20.005Z"


def test_units_hold_no_password_and_odd_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret-word")
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", "/a b/ca.pem")
    odd = tmp_path / 'x%y "z$'
    service, timer = units.texts(parser().parse_args(["timer", str(odd), "--to", "https://mlflow.lab.example", "--every", "5min", "--experiment", "a b"]))
    assert "secret-word" not in service
    assert 'Environment="MLFLOW_TRACKING_SERVER_CERT_PATH=/a b/ca.pem"' in service
    line = next(line for line in service.splitlines() if line.startswith("ExecStart="))
    words = shlex.split(line.partition("=")[2].replace("%%", "%").replace("$$", "$"))
    assert words[1:7] == ["-m", "labtrack_spool", "sync", "--quiet", "--allow-empty", str(odd)]
    assert words[-2:] == ["--experiment", "a b"]
    assert "OnUnitInactiveSec=5min" in timer
    done = cli("timer", tmp_path, "--install")
    assert "systemctl --user enable --now labtrack-spool-" in done.stdout
    assert len(list((tmp_path / "home/.config/systemd/user").glob("labtrack-spool-*.timer"))) == 1


def test_a_history_of_a_million_points_is_read_in_pieces(tmp_path: Path, template: Path) -> None:
    """Memory stays flat: the peak of a process that reads all of it, beside one that reads a hundredth."""
    path = tmp_path / "mlflow.db"
    path.write_bytes(template.read_bytes())
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage) VALUES (1, 'x', '/x', 'active')")
        for run, number in (("small", 10_000), ("large", 1_000_000)):
            connection.execute("INSERT INTO runs (run_uuid, status, lifecycle_stage, experiment_id) VALUES (?, 'RUNNING', 'active', 1)", (run,))
            points = ((f"m{each % 10}", each / 7, each, run, each, 0) for each in range(number))
            connection.executemany("INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, ?)", points)
    script = f"""
import resource, sys
from pathlib import Path
from labtrack_spool.context import Context, Findings, Ids, Options
from labtrack_spool import batches
from labtrack_spool.state import Entry
from labtrack_spool.store import Store
class Sink:
    number = 0
    def call(self, method, path, content):
        self.number += len(content.get("metrics", []))
sink, entry = Sink(), Entry(target="t")
context = Context(Store(Path({str(path)!r})), sink, None, None, Options(), Findings())
batches.send_data(context, sys.argv[1], entry, {{}}, lambda: None)
print(sink.number, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    numbers = [subprocess.run([sys.executable, "-c", script, run], capture_output=True, text=True, check=True).stdout.split() for run in ("small", "large")]
    assert [int(number[0]) for number in numbers] == [10_000, 1_000_000]
    assert int(numbers[1][1]) - int(numbers[0][1]) < 12_000, f"kilobytes: {numbers}"


def test_the_version_and_the_module_run(tmp_path: Path) -> None:
    assert subprocess.run(command("--version"), capture_output=True, text=True, check=True).stdout.startswith("labtrack-spool 0.")
    assert Store  # the reader needs no package of MLflow
    script = "import sys, labtrack_spool, labtrack_spool.cli\nassert 'mlflow' not in sys.modules and 'sqlalchemy' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, env=dict(os.environ))
