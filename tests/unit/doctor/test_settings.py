# SPDX-License-Identifier: GPL-3.0-or-later
"""What labtrack-doctor says about the settings of a computer, without a network."""

from __future__ import annotations

import ast
import socket
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "roles" / "tracking_client" / "files" / "labtrack_doctor.py"


@pytest.mark.parametrize(
    ("uri", "text", "better"),
    [
        ("", "is not set", ""),
        ("mlflow.lab.example", "scheme is missing", "https://mlflow.lab.example"),
        ("192.0.2.7:5000", "scheme is missing", "https://192.0.2.7:5000"),
        ("mlflow:5000", "scheme is missing", "https://mlflow:5000"),
        ("localhost:5000", "scheme is missing", "https://localhost:5000"),
        ("mlruns", "names a directory", ""),
        ("./mlruns", "names a file or database", ""),
        ("/srv/mlruns", "names a file or database", ""),
        ("file:///srv/mlruns", "names a file or database", ""),
        ("C:\\mlruns", "names a file or database", ""),
        ("sqlite:///mlflow.db", "names a file or database", ""),
        ("postgresql+psycopg2://db/mlflow", "names a file or database", ""),
        ("htps://mlflow.lab.example", "scheme 'htps'", "https://mlflow.lab.example"),
        ("https:/mlflow.lab.example", "two slashes", "https://mlflow.lab.example"),
        ("https:mlflow.lab.example", "two slashes", "https://mlflow.lab.example"),
        ("https://", "name of the server is missing", ""),
        ("https://mlflow.lab.example:port", "Port", ""),
        ("https://[::1", "Invalid IPv6", ""),
        ("'https://mlflow.lab.example'", "quotes or blanks", "https://mlflow.lab.example"),
        ("https://mlflow.lab.example\r", "quotes or blanks", "https://mlflow.lab.example"),
        ("https://mlflow.lab.example/#/experiments/3", "a page in the browser", "https://mlflow.lab.example"),
        ("https://mlflow.lab.example:8443/mlflow", "a page in the browser", "https://mlflow.lab.example:8443"),
        ("https://ada:secret@mlflow.lab.example", "holds a user name or password", "https://mlflow.lab.example"),
        ("http://mlflow.lab.example:5000", "readable over the network", "https://mlflow.lab.example"),
        ("http://mlflow.lab.example:8443", "readable over the network", "https://mlflow.lab.example:8443"),
    ],
)
def test_wrong_addresses(doctor: ModuleType, uri: str, text: str, better: str) -> None:
    with pytest.raises(doctor.CheckError) as raised:
        doctor.judge_uri(uri)
    assert text in raised.value.message
    assert raised.value.code == doctor.SETTINGS
    assert "secret" not in raised.value.message + raised.value.action
    if better:
        assert raised.value.action.split("=")[1].strip("'") == better


@pytest.mark.parametrize(
    "uri", ["https://mlflow.lab.example", "https://mlflow.lab.example/", "https://192.0.2.7:8443", "https://[2001:db8::7]", "http://localhost:5000"]
)
def test_good_addresses(doctor: ModuleType, uri: str) -> None:
    assert doctor.judge_uri(uri).geturl() == uri


def write_credentials(home: Path, text: str, mode: int = 0o600) -> None:
    """MLflow's credentials file."""
    path = home / ".mlflow" / "credentials"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


def forget_login(patient) -> None:
    """No login in the environment."""
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        patient.monkeypatch.delenv(name)


def test_login_from_the_credentials_file(patient) -> None:
    forget_login(patient)
    write_credentials(patient.home, "[mlflow]\nmlflow_tracking_username = grace\nmlflow_tracking_password = 100%%-sure\n")
    report = patient.doctor.Report()
    found = patient.doctor.find_login(report, "localhost")
    assert found[:2] == ("grace", "100%-sure")
    assert report.checks == []


def test_credentials_file_that_others_can_read(patient) -> None:
    forget_login(patient)
    write_credentials(patient.home, "[mlflow]\nmlflow_tracking_username = grace\nmlflow_tracking_password = canary\n", 0o644)
    report = patient.doctor.Report()
    patient.doctor.find_login(report, "localhost")
    assert "mode 0644" in report.checks[0]["message"]
    assert report.checks[0]["action"].startswith("chmod 600 ")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[mlflow]\nmlflow_tracking_username = a\nmlflow_tracking_password = 100%sure\n", "must be written '%%'"),
        ("mlflow_tracking_username = a\n", "cannot be read (MissingSectionHeaderError)"),
    ],
)
def test_credentials_file_that_mlflow_cannot_read(patient, text: str, expected: str) -> None:
    forget_login(patient)
    write_credentials(patient.home, text)
    with pytest.raises(patient.doctor.CheckError) as raised:
        patient.doctor.find_login(patient.doctor.Report(), "localhost")
    assert expected in raised.value.message


def test_credentials_file_with_other_keys(patient) -> None:
    forget_login(patient)
    write_credentials(patient.home, "[mlflow]\nusername = a\npassword = b\n")
    report = patient.doctor.Report()
    assert patient.doctor.find_login(report, "localhost") is None
    assert "does not give both" in report.checks[0]["message"]


def test_name_and_password_from_two_places(patient) -> None:
    patient.monkeypatch.delenv("MLFLOW_TRACKING_PASSWORD")
    write_credentials(patient.home, "[mlflow]\nmlflow_tracking_username = grace\nmlflow_tracking_password = canary\n")
    report = patient.doctor.Report()
    assert patient.doctor.find_login(report, "localhost")[:2] == ("ada", "canary")
    assert "may not belong together" in report.checks[0]["message"]


@pytest.mark.parametrize("entry", ["machine localhost", "default"])
def test_netrc_wins(patient, entry: str) -> None:
    path = patient.home / "other-netrc"
    path.write_text(f"{entry} login grace password canary\n", encoding="utf-8")
    path.chmod(0o600)
    patient.set(NETRC=str(path))
    report = patient.doctor.Report()
    found = patient.doctor.find_login(report, "localhost")
    assert found == ("grace", "canary", str(path))
    assert "it wins over the environment" in report.checks[0]["message"]


def test_netrc_of_another_host_is_nobody_s_business(patient) -> None:
    path = patient.home / ".netrc"
    path.write_text("machine elsewhere.test login grace password canary\n", encoding="utf-8")
    path.chmod(0o600)
    report = patient.doctor.Report()
    assert patient.doctor.find_login(report, "localhost").username == "ada"
    assert report.checks == []


def test_letters_outside_ascii(patient) -> None:
    patient.set(MLFLOW_TRACKING_PASSWORD="canary-é")
    report = patient.doctor.Report()
    patient.doctor.find_login(report, "localhost")
    assert "outside ASCII" in report.checks[0]["message"]


@pytest.mark.parametrize(
    ("number", "expected"),
    [(socket.EAI_NONAME, "there is no computer with the name"), (socket.EAI_AGAIN, "no name server answers")],
)
def test_names_that_cannot_be_found(patient, number: int, expected: str) -> None:
    def lookup(*_arguments: object, **_options: object) -> None:
        raise socket.gaierror(number, "told so")

    patient.monkeypatch.setattr(socket, "getaddrinfo", lookup)
    code, check, message, _action = patient.failure("--uri", "https://mlflow.lab.example")
    assert (code, check) == (3, "network")
    assert expected in message


def test_secrets_are_hidden_in_every_text(doctor: ModuleType) -> None:
    report = doctor.Report()
    report.keep_secret("canary-17")
    report.add("check", "failed", "it says canary-17", "see https://user:word@host and canary-17")
    assert "canary" not in report.text()
    assert "word@" not in report.text()


def test_bundle_names_its_address(doctor: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "mlflow_env.sh").write_text("# x\nexport MLFLOW_TRACKING_URI='https://mlflow.lab.example'\n", encoding="utf-8")
    assert doctor.bundle_uri(str(tmp_path)) == "https://mlflow.lab.example"
    assert doctor.bundle_uri(str(tmp_path / "none")) == ""


def test_help_lists_the_exit_statuses(doctor: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        doctor.main(["--help"])
    text = capsys.readouterr().out
    assert all(f"\n  {number}  " in text for number in range(8))


def test_python_3_8_can_read_it() -> None:
    tree = ast.parse(SCRIPT.read_text(encoding="utf-8"), feature_version=(3, 8))
    newer = {node.func.attr for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)}
    assert not newer & {"removeprefix", "removesuffix", "is_relative_to", "pairwise"}
