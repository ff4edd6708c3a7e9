# SPDX-License-Identifier: GPL-3.0-or-later
"""A small HTTPS client that says by which name, protocol and login it connects; used by the scenarios of the proxy."""

from __future__ import annotations

import base64
import dataclasses
import http.client
import json
import socket
import ssl
from typing import Any

RIGHT, WRONG = ("alice", "right-password"), ("alice", "wrong-password-canary")


def basic(login: tuple[str, str]) -> str:
    """The value of an Authorization header."""
    return "Basic " + base64.b64encode(":".join(login).encode()).decode()


@dataclasses.dataclass
class Reply:
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The body as JSON."""
        return json.loads(self.body)


@dataclasses.dataclass
class Client:
    """One server of the machine."""

    address: str
    name: str
    context: ssl.SSLContext
    https_port: int = 443
    http_port: int = 80

    def connect(self, plain: bool = False, timeout: float = 60) -> http.client.HTTPConnection:
        """An open connection, the certificate verified."""
        connection = http.client.HTTPConnection(self.name, timeout=timeout)
        connection.sock = socket.create_connection((self.address, self.http_port if plain else self.https_port), timeout=timeout)
        if not plain:
            connection.sock = self.context.wrap_socket(connection.sock, server_hostname=self.name)
        return connection

    def ask(self, path: str, login: tuple[str, str] | None = None, method: str = "GET", plain: bool = False, body: Any = None, **headers: str) -> Reply:
        """One request on a connection of its own."""
        sent = {key.replace("_", "-"): value for key, value in headers.items()}
        if login:
            sent["Authorization"] = basic(login)
        connection = self.connect(plain)
        try:
            connection.request(method, path, body=body, headers=sent)
            answer = connection.getresponse()
            return Reply(answer.status, answer.headers, answer.read())
        finally:
            connection.close()
