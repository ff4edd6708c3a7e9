# SPDX-License-Identifier: GPL-3.0-or-later
"""The protocol and the doctor against a scripted server; a real one is met in the scenario postgresql_alternative."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from ansible_collections.labtrack.mlflow.plugins.module_utils import _database_doctor, _pgwire, _scram

PASSWORD = "correct-horse"
PLAIN = SimpleNamespace(wrap_socket=lambda connection, server_hostname: connection)  # TLS itself is Python's


def message(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def error(sqlstate: str, text: str = "no") -> bytes:
    return message(b"E", f"SFATAL\0C{sqlstate}\0M{text}\0\0".encode())


class Server(threading.Thread):
    """Accepts connections until closed; `answers` says how it behaves."""

    def __init__(self, **answers) -> None:
        super().__init__(daemon=True)
        self.answers = {"tls": b"S", "method": 10, "refuse": {}, "status": {}, "row": ("UTF8", "mlflowdb", "t", "t"), **answers}
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        self.start()

    def run(self) -> None:
        while True:
            try:
                connection, _peer = self.listener.accept()
            except OSError:
                return
            with connection:
                try:
                    self.serve(connection)
                except (OSError, struct.error):
                    continue

    def receive(self, connection: socket.socket, head: int) -> bytes:
        length = struct.unpack("!i", connection.recv(head, socket.MSG_WAITALL)[-4:])[0]
        return connection.recv(length - 4, socket.MSG_WAITALL)

    def serve(self, connection: socket.socket) -> None:
        self.receive(connection, 4)
        connection.sendall(self.answers["tls"])
        words = self.receive(connection, 4)[4:].split(b"\0")
        login = dict(zip(words[::2], words[1::2]))
        if self.answers["method"] != 10:
            connection.sendall(message(b"R", struct.pack("!i", self.answers["method"])) + message(b"Z", b"I"))
            return
        connection.sendall(message(b"R", struct.pack("!i", 10) + b"SCRAM-SHA-256\0\0"))
        client_first = self.receive(connection, 5)[18:]
        bare = client_first.split(b"n,,")[1]
        nonce = bare.split(b"r=")[1] + b"server"
        first = b"r=" + nonce + b",s=c2FsdHNhbHQ=,i=4096"
        connection.sendall(message(b"R", struct.pack("!i", 11) + first))
        final = self.receive(connection, 5)
        expected = _scram.Client(PASSWORD, nonce=bare.split(b"r=")[1].decode())
        if final != expected.final(first):
            connection.sendall(error("28P01"))
            return
        database = login[b"database"].decode()
        if database in self.answers["refuse"]:
            connection.sendall(error(self.answers["refuse"][database]))
            return
        text = b",".join([bare, first, final.rsplit(b",p=", 1)[0]])
        signature = _scram._hmac(_scram.server_key(_scram.salted(PASSWORD, b"saltsalt", 4096)), text)
        connection.sendall(message(b"R", struct.pack("!i", 12) + b"v=" + _scram.base64.b64encode(signature)) + message(b"R", struct.pack("!i", 0)))
        for name, value in {"server_version": "17.6 (Debian)", "in_hot_standby": "off", **self.answers["status"]}.items():
            connection.sendall(message(b"S", f"{name}\0{value}\0".encode()))
        connection.sendall(message(b"K", b"\0" * 8) + message(b"Z", b"I"))
        if connection.recv(1) == b"Q":
            self.receive(connection, 4)
            cells = b"".join(struct.pack("!i", -1) if cell is None else struct.pack("!i", len(cell)) + cell.encode() for cell in self.answers["row"])
            row = message(b"D", struct.pack("!h", len(self.answers["row"])) + cells)
            connection.sendall(message(b"T", b"\0\0") + row + message(b"C", b"SELECT 1\0") + message(b"Z", b"I"))


@pytest.fixture
def serve() -> Iterator:
    servers = []

    def start(**answers) -> tuple[str, int]:
        servers.append(Server(**answers))
        return servers[-1].address

    yield start
    for server in servers:
        server.listener.close()


def examine(*servers: tuple[str, int], password: str = PASSWORD, databases: tuple[str, ...] = ("mlflowdb", "mlflowauth")) -> _database_doctor.Verdict:
    return _database_doctor.Doctor("mlflowdb", password, PLAIN, timeout=5).examine(servers, databases)


def test_a_good_server(serve) -> None:
    verdict = examine(serve())
    assert (verdict.problems, verdict.missing, verdict.version) == ([], [], "17.6 (Debian)")


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"tls": b"N"}, "does not speak TLS"),
        ({"tls": b"H"}, "does not speak TLS"),
        ({"method": 0}, "without a password"),
        ({"method": 3}, "clear text"),
        ({"method": 5}, "md5"),
        ({"method": 99}, "authentication method 99"),
        ({"refuse": {"mlflowdb": "28000"}}, "pg_hba.conf"),
        ({"refuse": {"mlflowdb": "53300"}}, "no connection left"),
        ({"refuse": {"mlflowdb": "XX000"}}, "SQLSTATE XX000"),
        ({"status": {"in_hot_standby": "on"}}, "read-only"),
        ({"status": {"server_version": "11.22"}}, "runs PostgreSQL 11.22"),
        ({"row": ("SQL_ASCII", "mlflowdb", "t", "t")}, "encoding SQL_ASCII"),
        ({"row": ("UTF8", "other", "f", "t")}, "belongs to 'other'"),
        ({"row": ("UTF8", "mlflowdb", "t", "f")}, "schema public"),
    ],
)
def test_what_is_wrong(serve, answers: dict, words: str) -> None:
    found = examine(serve(**answers), databases=("mlflowdb",)).problems
    assert len(found) == 1
    assert words in found[0]
    assert PASSWORD not in found[0]


def test_a_wrong_password(serve) -> None:
    found = examine(serve(), password="wrong", databases=("mlflowdb",)).problems
    assert "password of user 'mlflowdb' is refused" in found[0]


def test_a_missing_database(serve) -> None:
    verdict = examine(serve(refuse={"mlflowauth": "3D000"}))
    assert verdict.missing == ["mlflowauth"]
    assert "'mlflowauth'" in verdict.problems[0]
    assert "does not exist" in verdict.problems[0]


def test_the_primary_of_several(serve) -> None:
    gone = socket.create_server(("127.0.0.1", 0))
    address = gone.getsockname()
    gone.close()
    primary = serve()
    verdict = examine(address, serve(status={"in_hot_standby": "on"}), serve(refuse={"mlflowdb": "57P03"}), primary)
    assert (verdict.problems, verdict.port) == ([], primary[1])


def test_none_takes_writes(serve) -> None:
    verdict = examine(serve(status={"in_hot_standby": "on"}), serve(status={"default_transaction_read_only": "on"}))
    assert len(verdict.problems) == 2
    assert verdict.host == ""


def test_no_value_is_not_an_empty_one() -> None:
    assert _pgwire._row(struct.pack("!h", 2) + struct.pack("!i", -1) + struct.pack("!i", 0)) == [None, ""]


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ("db", [("db", 5433)]),
        ("a:5432, b", [("a", 5432), ("b", 5433)]),
        ("[2001:db8::7]:5432,[::1]", [("2001:db8::7", 5432), ("::1", 5433)]),
    ],
)
def test_hosts(hosts: str, expected: list) -> None:
    assert _database_doctor.targets(hosts, 5433) == expected


@pytest.mark.parametrize("hosts", ["", "a,,b", "a:b", "a:0", "a:70000", "::1", "https://db"])
def test_hosts_that_are_none(hosts: str) -> None:
    with pytest.raises(ValueError, match="neither"):
        _database_doctor.targets(hosts, 5433)


def test_authorities(tmp_path) -> None:
    with pytest.raises(FileNotFoundError):
        _database_doctor.tls_context(str(tmp_path / "none.pem"))
    (tmp_path / "empty.pem").write_text("")
    with pytest.raises(ssl.SSLError):
        _database_doctor.tls_context(str(tmp_path / "empty.pem"))


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (socket.gaierror(-2, "Name or service not known"), "cannot be resolved"),
        (TimeoutError(), "does not answer"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (ssl.SSLError(1, "wrong version number"), "no TLS connection"),
        (_pgwire.ProtocolError("odd"), "odd."),
    ],
)
def test_words_for_what_was_not_reached(problem: Exception, words: str) -> None:
    assert words in _database_doctor.unreachable(problem)


def test_a_server_that_breaks_off_speaks_no_tls() -> None:
    """As sshd does: closed with something unread, the connection is reset, and the banner is lost."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def break_off() -> None:
            connection, _peer = listener.accept()
            connection.recv(1, socket.MSG_PEEK)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

        threading.Thread(target=break_off, daemon=True).start()
        found = examine(listener.getsockname())
    assert any("no TLS connection comes about" in problem for problem in found.problems), found.problems
