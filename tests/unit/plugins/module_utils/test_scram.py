# SPDX-License-Identifier: GPL-3.0-or-later
"""SCRAM-SHA-256 against the example of RFC 7677, and verifiers as PostgreSQL stores them."""

from __future__ import annotations

import base64

import pytest
from ansible_collections.labtrack.mlflow.plugins.module_utils import _scram

SERVER_FIRST = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
SERVER_FINAL = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def client() -> _scram.Client:
    return _scram.Client("pencil", nonce="rOprNGfwEbeRWgbNEkqO", user="user")


def test_the_example_of_rfc_7677() -> None:
    login = client()
    assert login.first() == b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    assert login.final(SERVER_FIRST).endswith(b",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    login.verify(SERVER_FINAL)


def test_a_server_that_does_not_know_the_password() -> None:
    login = client()
    login.final(SERVER_FIRST)
    with pytest.raises(_scram.ScramError, match="could not prove"):
        login.verify(b"v=" + base64.b64encode(b"0" * 32))


def test_a_server_that_skips_the_challenge() -> None:
    with pytest.raises(_scram.ScramError, match="could not prove"):
        client().verify(b"v=")


@pytest.mark.parametrize("challenge", [b"", b"r=other,s=AAAA,i=4096", b"r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=many", b"r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=0", b"\xff"])
def test_a_challenge_that_is_none(challenge: bytes) -> None:
    with pytest.raises(_scram.ScramError, match="challenge"):
        client().final(challenge)


def test_a_verifier_fits_its_password_only() -> None:
    verifier = _scram.make_verifier("correct-horse")
    assert verifier.startswith("SCRAM-SHA-256$4096:")
    assert _scram.matches("correct-horse", verifier)
    assert not _scram.matches("correct-horsf", verifier)
    assert _scram.make_verifier("correct-horse") != verifier, "salts are random"


@pytest.mark.parametrize("stored", [None, "", "md5d8578edf8458ce06fbc5bb76a58c5ca4", "SCRAM-SHA-256$x:y$z", "MD5$4096:AAAA$b:c"])
def test_other_verifiers_do_not_fit(stored: str | None) -> None:
    assert not _scram.matches("correct-horse", stored)


def test_a_verifier_that_postgresql_made() -> None:
    """Stored by PostgreSQL 15.20 for this password."""
    stored = "SCRAM-SHA-256$4096:gUBpHOkSKlwqtdP0vBmN+w==$L7latckcIhuJpb8frKjVp1l//Q0UQh13Ty3UTw6H5dY=:de8YKBkr8J3gG/+tXTzgEP8vj/eKwofsHfeAS6UiXeI="
    assert _scram.matches("gr\u00fcn-und-blau", stored)
    assert _scram.matches("gru\u0308n-und-blau", stored), "another form of the same letter is the same password"
