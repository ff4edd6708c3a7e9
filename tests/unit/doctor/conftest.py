# SPDX-License-Identifier: GPL-3.0-or-later
"""The doctor in a clean environment."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from certificates import Authority
from told_server import BASIC, PASSWORD

SCRIPT = Path(__file__).resolve().parents[3] / "roles" / "tracking_client" / "files" / "labtrack_doctor.py"


@pytest.fixture(scope="session")
def doctor() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("labtrack_doctor", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["labtrack_doctor"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, certificates for localhost that are good and bad, and another CA."""
    directory = tmp_path_factory.mktemp("certificates")
    authority = Authority(directory)
    Authority(directory, "other-ca")
    authority.issue("good", ["localhost", "127.0.0.1"])
    authority.issue("expired", ["localhost"], -30, -2)
    authority.issue("future", ["localhost"], 2, 30)
    authority.issue("soon", ["localhost"], -30, 5)
    authority.issue("other-name", ["elsewhere.test"])
    return directory


@dataclasses.dataclass
class Patient:
    """A computer with a home directory, variables, and the doctor."""

    doctor: ModuleType
    monkeypatch: pytest.MonkeyPatch
    home: Path
    capsys: pytest.CaptureFixture[str]

    def set(self, **variables: str) -> None:
        """Environment variables."""
        for name, value in variables.items():
            self.monkeypatch.setenv(name, value)

    def examine(self, *options: str) -> dict[str, Any]:
        """The report; the secret is in none of its texts."""
        status = self.doctor.main(["--json", "--timeout", "2", *options])
        output = self.capsys.readouterr().out
        assert PASSWORD not in output
        assert BASIC.split()[1] not in output
        report = json.loads(output)
        assert report["exit_status"] == status
        return report

    def failure(self, *options: str) -> tuple[int, str, str, str]:
        """Exit status, check, message and action of the one failure."""
        report = self.examine(*options)
        failed = [entry for entry in report["checks"] if entry["status"] == "failed"]
        assert len(failed) == 1
        return report["exit_status"], failed[0]["check"], failed[0]["message"], failed[0]["action"]

    def warnings(self, *options: str) -> list[str]:
        """Messages of the warnings of an examination that succeeds."""
        report = self.examine(*options)
        assert report["works"], report
        return [entry["message"] for entry in report["checks"] if entry["status"] == "warning"]


@pytest.fixture
def patient(doctor: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], certificates: Path) -> Patient:
    """A computer on which everything is right but the address."""
    for name in list(os.environ):
        if name.startswith(("MLFLOW_", "REQUESTS_", "CURL_", "SSL_")) or name.lower().endswith("_proxy") or name == "NETRC":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(doctor, "client_version", lambda: "3.17.0")
    found = Patient(doctor, monkeypatch, tmp_path, capsys)
    found.set(MLFLOW_TRACKING_USERNAME="ada", MLFLOW_TRACKING_PASSWORD=PASSWORD, MLFLOW_TRACKING_SERVER_CERT_PATH=str(certificates / "ca.pem"))
    return found
