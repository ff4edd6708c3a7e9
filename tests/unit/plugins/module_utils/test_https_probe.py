# SPDX-License-Identifier: GPL-3.0-or-later
"""The probe against a real TLS server on the loopback interface."""

from __future__ import annotations

import datetime
import http.server
import ssl
import threading

import pytest
from ansible_collections.labtrack.mlflow.plugins.module_utils._https_probe import Request, ask, wait
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


class Handler(http.server.BaseHTTPRequestHandler):
    hosts: list[str] = []
    busy = 0

    def do_GET(self):
        Handler.hosts.append(self.headers["Host"])
        status = {"/health": 200}.get(self.path, 401)
        if Handler.busy:
            Handler.busy, status = Handler.busy - 1, 503
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_arguments):
        pass


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A self-signed certificate for mlflow.example.org, and its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mlflow.example.org")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + datetime.timedelta(days=1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("mlflow.example.org")]), critical=False)
    path = tmp_path_factory.mktemp("tls")
    (path / "ca.pem").write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    (path / "key.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return path


@pytest.fixture(scope="module")
def port(certificate):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "ca.pem", certificate / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def request(certificate, path="/health", status=(200,), name="mlflow.example.org"):
    return Request(name, path, status, str(certificate / "ca.pem"))


def test_the_status_is_compared_under_the_name_that_clients_use(certificate, port):
    Handler.hosts.clear()
    answer = ask(request(certificate), "127.0.0.1", port, 5)
    assert (answer.status, answer.good) == (200, True)
    assert Handler.hosts == ["mlflow.example.org"]
    answer = ask(request(certificate, "/"), "127.0.0.1", port, 5)
    assert answer.sentence() == "https://mlflow.example.org/ gave status 401, expected 200"
    assert ask(request(certificate, "/", (401, 403)), "127.0.0.1", port, 5).good


def test_a_certificate_for_another_name_is_not_accepted(certificate, port):
    answer = ask(request(certificate, name="other.example.org"), "127.0.0.1", port, 5)
    assert (answer.status, answer.good) == (0, False)
    assert "does not confirm for 'other.example.org'" in answer.sentence()


def test_an_unknown_authority_is_not_accepted(port):
    answer = ask(Request("mlflow.example.org", "/health", (200,)), "127.0.0.1", port, 5)
    assert "a certificate that the system does not confirm" in answer.sentence()


def test_a_missing_ca_file_is_an_answer_not_a_crash(port):
    assert "no answer" in ask(Request("a.example", "/", (200,), "/nonexistent/ca.pem"), "127.0.0.1", port, 5).sentence()


def test_nobody_listens(certificate):
    assert "nothing listens there" in ask(request(certificate), "127.0.0.1", 1, 5).sentence()


def test_it_waits_until_the_answer_is_right(certificate, port):
    Handler.busy = 1
    answers = wait([request(certificate), request(certificate, "/", (401,))], "127.0.0.1", port, 5, 10)
    assert [answer.status for answer in answers] == [200, 401]


def test_it_gives_up_when_the_time_is_over(certificate, port):
    (answer,) = wait([request(certificate, "/")], "127.0.0.1", port, 5, 0)
    assert not answer.good
