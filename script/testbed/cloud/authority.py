# SPDX-License-Identifier: GPL-3.0-or-later
"""The certificate of the cloud's public addresses, and the test CA that signed it."""

from __future__ import annotations

import datetime
import ipaddress
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from . import facts

NAME = "labtrack test cloud CA"
DAYS = 3650
PEM = serialization.Encoding.PEM
# without it Python 3.13 refuses the CA
SIGNS = x509.KeyUsage(False, False, False, False, False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False)


def certificates() -> dict[str, str]:
    """The CA's certificate, and the proxy's with its key, by path. The CA's key is forgotten."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority_id = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    authority = _sign(NAME, authority_key, authority_key, x509.BasicConstraints(True, 0), SIGNS, authority_id)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(facts.ADDRESS)), x509.DNSName("cloud.labtrack.test")])
    issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority_id)
    certificate = _sign(facts.ADDRESS, key, authority_key, x509.BasicConstraints(False, None), names, issuer)
    private = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    return {"etc/haproxy/cloud.pem": certificate.public_bytes(PEM).decode() + private, facts.CA_SOURCE: authority.public_bytes(PEM).decode()}


def _sign(name: str, key: Any, signer: Any, *extensions: x509.ExtensionType) -> x509.Certificate:
    now, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)
    builder = x509.CertificateBuilder().subject_name(_name(name)).issuer_name(_name(NAME)).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - day).not_valid_after(now + DAYS * day)
    for extension in extensions:
        builder = builder.add_extension(extension, critical=isinstance(extension, (x509.BasicConstraints, x509.KeyUsage)))
    return builder.sign(signer, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
