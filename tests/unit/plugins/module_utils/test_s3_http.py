# SPDX-License-Identifier: GPL-3.0-or-later
"""The signed reader against a real HTTP server on loopback; translation of errors."""

from __future__ import annotations

import datetime
import email.utils
import http.server
import socket
import ssl
import threading

import pytest
from ansible_collections.labtrack.mlflow.plugins.module_utils import _s3_http
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_http import Reader, StoreError


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with what the test prepared; remembers requests."""

    def do_GET(self):
        self.server.seen.append((self.path, dict(self.headers)))
        status, body, headers = self.server.answer
        self.send_response_only(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Quiet."""


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.seen, running.answer = [], (200, b"<a/>", {})
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def reader(server, **options):
    return Reader(f"http://127.0.0.1:{server.server_port}", "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1", **options)


def error_body(code):
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message/></Error>".encode()


def test_signature_follows_the_published_example():
    # GET Bucket (list objects) of Amazon's Signature Version 4 examples
    example = Reader("https://examplebucket.s3.amazonaws.com", "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")
    moment = datetime.datetime(2013, 5, 24, tzinfo=datetime.UTC)
    headers = example.headers("/", "max-keys=2&prefix=J", moment)
    assert headers["Authorization"].endswith("Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")


def test_path_and_query_are_quoted_and_sorted(server):
    reader(server).get("/bucket/a b~c", {"prefix": "x/y z", "list-type": "2"})
    path, headers = server.seen[0]
    assert path == "/bucket/a%20b~c?list-type=2&prefix=x%2Fy%20z"
    assert "wJalr" not in str(headers)


def test_base_path_is_kept(server):
    Reader(f"http://127.0.0.1:{server.server_port}/s3/", "a", "b", "r").get("/bucket")
    assert server.seen[0][0] == "/s3/bucket"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("InvalidAccessKeyId", "access_key"),
        ("SignatureDoesNotMatch", "secret_key"),
        ("RequestTimeTooSkewed", "clock"),
        ("AuthorizationHeaderMalformed", "region"),
    ],
)
def test_answers_about_the_key_are_errors(server, code, kind):
    server.answer = (403, error_body(code), {})
    with pytest.raises(StoreError) as error:
        reader(server).get("/bucket")
    assert error.value.kind == kind


@pytest.mark.parametrize(
    ("message", "detail"),
    [
        ("The authorization header is malformed; the region 'x' is wrong; expecting 'RegionOne'", "it expects 'RegionOne'"),
        ("the region &apos;x&apos; is wrong; expecting &apos;eu-west-1&apos;", "it expects 'eu-west-1'"),
        ("", "AuthorizationHeaderMalformed"),
    ],
)
def test_the_region_that_the_store_expects_is_named(server, message, detail):
    server.answer = (400, error_body("AuthorizationHeaderMalformed").replace(b"<Message/>", f"<Message>{message}</Message>".encode()), {})
    with pytest.raises(StoreError) as error:
        reader(server).get("/bucket")
    assert (error.value.kind, error.value.detail) == ("region", detail)


@pytest.mark.parametrize("code", ["AccessDenied", "NoSuchBucket", "NoSuchKey"])
def test_answers_about_the_bucket_are_results(server, code):
    server.answer = (404, error_body(code), {})
    assert reader(server).get("/bucket").code == code


def test_a_web_page_is_no_store(server):
    server.answer = (404, b"<html>not here</html>", {})
    with pytest.raises(StoreError, match="not_s3"):
        reader(server).get("/bucket")


def test_clock_skew_is_measured(server):
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=20)
    server.answer = (403, error_body("RequestTimeTooSkewed"), {"Date": email.utils.format_datetime(past, usegmt=True)})
    client = reader(server)
    with pytest.raises(StoreError) as error:
        client.get("/bucket")
    assert 1195 < client.clock_skew_seconds < 1205
    assert error.value.detail.endswith(" s")


def test_refused():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(StoreError) as error:
        Reader(f"http://localhost:{port}", "a", "b", "r").get("/")
    assert error.value.kind == "refused"


def test_unknown_name():
    with pytest.raises(StoreError) as error:
        Reader("https://no-such-host.invalid", "a", "b", "r").get("/")
    assert error.value.kind == "dns"


def test_tls_where_there_is_none(server):
    with pytest.raises(StoreError) as error:
        Reader(f"https://127.0.0.1:{server.server_port}", "a", "b", "r").get("/")
    assert error.value.kind == "tls"


def test_connect_to_another_address(server):
    answer = Reader(f"http://no-such-host.invalid:{server.server_port}", "a", "b", "r", address="127.0.0.1").get("/")
    assert answer.status == 200
    assert server.seen[0][1]["host"] == f"no-such-host.invalid:{server.server_port}"


def test_missing_and_unusable_ca(tmp_path):
    with pytest.raises(StoreError, match="ca_missing"):
        Reader("https://localhost", "a", "b", "r", str(tmp_path / "none.pem")).get("/")
    (tmp_path / "text.pem").write_text("no certificate")
    with pytest.raises(StoreError, match="ca_unusable"):
        Reader("https://localhost", "a", "b", "r", str(tmp_path / "text.pem")).get("/")


@pytest.mark.parametrize(("number", "kind"), [(10, "tls_expired"), (62, "tls_name"), (64, "tls_name"), (18, "tls_ca"), (20, "tls_ca")])
def test_certificate_errors(number, kind):
    error = ssl.SSLCertVerificationError("x")
    error.verify_code, error.verify_message = number, "why"
    assert _s3_http.connection_error(error).kind == kind


@pytest.mark.parametrize(
    ("error", "kind"), [(TimeoutError(), "timeout"), (OSError(113, "No route to host"), "network"), (http.client.BadStatusLine("x"), "not_s3")]
)
def test_other_errors(error, kind):
    assert _s3_http.connection_error(error).kind == kind
