# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients hear why MLflow cannot start, and a start that finds everything in place lets them wait."""

from __future__ import annotations

import http.client
import importlib.util
import json
import socket
import threading
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[3] / "roles/tracking_server/files/server/waiting.py"


@pytest.fixture
def waiting():
    spec = importlib.util.spec_from_file_location("waiting", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Client(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(10)
        self.sock.connect(self.host)


@pytest.fixture
def listener(tmp_path, waiting, monkeypatch):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(tmp_path / "api.sock"))
        made.listen()
        monkeypatch.setattr(waiting, "listeners", lambda: [made.dup()])
        yield str(tmp_path / "api.sock")


@pytest.mark.parametrize("body", [None, b"x" * 3_000_000])
def test_a_client_hears_the_reason_until_it_is_gone(waiting, listener, capsys, body):
    heard, there = [], threading.Event()

    def ask():
        for _ in range(2):
            client = Client(listener)
            client.request("PUT" if body else "GET", "/api", body)
            answer = client.getresponse()
            heard.append((answer.status, json.loads(answer.read())["message"]))
        there.set()

    def action():
        if not there.is_set():
            raise waiting.MissingError("the volume is away")
        return "started"

    client = threading.Thread(target=ask)
    client.start()
    assert waiting.wait_for(action, 30) == "started"
    client.join()
    assert heard == [(503, "the volume is away")] * 2
    assert capsys.readouterr().err == "the volume is away\n"


def test_nobody_is_answered_when_nothing_is_missing(waiting, listener):
    client = Client(listener)
    client.request("GET", "/")
    assert waiting.wait_for(lambda: "started") == "started"
    client.sock.settimeout(0.2)
    with pytest.raises(TimeoutError):
        client.sock.recv(1)


def test_it_ends_so_that_systemd_hears_of_it(waiting, listener):
    def action():
        raise waiting.MissingError("away")

    with pytest.raises(waiting.MissingError):
        waiting.wait_for(action, 0)
