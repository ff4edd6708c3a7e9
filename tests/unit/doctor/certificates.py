# SPDX-License-Identifier: GPL-3.0-or-later
"""A CA with good and bad server certificates, for tests. usage: certificates.py DIRECTORY NAME…"""

from __future__ import annotations

import datetime
import ipaddress
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
DAY = datetime.timedelta(days=1)


def name(common: str) -> x509.Name:
    """A subject of one common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def general_name(text: str) -> x509.GeneralName:
    """An address or a DNS name."""
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


class Authority:
    """A CA.

    Args:
        directory: where certificates and keys are written.
        label: name of its file.
    """

    def __init__(self, directory: Path, label: str = "ca") -> None:
        self.directory, self.key, self.name = directory, ec.generate_private_key(ec.SECP256R1()), name(f"Test {label}")
        builder = self._builder(self.name, self.key.public_key(), NOW - DAY, NOW + 100 * DAY)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        self.certificate = builder.add_extension(usage, critical=True).sign(self.key, hashes.SHA256())
        self.file = directory / f"{label}.pem"
        self.file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def _builder(self, subject: x509.Name, public_key: ec.EllipticCurvePublicKey, start: datetime.datetime, end: datetime.datetime) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder(issuer_name=self.name, subject_name=subject, public_key=public_key, serial_number=x509.random_serial_number())
        builder = builder.not_valid_before(start).not_valid_after(end)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        return builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)

    def issue(self, label: str, names: list[str], start_days: int = -1, end_days: int = 90) -> Path:
        """A file with key and certificate."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(name(names[0]), key.public_key(), NOW + start_days * DAY, NOW + end_days * DAY)
        builder = builder.add_extension(x509.SubjectAlternativeName([general_name(text) for text in names]), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        certificate = builder.sign(self.key, hashes.SHA256())
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        path = self.directory / f"{label}.pem"
        path.touch(mode=0o600)
        path.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
        return path


def main() -> None:
    """All that the tests need."""
    directory, names = Path(sys.argv[1]), sys.argv[2:]
    directory.mkdir(parents=True, exist_ok=True)
    authority = Authority(directory)
    Authority(directory, "other-ca")
    authority.issue("good", names)
    authority.issue("expired", names, -30, -2)
    authority.issue("future", names, 2, 30)
    authority.issue("soon", names, -30, 5)
    authority.issue("other-name", ["elsewhere.test"])


if __name__ == "__main__":
    main()
