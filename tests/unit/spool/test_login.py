# SPDX-License-Identifier: GPL-3.0-or-later
"""`labtrack login` against a real server: nothing is written before it has accepted; MLflow's client then needs nothing else."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import LOGIN, clean_environment


def login(*words: str, password: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run it with the password on standard input."""
    command = [sys.executable, "-m", "labtrack_spool.login", "login", *words, "--password-stdin"]
    return subprocess.run(command, input=password + "\n", capture_output=True, text=True, check=False, env=clean_environment(**environment))


def test_a_login_that_mlflow_reads(servers, tmp_path: Path) -> None:
    home = tmp_path / "home"
    refused = login(servers[0].uri, "--username", LOGIN[0], password="wrong-password")
    assert refused.returncode == 2
    assert "refuses the login of 'ada'" in refused.stderr
    assert not (home / ".mlflow").exists()
    done = login(servers[0].uri + "/", "--username", LOGIN[0], password=LOGIN[1])
    assert done.returncode == 0, done.stderr
    assert LOGIN[1] not in done.stdout + done.stderr
    path = home / ".mlflow" / "credentials"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    shell = f". {home}/.config/labtrack/mlflow_env.sh; {sys.executable} -c 'import mlflow; print(len(mlflow.search_experiments()))'"
    used = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=False, env=clean_environment())
    assert int(used.stdout) >= 1, used.stderr
    # again, with variables and a .netrc that would win
    (home / ".netrc").write_text("machine 127.0.0.1 login bob password x\n")
    (home / ".netrc").chmod(0o600)
    again = login(servers[0].uri, "--username", LOGIN[0], password=LOGIN[1], NETRC=os.devnull, MLFLOW_TRACKING_TOKEN="t")
    assert "MLFLOW_TRACKING_TOKEN of your environment wins" in again.stderr


def test_signs_that_the_file_must_escape(tmp_path: Path) -> None:
    from configparser import ConfigParser

    from labtrack_spool.login import credentials_text

    (tmp_path / "c").write_text("[other]\nkept = 1%2\n")
    text = credentials_text(tmp_path / "c", "a%b", "100%(x)s;# ")
    parser = ConfigParser()
    parser.read_string(text)
    assert parser.get("mlflow", "mlflow_tracking_username") == "a%b"
    assert parser.get("mlflow", "mlflow_tracking_password").startswith("100%(x)s;#")
    assert "kept = 1%2" in text


@pytest.mark.parametrize(
    ("words", "password", "text"),
    [
        (["http://mlflow.lab.example", "--username", "a"], "x", "http sends the password readable"),
        (["mlflow.lab.example", "--username", "a"], "x", "a scheme or a name is missing"),
        (["https://127.0.0.1:9"], "x", "--username is missing"),
        (["https://127.0.0.1:9", "--username", "a"], "", "is empty"),
        (["https://127.0.0.1:9", "--username", "a"], "ü", "outside ASCII"),
        (["https://127.0.0.1:9", "--username", "a", "--ca-file", "/no/such"], "x", "MLFLOW_TRACKING_SERVER_CERT_PATH is '/no/such'"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(tmp_path: Path, words: list[str], password: str, text: str) -> None:
    done = login(*words, password=password)
    assert done.returncode == 2
    assert text in done.stderr
    assert not (tmp_path / "home" / ".mlflow").exists()
