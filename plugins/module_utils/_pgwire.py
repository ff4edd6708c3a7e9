# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The little of PostgreSQL's protocol (version 3) that a check of a server needs: verified TLS, SCRAM-SHA-256, simple queries.

The check has to run on a machine where nothing is installed yet, thus without psycopg2: standard library only.
"""

from __future__ import annotations

import socket
import ssl
import struct
import typing as t

from ansible_collections.labtrack.mlflow.plugins.module_utils import _scram

SSL_REQUEST = struct.pack("!ii", 8, 80877103)
PROTOCOL = 196608
MAXIMUM_MESSAGE = 1 << 20


class ServerError(Exception):
    """The server refused; `sqlstate` says why."""

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class NoTlsError(Exception):
    """The server speaks no TLS."""


class ProtocolError(Exception):
    """This is not a PostgreSQL server, or it asks for something that is not supported here."""


class Connection:
    """A session with one database over verified TLS.

    Args:
        address: host and port; the host is the name that the certificate must carry.
        login: `user`, `password`, `database`.
        context: TLS settings; the server's certificate is verified against its authorities and the host name.
    """

    def __init__(self, address: tuple[str, int], login: t.Mapping[str, str], context: ssl.SSLContext, timeout: float) -> None:
        self.parameters: dict[str, str] = {}
        self._socket: socket.socket = socket.create_connection(address, timeout=timeout)
        try:
            self._begin_tls(address[0], context)
            self._log_in(login)
        except BaseException:
            self._socket.close()
            raise

    def _begin_tls(self, host: str, context: ssl.SSLContext) -> None:
        try:
            self._socket.sendall(SSL_REQUEST)
            if self._read(1) != b"S":
                raise NoTlsError("the server does not speak TLS")
            self._socket = context.wrap_socket(self._socket, server_hostname=host)
        except (ConnectionResetError, BrokenPipeError) as error:
            # what is not PostgreSQL, as sshd, breaks off; its answer comes before that or is lost, as it happens
            raise ssl.SSLError(error.errno, error.strerror) from error

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_exception: object) -> None:
        try:
            self._send(b"X", b"")
        except OSError:
            pass
        self._socket.close()

    def query(self, statement: str) -> list[list[str | None]]:
        """Rows of a statement, values as text.

        Raises:
            ServerError: the server refused it.
        """
        self._send(b"Q", statement.encode() + b"\0")
        rows = []
        for kind, body in self._until_ready():
            if kind == b"D":
                rows.append(_row(body))
        return rows

    def _log_in(self, login: t.Mapping[str, str]) -> None:
        words = ["user", login["user"], "database", login["database"], "application_name", "labtrack-check", "client_encoding", "UTF8"]
        body = struct.pack("!i", PROTOCOL) + b"".join(word.encode() + b"\0" for word in words) + b"\0"
        self._socket.sendall(struct.pack("!i", len(body) + 4) + body)
        client = _scram.Client(login["password"])
        proven = False
        for kind, body in self._until_ready():
            if kind == b"R":
                proven = self._authenticate(client, body) or proven
        if not proven:
            raise ProtocolError("the server let us in without a password")

    def _authenticate(self, client: _scram.Client, body: bytes) -> bool:
        method, rest = struct.unpack("!i", body[:4])[0], body[4:]
        if method == 10:
            if b"SCRAM-SHA-256" not in rest.split(b"\0"):
                raise ProtocolError("the server offers no SCRAM-SHA-256")
            first = client.first()
            self._send(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(first)) + first)
        elif method == 11:
            self._send(b"p", client.final(rest))
        elif method == 12:
            client.verify(rest)
            return True
        elif method:
            names = {3: "a password in clear text", 5: "a password hashed with md5"}
            raise ProtocolError(f"the server asks for {names.get(method, f'authentication method {method}')}, not for SCRAM-SHA-256")
        return False

    def _until_ready(self) -> t.Iterator[tuple[bytes, bytes]]:
        """Messages up to "ready for query"; an error is raised, at once during login, at the end of a query."""
        failures: list[ServerError] = []
        while True:
            kind, body = self._receive()
            if kind == b"Z":
                break
            if kind == b"S":
                name, value = body.split(b"\0")[:2]
                self.parameters[name.decode()] = value.decode()
            elif kind == b"E":
                failures.append(_error(body))
                if "server_version" not in self.parameters:
                    break
            else:
                yield kind, body
        for failure in failures:
            raise failure

    def _send(self, kind: bytes, body: bytes) -> None:
        self._socket.sendall(kind + struct.pack("!i", len(body) + 4) + body)

    def _receive(self) -> tuple[bytes, bytes]:
        head = self._read(5)
        length = struct.unpack("!i", head[1:])[0] - 4
        if not 0 <= length <= MAXIMUM_MESSAGE:
            raise ProtocolError("the answer is not PostgreSQL's")
        return head[:1], self._read(length)

    def _read(self, length: int) -> bytes:
        parts: list[bytes] = []
        while length:
            part = self._socket.recv(length)
            if not part:
                raise ProtocolError("the server closed the connection")
            parts.append(part)
            length -= len(part)
        return b"".join(parts)


def _error(body: bytes) -> ServerError:
    fields = {field[:1]: field[1:].decode(errors="replace") for field in body.split(b"\0") if field}
    return ServerError(fields.get(b"C", ""), fields.get(b"M", "unknown error"))


def _row(body: bytes) -> list[str | None]:
    values: list[str | None] = []
    offset = 2
    for _column in range(struct.unpack("!h", body[:2])[0]):
        length = struct.unpack("!i", body[offset : offset + 4])[0]
        offset += 4
        values.append(None if length < 0 else body[offset : offset + length].decode())
        offset += max(length, 0)
    return values
