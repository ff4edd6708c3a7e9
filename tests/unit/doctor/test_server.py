# SPDX-License-Identifier: GPL-3.0-or-later
"""What labtrack-doctor says about a server, asked over real TLS."""

from __future__ import annotations

import email.utils
import socket
import time
from pathlib import Path

import pytest
from told_server import BASIC, PASSWORD, Behaviour, serve

SEARCH = "/api/2.0/mlflow/experiments/search"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"


def date(seconds: float) -> str:
    """A Date header, that far from now."""
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


def test_everything_is_right(patient, certificates: Path) -> None:
    behaviour = Behaviour()
    with serve(behaviour, certificates) as port:
        report = patient.examine("--uri", f"https://localhost:{port}")
    assert report["works"]
    assert [entry["check"] for entry in report["checks"]] == ["address", "network", "certificate", "server", "login", "version", "artifacts"]
    assert {login for path, login in behaviour.requests if path == "/health"} == {""}


@pytest.mark.parametrize(
    ("certificate", "text"),
    [("expired", "has expired"), ("future", "is not valid yet"), ("other-name", "belongs to another name than 'localhost'")],
)
def test_certificates_that_are_not_good(patient, certificates: Path, certificate: str, text: str) -> None:
    behaviour = Behaviour(certificate)
    with serve(behaviour, certificates) as port:
        code, check, message, _action = patient.failure("--uri", f"https://localhost:{port}")
    assert (code, check) == (4, "certificate")
    assert text in message
    assert not [login for _path, login in behaviour.requests if login], "a login went to a server that is not trusted"


@pytest.mark.parametrize(("certificate", "seconds", "text"), [("expired", -9 * 86400, "9 days ahead"), ("future", 3 * 86400, "3 days behind")])
def test_the_clock_is_to_blame(patient, certificates: Path, certificate: str, seconds: float, text: str) -> None:
    with serve(Behaviour(certificate, date=date(seconds)), certificates) as port:
        code, _check, message, action = patient.failure("--uri", f"https://localhost:{port}")
    assert code == 4
    assert text in message
    assert "set the clock" in action


def test_a_wrong_clock_is_worth_a_warning(patient, certificates: Path) -> None:
    with serve(Behaviour(date=date(-1200)), certificates) as port:
        assert patient.warnings("--uri", f"https://localhost:{port}") == ["the clock of this computer is 20 minutes ahead of the server's."]


def test_a_certificate_that_expires_soon(patient, certificates: Path) -> None:
    with serve(Behaviour("soon"), certificates) as port:
        assert "expires in 5 days" in patient.warnings("--uri", f"https://localhost:{port}")[0]


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_other_variables_for_the_ca(patient, certificates: Path, name: str) -> None:
    patient.set(MLFLOW_TRACKING_SERVER_CERT_PATH="", **{name: str(certificates / "ca.pem")})
    with serve(Behaviour(), certificates) as port:
        assert patient.warnings("--uri", f"https://localhost:{port}") == []
        patient.set(**{name: str(certificates / "other-ca.pem")})
        code, _check, message, action = patient.failure("--uri", f"https://localhost:{port}")
    assert code == 4
    assert name in message
    assert "every program that uses the requests library" in action


def test_no_ca(patient, certificates: Path) -> None:
    patient.monkeypatch.delenv("MLFLOW_TRACKING_SERVER_CERT_PATH")
    with serve(Behaviour(), certificates) as port:
        code, check, message, _action = patient.failure("--uri", f"https://localhost:{port}")
    assert (code, check) == (4, "certificate")
    assert "does not use the system's CAs" in message


def test_a_port_without_tls(patient, certificates: Path) -> None:
    with serve(Behaviour(), certificates, tls=False) as port:
        code, _check, message, _action = patient.failure("--uri", f"https://localhost:{port}")
    assert code == 4
    assert "does not speak TLS" in message


def test_http_on_this_computer_is_accepted(patient, certificates: Path) -> None:
    with serve(Behaviour(), certificates, tls=False) as port:
        assert patient.warnings("--uri", f"http://localhost:{port}") == []


def test_nothing_listens(patient) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        code, check, message, action = patient.failure("--uri", f"https://127.0.0.1:{taken.getsockname()[1]}")
    assert (code, check) == (3, "network")
    assert "refuses the connection" in message
    assert "blocked" in action


def test_something_listens_and_is_silent(patient) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        code, _check, message, _action = patient.failure("--uri", f"https://127.0.0.1:{silent.getsockname()[1]}", "--timeout", "0.3")
    assert code == 3
    assert "timed out" in message


@pytest.mark.parametrize(
    ("path", "answer", "code", "check", "text"),
    [
        ("/health", (404, "<html>", {}), 6, "server", "not an MLflow server"),
        ("/health", (200, "<html>", {}), 6, "server", "not an MLflow server"),
        ("/health", (403, "Forbidden", {}), 6, "server", "does not let this network in"),
        ("/health", (502, "", {}), 6, "server", "MLflow behind it does not (502)"),
        ("/health", (302, "", {"Location": "https://login.test/"}), 6, "server", "sends you elsewhere (login.test)"),
        (SEARCH, (429, "", {"Retry-After": "30"}), 5, "login", "slow down"),
        (SEARCH, (401, "", {}), 5, "login", "refuses the password of 'ada' (from the environment)"),
        (SEARCH, (403, "Invalid Host header - possible DNS rebinding attack detected", {}), 6, "login", "does not know itself as 'localhost'"),
        (SEARCH, (403, "Permission denied", {}), 5, "login", "'ada' may not list experiments"),
        (SEARCH, (500, "{}", {}), 6, "login", "status 500"),
        (SEARCH, (200, "<html>", {}), 6, "login", "not MLflow's"),
        (ARTIFACTS, (500, "{}", {}), 7, "artifacts", "cannot reach its artifact store"),
    ],
)
def test_answers_that_are_not_good(patient, certificates: Path, path: str, answer: tuple, code: int, check: str, text: str) -> None:
    with serve(Behaviour(answers={path: answer}), certificates) as port:
        found = patient.failure("--uri", f"https://localhost:{port}")
    assert found[:2] == (code, check)
    assert text in found[2]
    assert found[3]


def test_no_login_and_a_token(patient, certificates: Path) -> None:
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        patient.monkeypatch.delenv(name)
    with serve(Behaviour(), certificates) as port:
        assert "this computer has none" in patient.failure("--uri", f"https://localhost:{port}")[2]
        assert patient.warnings("--uri", f"https://localhost:{port}", "--no-login") == []
        patient.set(MLFLOW_TRACKING_TOKEN=PASSWORD)
        assert "takes a user name and a password" in patient.failure("--uri", f"https://localhost:{port}")[2]


@pytest.mark.parametrize(
    ("mine", "text"),
    [("3.18.1", "may ask for what the server does not have yet"), ("2.9.0", "some features of the server are missing"), ("", None), ("3.17.9", None)],
)
def test_versions(patient, certificates: Path, mine: str, text: str | None) -> None:
    patient.monkeypatch.setattr(patient.doctor, "client_version", lambda: mine)
    with serve(Behaviour(), certificates) as port:
        warnings = patient.warnings("--uri", f"https://localhost:{port}")
    assert bool(warnings) == bool(text)
    assert not text or text in warnings[0]


@pytest.mark.parametrize(("place", "text"), [("s3://bucket/0", "clients go there themselves"), ("/srv/mlruns/0", "a directory of whichever computer")])
def test_artifacts_elsewhere(patient, certificates: Path, place: str, text: str) -> None:
    patient.monkeypatch.setattr(patient.doctor.importlib.util, "find_spec", lambda _name: None)
    with serve(Behaviour(experiment={"experiment_id": "0", "artifact_location": place}), certificates) as port:
        assert text in patient.warnings("--uri", f"https://localhost:{port}")[0]


def test_write_needs_mlflow(patient, certificates: Path) -> None:
    patient.monkeypatch.setattr(patient.doctor, "client_version", lambda: "")
    with serve(Behaviour(), certificates) as port:
        code, check, _message, action = patient.failure("--uri", f"https://localhost:{port}", "--write")
    assert (code, check) == (7, "round trip")
    assert action == "pip install mlflow-skinny==3.17.2"


def test_where_downloads_come_from(doctor, certificates: Path) -> None:
    path = "/api/2.0/mlflow-artifacts/presigned/1/run/artifacts/doctor.txt"
    signed = '{"url": "https://localhost:7443/bucket/doctor.txt?X-Amz-Signature=canary"}'
    for answer, expected in (((200, signed, {}), "localhost:7443"), ((501, "{}", {}), ""), ((404, "<html>", {}), "")):
        with serve(Behaviour(answers={path: answer}), certificates) as port:
            server = doctor.Server(doctor.judge_uri(f"https://localhost:{port}"), 2)
            server.proxy = None
            server.context = doctor.tls_context(str(certificates / "ca.pem"), "a test")
            assert doctor.download_place(server, "1", "run") == expected


def test_a_dead_proxy(patient, certificates: Path) -> None:
    patient.set(HTTPS_PROXY=f"http://user:{PASSWORD}@localhost:9")
    with serve(Behaviour(), certificates) as port:
        code, _check, message, action = patient.failure("--uri", f"https://localhost:{port}")
        assert code == 3
        assert "the proxy localhost:9 does not lead to the server" in message
        assert "export NO_PROXY=localhost" in action
        patient.set(NO_PROXY="localhost")
        assert patient.warnings("--uri", f"https://localhost:{port}") == []


def test_text_for_people(patient, certificates: Path) -> None:
    with serve(Behaviour(answers={"/health": (503, "", {})}), certificates) as port:
        assert patient.doctor.main(["--uri", f"https://localhost:{port}"]) == 6
    lines = patient.capsys.readouterr().out.splitlines()
    assert lines[-3].startswith("failed   server       the web server answers, but MLflow behind it does not (503).")
    assert lines[-2].strip().startswith("-> wait a minute")
    assert lines[-1] == "1 failed, 0 warnings: does not work."
    assert BASIC not in "".join(lines)
