# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SCRAM-SHA-256 (RFC 5802, RFC 7677): a client's side of a login, and verifiers as PostgreSQL stores them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import unicodedata

ITERATIONS = 4096  # PostgreSQL's own default


class ScramError(Exception):
    """The server did not prove that it knows the password, or broke the protocol."""


def _hmac(key: bytes, text: bytes) -> bytes:
    return hmac.new(key, text, hashlib.sha256).digest()


def salted(password: str, salt: bytes, iterations: int) -> bytes:
    """Salted password; NFKC is what SASLprep does to all but exotic characters."""
    return hashlib.pbkdf2_hmac("sha256", unicodedata.normalize("NFKC", password).encode(), salt, iterations)


def stored_key(salted_password: bytes) -> bytes:
    """What the server keeps to recognise a client."""
    return hashlib.sha256(_hmac(salted_password, b"Client Key")).digest()


def server_key(salted_password: bytes) -> bytes:
    """What the server keeps to prove itself."""
    return _hmac(salted_password, b"Server Key")


def make_verifier(password: str, salt: bytes | None = None, iterations: int = ITERATIONS) -> str:
    """Verifier in PostgreSQL's form, with a random salt unless one is given."""
    salt = salt or secrets.token_bytes(16)
    key = salted(password, salt, iterations)
    parts = [base64.b64encode(part).decode() for part in (salt, stored_key(key), server_key(key))]
    return f"SCRAM-SHA-256${iterations}:{parts[0]}${parts[1]}:{parts[2]}"


def matches(password: str, verifier: str | None) -> bool:
    """Whether a verifier was made from this password."""
    try:
        method, parameters, _keys = (verifier or "").split("$")
        iterations, salt = parameters.split(":")
        wanted = make_verifier(password, base64.b64decode(salt), int(iterations))
    except ValueError:
        return False
    return method == "SCRAM-SHA-256" and hmac.compare_digest(wanted, verifier or "")


class Client:
    """One login. Messages are those of RFC 5802 without channel binding; the user name is left to the start-up message."""

    def __init__(self, password: str, nonce: str | None = None, user: str = "") -> None:
        self._password = password
        self._nonce = nonce or secrets.token_urlsafe(18)
        self._first_bare = f"n={user},r={self._nonce}"
        self._signature = b""

    def first(self) -> bytes:
        """Client-first message."""
        return f"n,,{self._first_bare}".encode()

    def final(self, server_first: bytes) -> bytes:
        """Client-final message with the proof.

        Raises:
            ScramError: the server's message is not a continuation of ours.
        """
        try:
            fields = dict(field.split("=", 1) for field in server_first.decode().split(","))
            nonce, salt, iterations = fields["r"], base64.b64decode(fields["s"]), int(fields["i"])
        except (KeyError, ValueError) as error:
            raise ScramError("the server's challenge is malformed") from error
        if not nonce.startswith(self._nonce) or iterations < 1:
            raise ScramError("the server's challenge does not belong to this login")
        key = salted(self._password, salt, iterations)
        without_proof = f"c=biws,r={nonce}"
        text = ",".join([self._first_bare, server_first.decode(), without_proof]).encode()
        self._signature = _hmac(server_key(key), text)
        client_key = _hmac(key, b"Client Key")
        mask = _hmac(hashlib.sha256(client_key).digest(), text)
        proof = bytes(left ^ right for left, right in zip(client_key, mask))
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def verify(self, server_final: bytes) -> None:
        """Check the server's own proof.

        Raises:
            ScramError: it does not know the password.
        """
        if not self._signature or server_final != b"v=" + base64.b64encode(self._signature):
            raise ScramError("the server could not prove that it knows the password")
