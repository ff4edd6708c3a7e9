# SPDX-License-Identifier: GPL-3.0-or-later
"""A server over real TLS that misbehaves as told."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PASSWORD = "canary-password-17"
BASIC = "Basic " + base64.b64encode(f"ada:{PASSWORD}".encode()).decode()
EXPERIMENT = {"experiment_id": "0", "artifact_location": "mlflow-artifacts:/0"}


@dataclasses.dataclass
class Behaviour:
    """What the server does; `answers` maps a path to (status, body, headers)."""

    certificate: str = "good"
    answers: dict[str, tuple[int, str, dict[str, str]]] = dataclasses.field(default_factory=dict)
    date: str = ""
    experiment: dict[str, str] = dataclasses.field(default_factory=lambda: dict(EXPERIMENT))
    requests: list[tuple[str, str]] = dataclasses.field(default_factory=list)


class Handler(http.server.BaseHTTPRequestHandler):
    """An MLflow server as far as the doctor asks it."""

    behaviour: Behaviour

    def do_GET(self) -> None:
        path, login = self.path.split("?")[0], self.headers.get("Authorization", "")
        self.behaviour.requests.append((path, login))
        if path in self.behaviour.answers:
            self.answer(*self.behaviour.answers[path])
        elif path == "/health":
            self.answer(200, "OK")
        elif login != BASIC:
            self.answer(401, "You are not authenticated.")
        elif path == "/version":
            self.answer(200, "3.17.2")
        elif path.endswith("/experiments/search"):
            self.answer(200, json.dumps({"experiments": [self.behaviour.experiment]}))
        else:
            self.answer(200, "{}")

    def answer(self, status: int, text: str, headers: dict[str, str] | None = None) -> None:
        self.send_response_only(status)
        self.send_header("Date", self.behaviour.date or self.date_time_string())
        self.send_header("Content-Length", str(len(text)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_arguments: Any) -> None:
        """Silence."""


class QuietServer(http.server.ThreadingHTTPServer):
    """Failed handshakes are what these tests are about."""

    def handle_error(self, *_arguments: Any) -> None:
        """Silence."""


@contextlib.contextmanager
def serve(behaviour: Behaviour, certificates: Path, tls: bool = True) -> Iterator[int]:
    """Run a server; its port."""
    server = QuietServer(("127.0.0.1", 0), type("Told", (Handler,), {"behaviour": behaviour}))
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / f"{behaviour.certificate}.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
