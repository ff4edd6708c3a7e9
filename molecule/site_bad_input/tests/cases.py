# SPDX-License-Identifier: GPL-3.0-or-later
"""The mistakes, and what check_site.yml must say about each."""

from __future__ import annotations

import dataclasses
import datetime
import subprocess
import typing as t
from pathlib import Path

import boto3
from botocore.config import Config
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

FQDN = "mlflow.bad.test"
FOREIGN_BUCKET = "somebody-elses-data"


@dataclasses.dataclass
class Case:
    """One mistake: the variables that make it, and patterns that the message must have."""

    name: str
    mistake: dict[str, t.Any] | t.Callable[[dict], dict[str, t.Any]]
    expected: list[str]

    def variables(self, context: dict) -> dict[str, t.Any]:
        """Variables of the host that makes the mistake."""
        return self.mistake(context) if callable(self.mistake) else self.mistake


def certificate(directory: Path, name: str, days: int, common_name: str = FQDN) -> tuple[str, str]:
    """(certificate file, key file) of a self-signed certificate that ends in `days` days."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=400)).not_valid_after(now + datetime.timedelta(days=days))
    signed = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(common_name)]), critical=False).sign(key, hashes.SHA256())
    paths = directory / f"{name}.pem", directory / f"{name}.key"
    paths[0].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    return str(paths[0]), str(paths[1])


def provided(pair: tuple[str, str]) -> dict[str, str]:
    """Variables of a certificate that the lab brings."""
    return {"certificate_provider": "provided", "certificate_provided_chain_file": pair[0], "certificate_provided_private_key_file": pair[1]}


def material(directory: Path, common: dict) -> dict[str, t.Any]:
    """Files, a foreign bucket, and the variables of a host without mistakes."""
    ca_file = directory / "store-ca.pem"
    ca_file.write_text(common["testbed_store_ca_pem"], encoding="utf-8")
    make_foreign_bucket(common, ca_file)
    good = {
        "site_fqdn": FQDN,
        "site_admin_cidrs": ["{{ testbed_gateway }}/32"],
        "site_s3_endpoint": common["testbed_store_endpoint"],
        "site_s3_access_key": common["testbed_store_access_key"],
        "site_s3_secret_key": common["testbed_store_secret_key"],
        "site_s3_ca_file": "/usr/local/share/store-ca.pem",
    }
    return {
        "good": good,
        "expired": certificate(directory, "expired", -1),
        "other_name": certificate(directory, "other", 90, "www.elsewhere.test"),
        "pair": certificate(directory, "pair", 90),
        "unrelated": certificate(directory, "unrelated", 90),
    }


def make_foreign_bucket(common: dict, ca_file: Path) -> None:
    """A bucket with somebody's data in it. The store is reached by its address; its certificate has that, too."""
    address = subprocess.run(
        ["docker", "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", "labtrack-store"], capture_output=True, text=True, check=True
    ).stdout.strip()
    endpoint = common["testbed_store_endpoint"].replace("labtrack-store", address)
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=common["testbed_store_access_key"],
        aws_secret_access_key=common["testbed_store_secret_key"],
        region_name="us-east-1",
        verify=str(ca_file),
        config=Config(proxies={}, s3={"addressing_style": "path"}),
    )
    client.create_bucket(Bucket=FOREIGN_BUCKET)
    client.put_object(Bucket=FOREIGN_BUCKET, Key="thesis.pdf", Body=b"years of work")


ACCEPTED = r"Accepted:|must be one of|value of .* must be|unable to convert|cannot be converted|is of type"
CASES = [
    Case("no_fqdn", {"site_fqdn": ""}, ["site_fqdn"]),
    Case("fqdn_with_scheme", {"site_fqdn": "https://mlflow.bad.test"}, ["site_fqdn", "https://mlflow.bad.test", ACCEPTED]),
    Case("fqdn_with_port", {"site_fqdn": "mlflow.bad.test:8443"}, ["site_fqdn", "mlflow.bad.test:8443", ACCEPTED]),
    Case("site_name_of_another", {"site_name": "twins"}, ["site_name is 'twins'", "is '2'", ACCEPTED, "twin"]),
    Case("site_name_with_blank", {"site_name": "our lab"}, ["site_name", "our lab", ACCEPTED]),
    Case("alternative_name_with_path", {"site_alternative_names": ["mlflow/x"]}, ["site_alternative_names", "mlflow/x", ACCEPTED]),
    Case("misspelt_seam", {"site_fqnd": "x"}, ["site_fqnd", "site_fqdn", ACCEPTED]),
    Case("misspelt_option", {"tracking_server_memory_maxx_mb": 1}, ["tracking_server_memory_maxx_mb", "Did you mean"]),
    Case("nobody_may_administer", {"site_admin_cidrs": []}, ["site_admin_cidrs", ACCEPTED]),
    Case("admin_network_is_no_network", {"site_admin_cidrs": ["office"]}, ["site_admin_cidrs", "office", ACCEPTED]),
    Case("admin_network_without_us", {"site_admin_cidrs": ["192.0.2.0/24"]}, ["site_admin_cidrs", "192.0.2.0/24", "shut itself out"]),
    Case("client_network_too_long", {"site_client_cidrs": ["10.0.0.0/40"]}, ["site_client_cidrs", "10.0.0.0/40", ACCEPTED]),
    Case("volume_by_device_name", {"host_base_volume": {"id": "/dev/sdb"}}, ["host_base_volume", "/dev/sdb", ACCEPTED]),
    Case("volume_that_is_not_there", {"host_base_volume": {"label": "no-such-label"}}, ["host_base_volume", "no-such-label"]),
    Case("too_little_memory", {"host_base_memory_min_mb": 99000000}, ["host_base_memory_min_mb", "99000000", ACCEPTED]),
    Case("too_little_disk", {"host_base_disk_min_mb": 990000000}, ["host_base_disk_min_mb", "990000000", ACCEPTED]),
    Case("key_that_is_none", {"host_base_users": [{"name": "ada", "keys": ["ssh-ed25519 nonsense"]}]}, ["host_base_users", "ada", ACCEPTED]),
    Case("wrong_type", {"postgresql_port": "five"}, ["postgresql_port", "five|int"]),
    Case("unknown_provider", {"certificate_provider": "letsencrypt"}, ["certificate_provider", "letsencrypt", "lab_ca"]),
    Case("expired_certificate", lambda c: provided(c["expired"]), ["certificate_provided_chain", "expired|ended|until", ACCEPTED]),
    Case("certificate_of_another_name", lambda c: provided(c["other_name"]), ["site_fqdn", "www.elsewhere.test", ACCEPTED]),
    Case("key_of_another_certificate", lambda c: provided((c["pair"][0], c["unrelated"][1])), ["certificate_provided_(private_key|chain)", ACCEPTED]),
    Case("unknown_database_setting", {"postgresql_settings": {"shared_bufers": "1GB"}}, ["postgresql_settings", "shared_bufers", ACCEPTED]),
    Case(
        "unreachable_database",
        {"site_database_host": "192.0.2.1", "site_database_password": "not-the-password-0123456789"},
        ["site_database_host|postgresql_external_host", "192.0.2.1"],
    ),
    Case("database_without_password", {"site_database_host": "db.bad.test", "site_database_password": ""}, ["site_database_password"]),
    Case("endpoint_without_scheme", {"site_s3_endpoint": "labtrack-store:7443"}, ["site_s3_endpoint", "labtrack-store:7443", ACCEPTED]),
    Case("endpoint_unreachable", {"site_s3_endpoint": "https://labtrack-store:7444"}, ["site_s3_endpoint", "labtrack-store:7444"]),
    Case("endpoint_unknown_name", {"site_s3_endpoint": "https://no-such-store.test"}, ["site_s3_endpoint", "no-such-store.test"]),
    Case("wrong_secret_key", {"site_s3_secret_key": "a-secret-key-that-is-not-the-right-one"}, ["site_s3_secret_key"]),
    Case("wrong_access_key", {"site_s3_access_key": "nobody-of-that-name"}, ["site_s3_access_key", "nobody-of-that-name"]),
    Case("no_secret_key", {"site_s3_secret_key": ""}, ["site_s3_secret_key"]),
    Case("impossible_bucket_name", {"site_s3_bucket": "Our_Bucket"}, ["site_s3_bucket", "Our_Bucket", ACCEPTED]),
    Case("foreign_bucket", {"site_s3_bucket": FOREIGN_BUCKET}, ["site_s3_bucket", FOREIGN_BUCKET]),
    Case("credentials_of_no_kind", {"object_store_credentials": "guess"}, ["object_store_credentials", "guess", ACCEPTED]),
    Case("credentials_without_a_cloud", {"object_store_credentials": "create"}, ["site_cloud", ACCEPTED]),
    Case("unknown_version", {"tracking_server_version": "9.9.9"}, ["tracking_server_version", "9.9.9", ACCEPTED]),
    # sshd listens there
    Case("port_in_use", {"reverse_proxy_https_port": 22}, ["reverse_proxy_https_port", "'22'", "sshd", ACCEPTED]),
    Case("unknown_artifact_mode", {"tracking_server_artifacts_mode": "ftp"}, ["tracking_server_artifacts_mode", "ftp"]),
    Case("relative_state_dir", {"site_state_dir": "var/lib"}, ["site_state_dir", "var/lib"]),
]
