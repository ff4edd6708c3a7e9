# SPDX-License-Identifier: GPL-3.0-or-later
"""A small client of the Docker engine: Debian 12's Python packages for it would bring much that is not needed."""

from __future__ import annotations

import http.client
import json
import socket
import urllib.parse
from typing import Any

SOCKET = "/run/host-docker.sock"
TIMEOUT_SECONDS = 300


class EngineError(Exception):
    """The engine refused."""


class NotFoundError(EngineError):
    """There is no such object."""


class _Connection(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT_SECONDS)
        self.sock.connect(SOCKET)


def call(method: str, path: str, body: Any = None, /, **query: Any) -> Any:
    """One request; the decoded answer, or its bytes where that is not JSON. A body of bytes is sent as a tar archive."""
    connection = _Connection("docker")
    if query:
        path = f"{path}?{urllib.parse.urlencode(query)}"
    kind = "application/x-tar" if isinstance(body, bytes) else "application/json"
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    connection.request(method, path, data, {"Content-Type": kind, "Host": "docker"})
    answer = connection.getresponse()
    content = answer.read()
    if answer.status == http.client.NOT_FOUND:
        raise NotFoundError(path)
    if answer.status >= http.client.BAD_REQUEST:
        raise EngineError(f"{method} {path}: {answer.status} {content[:500]!r}")
    return json.loads(content) if "json" in (answer.getheader("Content-Type") or "") and content else content


def run_in(container: str, script: str) -> str:
    """Run a shell script as root in a running container; its output.

    Raises:
        EngineError: it failed.
    """
    job = call("POST", f"/containers/{container}/exec", {"Cmd": ["/bin/sh", "-ec", script], "AttachStdout": True, "AttachStderr": True, "Tty": True})["Id"]
    output = call("POST", f"/exec/{job}/start", {"Detach": False, "Tty": True})
    code = call("GET", f"/exec/{job}/json")["ExitCode"]
    text = output.decode(errors="replace") if isinstance(output, bytes) else str(output)
    if code:
        raise EngineError(f"a script in {container} ended with {code}: {text[-800:]}")
    return text
