# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signed reads from an S3 store with Python's standard library alone.

The preflight runs on a bare machine, where boto3 is not yet installed. It only reads; whatever writes uses boto3.
"""

from __future__ import annotations

import dataclasses
import datetime
import email.utils
import hashlib
import hmac
import http.client
import os
import re
import socket
import ssl
import typing as t
import urllib.parse

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
MAX_BODY = 2**20


class StoreError(Exception):
    """The store cannot be used; `kind` is a key of the translations in C(_s3_messages)."""

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind, self.detail = kind, detail


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came back: status, headers in lower case, body, the S3 error code."""

    status: int
    headers: dict[str, str]
    body: bytes
    code: str = ""


def sign(key: bytes, text: str) -> bytes:
    """HMAC-SHA256."""
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Reader:
    """GET requests to one store, signed with AWS Signature Version 4, path-style; to another address than the DNS says, when it is given."""

    def __init__(self, endpoint: str, access_key: str, secret_key: str, region: str, ca_file: str = "", timeout: float = 10, address: str = "") -> None:
        url = urllib.parse.urlsplit(endpoint)
        self.tls, self.host, self.timeout = url.scheme == "https", url.hostname or "", timeout
        self.port = url.port or (443 if self.tls else 80)
        self.netloc, self.base = url.netloc, url.path.rstrip("/")
        self.address = address or self.host
        self.access_key, self.secret_key, self.region, self.ca_file = access_key, secret_key, region, ca_file
        self.clock_skew_seconds: float | None = None

    def headers(self, path: str, query: str, now: datetime.datetime) -> dict[str, str]:
        """Headers with the signature."""
        stamp, date = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
        signed = {"host": self.netloc, "x-amz-content-sha256": EMPTY_SHA256, "x-amz-date": stamp}
        names = ";".join(signed)
        lines = "".join(f"{name}:{value}\n" for name, value in signed.items())
        request = "\n".join(["GET", path, query, lines, names, EMPTY_SHA256])
        scope = f"{date}/{self.region}/s3/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(request.encode()).hexdigest()])
        key = ("AWS4" + self.secret_key).encode()
        for part in (date, self.region, "s3", "aws4_request"):
            key = sign(key, part)
        signature = sign(key, text).hex()
        authorization = f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
        return {**signed, "Authorization": authorization}

    def connect(self) -> http.client.HTTPConnection:
        """An open connection.

        Raises:
            StoreError: name, port, TLS or certificate.
        """
        if self.ca_file and not os.path.isfile(self.ca_file):
            raise StoreError("ca_missing", self.ca_file)
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None) if self.tls else None
        except (ssl.SSLError, OSError) as error:
            raise StoreError("ca_unusable", str(error)) from error
        connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
        try:
            raw = dial(self.address, self.port, self.timeout)
            connection.sock = context.wrap_socket(raw, server_hostname=self.host) if context else raw
        except Exception as error:
            raise connection_error(error) from error
        return connection

    def get(self, path: str, query: dict[str, str] | None = None) -> Answer:
        """GET a path below the endpoint.

        Raises:
            StoreError: no answer, or an answer that says that the key or the clock is wrong.
        """
        quoted = self.base + urllib.parse.quote(path, safe="/~")
        text = "&".join(f"{urllib.parse.quote(k, safe='~')}={urllib.parse.quote(v, safe='~')}" for k, v in sorted((query or {}).items()))
        connection = self.connect()
        try:
            now = datetime.datetime.now(datetime.UTC)
            connection.request("GET", quoted + (f"?{text}" if text else ""), headers=self.headers(quoted, text, now))
            response = connection.getresponse()
            answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read(MAX_BODY))
        except (OSError, http.client.HTTPException) as error:
            raise connection_error(error) from error
        finally:
            connection.close()
        self.note_clock(answer, now)
        if answer.status >= 400:
            found = re.search(rb"<Code>([A-Za-z0-9.]+)</Code>", answer.body)
            answer = dataclasses.replace(answer, code=found.group(1).decode() if found else "")
            self.refuse(answer)
        return answer

    def note_clock(self, answer: Answer, now: datetime.datetime) -> None:
        """Remember how far this machine's clock is ahead of the store's."""
        try:
            self.clock_skew_seconds = round((now - email.utils.parsedate_to_datetime(answer.headers["date"])).total_seconds(), 1)
        except (KeyError, ValueError, TypeError):
            pass

    def refuse(self, answer: Answer) -> None:
        """Raise for the answers that no other request would change."""
        kinds = {
            "InvalidAccessKeyId": "access_key",
            "SignatureDoesNotMatch": "secret_key",
            "RequestTimeTooSkewed": "clock",
            "InvalidTokenId": "access_key",
            "AuthorizationHeaderMalformed": "region",
        }
        if answer.code in kinds:
            skew = f"{self.clock_skew_seconds} s" if self.clock_skew_seconds is not None else "unknown"
            # Amazon and Swift: "the region 'x' is wrong; expecting 'y'"
            region = re.search(rb"expecting (?:'|&apos;|&#39;)([A-Za-z0-9_-]+)", answer.body)
            details = {"RequestTimeTooSkewed": skew, "AuthorizationHeaderMalformed": f"it expects '{region.group(1).decode()}'" if region else answer.code}
            raise StoreError(kinds[answer.code], details.get(answer.code, answer.code))
        if not answer.code:
            raise StoreError("not_s3", f"status {answer.status}")


def dial(host: str, port: int, timeout: float) -> socket.socket:
    """Connect to the first address that answers. A refusal says more than the address family that this machine does not have."""
    errors: list[OSError] = []
    for family, kind, protocol, _name, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        connection = socket.socket(family, kind, protocol)
        connection.settimeout(timeout)
        try:
            connection.connect(address)
            return connection
        except OSError as error:
            connection.close()
            errors.append(error)
    raise next((error for error in errors if isinstance(error, ConnectionRefusedError)), errors[0])


def connection_error(error: Exception) -> StoreError:
    """What the exception of a connection means."""
    if isinstance(error, socket.gaierror):
        return StoreError("dns", str(error))
    if isinstance(error, ssl.SSLCertVerificationError):
        kinds = {10: "tls_expired", 9: "tls_expired", 62: "tls_name", 64: "tls_name"}
        return StoreError(kinds.get(error.verify_code, "tls_ca"), error.verify_message)
    if isinstance(error, ssl.SSLError):
        return StoreError("tls", error.reason or str(error))
    if isinstance(error, ConnectionRefusedError):
        return StoreError("refused", str(error))
    if isinstance(error, (socket.timeout, TimeoutError)):
        return StoreError("timeout", str(error))
    if isinstance(error, http.client.HTTPException):
        return StoreError("not_s3", repr(error))
    return StoreError("network", t.cast(str, getattr(error, "strerror", None)) or str(error))
