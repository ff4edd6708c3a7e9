# SPDX-License-Identifier: GPL-3.0-or-later
"""The renewal program, with real openssl in a temporary directory."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[3] / "roles/certificate/files/labtrack-certificate.py"


@pytest.fixture
def program(monkeypatch, tmp_path):
    """The program as a module; changing the group needs no root here."""
    spec = importlib.util.spec_from_file_location("labtrack_certificate", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module.shutil, "chown", lambda *_arguments: None)
    monkeypatch.setattr(module, "LOCK", str(tmp_path / "lock"))
    return module


def openssl(*arguments, **options):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, **options)


@pytest.fixture
def config(tmp_path):
    """A CA, a server's certificate for 10 days, and nothing in place yet."""
    base = tmp_path / "state"
    base.mkdir()
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *new, "-keyout", base / "ca.key", "-out", base / "ca.pem", "-subj", "/CN=lab CA", "-days", "100")
    openssl("req", *new, "-keyout", base / "server.key", "-out", base / "server.csr", "-subj", "/CN=x", "-addext", "subjectAltName=DNS:mlflow.test")
    target = tmp_path / "tls"
    target.mkdir()
    values = {
        "provider": "lab_ca",
        "domains": ["mlflow.test"],
        "source": {"chain": f"{base}/server.pem", "key": f"{base}/server.key", "ca": f"{base}/ca.pem"},
        "target": {"chain": f"{target}/fullchain.pem", "key": f"{target}/privkey.pem", "ca": f"{target}/ca.pem"},
        "renew_before_days": 30,
        "warn_before_days": 14,
        "reload_units": [],
        "reload_commands": [f"touch {tmp_path}/reloaded"],
        "metrics_dir": str(tmp_path),
        "lab_ca": {"dir": str(base), "validity_days": 397},
    }
    issue(values, 10)
    return values


def issue(values, days):
    base = Path(values["lab_ca"]["dir"])
    sign = ["-CA", base / "ca.pem", "-CAkey", base / "ca.key", "-CAcreateserial", "-days", days]
    openssl("x509", "-req", "-in", base / "server.csr", *sign, "-out", base / "server.pem")


def run(program, values, monkeypatch, tmp_path, *options):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(values), encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["labtrack-certificate", *options, str(path)])
    return program.main()


def test_it_renews_installs_and_reloads(program, config, monkeypatch, tmp_path):
    assert run(program, config, monkeypatch, tmp_path) == 0
    chain = Path(config["target"]["chain"])
    assert 98 <= program.days_left(chain) <= 100, "no longer than the CA itself"
    assert (tmp_path / "reloaded").exists()
    assert oct(Path(config["target"]["key"]).stat().st_mode)[-3:] == "640"


def test_a_second_run_does_nothing(program, config, monkeypatch, tmp_path):
    run(program, config, monkeypatch, tmp_path)
    (tmp_path / "reloaded").unlink()
    before = Path(config["target"]["chain"]).read_bytes()
    assert run(program, config, monkeypatch, tmp_path) == 0
    assert Path(config["target"]["chain"]).read_bytes() == before
    assert not (tmp_path / "reloaded").exists()


def test_force_renews_before_it_is_due(program, config, monkeypatch, tmp_path):
    run(program, config, monkeypatch, tmp_path)
    before = Path(config["target"]["chain"]).read_bytes()
    assert run(program, config, monkeypatch, tmp_path, "--force") == 0
    assert Path(config["target"]["chain"]).read_bytes() != before


def test_a_failed_reload_is_an_error_and_repeated(program, config, monkeypatch, tmp_path, capsys):
    good = config["reload_commands"]
    config["reload_commands"] = ["false"]
    assert run(program, config, monkeypatch, tmp_path) == 1
    assert "'false' failed" in capsys.readouterr().err
    config["reload_commands"] = good
    assert run(program, config, monkeypatch, tmp_path) == 0
    assert (tmp_path / "reloaded").exists()


def test_nobody_renews_a_provided_certificate_but_its_end_is_announced(program, config, monkeypatch, tmp_path, capsys):
    config["provider"] = "provided"
    assert run(program, config, monkeypatch, tmp_path) == 2
    assert "ends in 10 days" in capsys.readouterr().err
    assert 'renewal_failed{name="mlflow.test",provider="provided"} 0' in (tmp_path / "labtrack_certificate.prom").read_text(encoding="utf-8")


def test_a_wrong_key_never_replaces_a_good_one(program, config, monkeypatch, tmp_path, capsys):
    run(program, config, monkeypatch, tmp_path)
    good = Path(config["target"]["key"]).read_bytes()
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", config["source"]["key"])
    assert run(program, config, monkeypatch, tmp_path) == 1
    assert "does not belong to" in capsys.readouterr().err
    assert Path(config["target"]["key"]).read_bytes() == good


def test_an_end_of_the_ca_is_announced(program, config, monkeypatch, tmp_path, capsys):
    base = Path(config["lab_ca"]["dir"])
    openssl("x509", "-in", base / "ca.pem", "-signkey", base / "ca.key", "-days", 5, "-out", base / "ca.pem.new")
    (base / "ca.pem.new").replace(base / "ca.pem")
    assert run(program, config, monkeypatch, tmp_path) == 2
    assert "fullchain.pem ends in 4 days" in capsys.readouterr().err
