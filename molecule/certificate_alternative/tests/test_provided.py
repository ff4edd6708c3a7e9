# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate that the site brings along, input that is refused, and the way to the lab's own CA."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

testinfra_hosts = ["docker://lt-certificate-alternative-provided"]

TLS = "/etc/labtrack/tls"
SCENARIO = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])


def play(*options: str, **variables) -> subprocess.CompletedProcess:
    """Run the scenario's play for this machine with other variables."""
    playbook = Path(__file__).resolve().parents[1] / "converge.yml"
    command = ["ansible-playbook", "-i", str(SCENARIO / "inventory"), "--limit", "provided", str(playbook), *options, "-e", json.dumps(variables)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=playbook.parents[2])


def pem(name: str) -> str:
    """A file that the preparation made."""
    return (SCENARIO / name).read_text(encoding="utf-8")


def test_the_given_pair_is_in_place(host):
    assert host.file(f"{TLS}/fullchain.pem").content_string.split() == pem("server-chain.pem").split()
    assert host.file(f"{TLS}/privkey.pem").content_string.split() == pem("server.key").split()
    assert host.file(f"{TLS}/ca.pem").content_string.split() == pem("root.pem").split()
    assert host.file(f"{TLS}/privkey.pem").mode == 0o640


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"certificate_provided_chain_file": f"{SCENARIO}/nowhere.pem"}, "a file is not on the controller"),
        ({"certificate_provided_private_key": "hunter2"}, "it is no PEM, or the key has a passphrase"),
        ({"certificate_provided_private_key": pem("expired.key")}, "it does not belong to the first certificate"),
        ({"certificate_provided_chain_file": f"{SCENARIO}/expired-chain.pem", "certificate_provided_private_key": pem("expired.key")}, "it has expired"),
        ({"site_fqdn": "mlflow.elsewhere.test"}, "site_fqdn is 'mlflow.elsewhere.test': the certificate is for DNS:*.provided.test"),
        ({"certificate_provided_chain_file": "", "certificate_provided_chain": pem("server.pem") + pem("root.pem")}, "which does not come next"),
        ({"certificate_provided_ca_file": f"{SCENARIO}/intermediate.pem"}, "the chain ends at the issuer"),
        ({"site_fqdn": "https://mlflow.provided.test"}, "one of them is no host name"),
        ({"certificate_provider": "lab_ca", "certificate_validity_days": 800}, "they do not fit together"),
        ({"certificate_provider": "acme", "site_admin_email": "nobody"}, "the second is no mail address"),
    ],
)
def test_bad_input_is_refused_with_a_reason(variables, words):
    result = play("--tags", "preflight", **variables)
    assert result.returncode
    text = " ".join((result.stdout + result.stderr).split())
    assert words in text
    assert "BEGIN EC PRIVATE" not in text
    assert "hunter2" not in text


def test_the_lab_ca_takes_over_and_reissues_when_names_change(host):
    result = play(certificate_provider="lab_ca")
    assert result.returncode == 0, result.stdout
    names = host.check_output(f"openssl x509 -noout -ext subjectAltName -in {TLS}/fullchain.pem")
    assert "DNS:mlflow.provided.test" in names
    assert "IP Address:10.1.2.3" in names
    assert "IP Address:2001:DB8:0:0:0:0:0:7" in names
    assert "CN = Physics lab CA" in host.check_output(f"openssl x509 -noout -issuer -in {TLS}/fullchain.pem")
    again = play(certificate_provider="lab_ca")
    assert " changed=0 " in again.stdout, again.stdout

    changed = play(certificate_provider="lab_ca", site_alternative_names=["10.1.2.3", "2001:db8::7", "tracking.provided.test", "10.9.9.9"])
    assert changed.returncode == 0, changed.stdout
    names = host.check_output(f"openssl x509 -noout -ext subjectAltName -in {TLS}/fullchain.pem")
    assert "DNS:tracking.provided.test" in names
    assert "IP Address:10.9.9.9" in names
    host.check_output(f"openssl verify -CAfile {TLS}/ca.pem {TLS}/fullchain.pem")


def test_a_broken_file_is_replaced(host):
    host.check_output(f"echo broken > {TLS}/fullchain.pem")
    result = play(certificate_provider="lab_ca")
    assert result.returncode == 0, result.stdout
    host.check_output(f"openssl verify -CAfile {TLS}/ca.pem {TLS}/fullchain.pem")
