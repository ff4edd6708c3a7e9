# SPDX-License-Identifier: GPL-3.0-or-later
"""Known and generated secrets are nowhere but in files of root and the service: the whole run was made at -vvv with --diff."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

PLACES = "/etc /opt/labtrack /var/lib/labtrack /var/lib/labtrack-config /var/log /tmp /var/tmp /root /home"
CANARY = "CANARY-s3-0123456789abcdefghijklmn"
# an S3 signature or session needs none of these; 16 is the shortest secret that anything generates
LEAST = 16


class Secrets(set):
    """A set that does not print itself when a test fails."""

    def __repr__(self) -> str:
        return f"{len(self)} secrets"


@pytest.fixture(scope="module")
def secrets(host) -> Secrets:
    """Every secret of the machine: the canary, the passwords, what was generated."""
    with host.sudo():
        files = host.check_output("find /etc/labtrack /var/lib/labtrack/mlflow -type f -perm 0600 -size -8k ! -name '*.pem' ! -name '*.db'").split()
        text = "\n".join(host.file(name).content_string for name in files)
        text += "\n" + host.check_output("find /etc/labtrack /var/lib/labtrack/mlflow -type f -perm 0640 -group mlflow -size -8k -exec cat {} +")
    values = {re.split(r"\s*[=:]\s*", line, maxsplit=1)[-1].strip("'\" ") for line in text.splitlines()}
    found = {value for value in values if len(value) >= LEAST and re.fullmatch(r"[A-Za-z0-9_\-+/=.~]+", value) and not value.startswith(("/", "http"))}
    # settings that are no secrets have words with dots or underscores only
    found = {value for value in found if re.search(r"\d", value) and not re.fullmatch(r"[a-z0-9_.\-]+", value)}
    assert CANARY in found, files
    assert len(found) >= 4, files
    return Secrets(found)


def test_log_of_the_run(secrets):
    log = (Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "ansible.log").read_text(encoding="utf-8")
    log = log.rpartition("PLAY [Prepare]")[2]  # the file may go on from an earlier scenario run
    assert "TASK [labtrack.mlflow.tracking_server" in log
    assert not [secret[:12] for secret in secrets if secret in log]


def test_command_lines_since_boot(host, secrets):
    with host.sudo():
        lines = host.file("/run/cmdlines").content_string
    assert "nginx" in lines
    assert not [secret[:12] for secret in secrets if secret in lines]


@pytest.mark.parametrize("what", ["systemctl cat '*'", "systemctl show '*'", "journalctl --no-pager", "cat /var/log/nginx/access.log /var/log/nginx/error.log"])
def test_units_and_logs(host, secrets, what):
    with host.sudo():
        text = host.run(what).stdout
    assert text
    assert not [secret[:12] for secret in secrets if secret in text]


def test_files_with_secrets_are_closed(host, secrets):
    with host.sudo():
        for secret in secrets:
            names = host.run(f"grep -rlsIF -- '{secret}' {PLACES}").stdout.split()
            for name in names:
                found = host.file(name)
                assert found.mode & 0o007 == 0, name
                assert found.user in ("root", "mlflow", "ceph", "postgres"), name
