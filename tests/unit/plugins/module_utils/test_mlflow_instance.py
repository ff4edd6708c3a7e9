# SPDX-License-Identifier: GPL-3.0-or-later
"""What mlflow_info sees of an instance, and what mlflow_check asks it."""

from __future__ import annotations

import http.server
import os
import socket
import threading

import pytest
from ansible_collections.labtrack.mlflow.plugins.module_utils import _mlflow_instance as instance
from ansible_collections.labtrack.mlflow.plugins.module_utils import _mlflow_probe as probe

SHOWN = """Id=labtrack-mlflow-main.service
ActiveState=active
UnitFileState=enabled
MainPID=42

Id=labtrack-mlflow-main.socket
ActiveState=active
UnitFileState=disabled
Listen=/run/labtrack-mlflow-main/asgi.sock (Stream)
Listen=127.0.0.1:5000 (Stream)
"""
NAMES = ["labtrack-mlflow-main.service", "labtrack-mlflow-main.socket"]


def test_units():
    service, listening = instance.units(SHOWN, NAMES)
    assert service == {"active": "active", "enabled": "enabled", "pid": 42, "listens": []}
    assert listening["listens"] == ["unix:/run/labtrack-mlflow-main/asgi.sock", "127.0.0.1:5000"]


def test_units_of_a_bare_machine():
    assert [unit["active"] for unit in instance.units("", NAMES)] == ["inactive", "inactive"]


@pytest.mark.parametrize(
    ("address", "expected"),
    [("unix:/run/a.sock", ("/run/a.sock", 0)), ("127.0.0.1:5000", ("127.0.0.1", 5000)), ("[::1]:5000", ("::1", 5000))],
)
def test_addresses(address, expected):
    assert instance.parse_address(address) == expected


@pytest.mark.parametrize("address", ["", "localhost", "localhost:", ":5000", "http://localhost:x", "localhost:0", "localhost:70000", "unix:relative"])
def test_bad_addresses(address):
    with pytest.raises(ValueError, match="neither"):
        instance.parse_address(address)


def test_running_release_of_a_process_that_is_none():
    assert instance.running_release(0, "/opt/releases") == ""
    assert instance.running_release(os.getpid(), "/opt/releases") == ""


def test_taken_addresses(tmp_path):
    path = f"{tmp_path}/s"
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(path)
        unix.listen()
        port = tcp.getsockname()[1]
        assert instance.is_taken(f"127.0.0.1:{port}")
        assert instance.is_taken(f"unix:{path}")
    assert not instance.is_taken(f"unix:{path}")
    assert not instance.is_taken("unix:/nonexistent/a.sock")


def test_free_space_of_what_does_not_exist(tmp_path):
    assert instance.free_mb(str(tmp_path / "a" / "b")) > 0


def test_unreachable_servers():
    with socket.create_server(("127.0.0.1", 0)) as server:
        good, bad = f"127.0.0.1:{server.getsockname()[1]}", "127.0.0.1:1"
        assert list(instance.unreachable([good, bad])) == [bad]


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers 401 without a login, 200 with one, 500 for artifacts."""

    def do_GET(self):
        status = 500 if "artifacts" in self.path else 200 if self.path == "/health" or "Authorization" in self.headers else 401
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b"broken store" if status == 500 else b"")

    def log_message(self, *arguments):
        """Quiet."""


@pytest.fixture
def address():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()


def test_a_healthy_instance(address):
    for question in probe.probes(address, address, artifacts=False):
        probe.wait_for(question, "localhost", "admin", "secret", 1)


def test_a_wrong_answer_says_what_was_expected(address):
    with pytest.raises(probe.ProbeError, match=r"answered 500 \(broken store\); expected 200: the artifact store"):
        probe.wait_for(probe.probes(address, address, artifacts=True)[-1], "localhost", "admin", "secret", 1)


def test_silence_is_waited_for_and_reported(tmp_path):
    question = probe.probes(f"unix:{tmp_path}/none", "127.0.0.1:1", artifacts=False)[0]
    with pytest.raises(probe.ProbeError, match="did not answer"):
        probe.wait_for(question, "localhost", "", "", 0.1)
