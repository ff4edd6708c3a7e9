# SPDX-License-Identifier: GPL-3.0-or-later
"""The bundle of everybody: any shell reads it, the doctor names each fault, the real client logs a run with it."""

from __future__ import annotations

import json

import pytest

BUNDLE = "/opt/labtrack/client"
PYTHON = "/opt/try/bin/python"
FQDN = "mlflow.client.test"
LOGIN = {"MLFLOW_TRACKING_USERNAME": "ada", "MLFLOW_TRACKING_PASSWORD": "ada-likes-short-runs"}


def doctor(host, *options: str, shell: str = "bash", **environment: str) -> dict:
    """What the doctor says to somebody who has sourced the bundle and then set the variables."""
    settings = " ".join(f"{name}='{value}'" for name, value in environment.items())
    command = f". {BUNDLE}/mlflow_env.sh && {settings} {PYTHON} {BUNDLE}/labtrack-doctor --json {' '.join(options)}"
    done = host.run(f"{shell} -c %s", command)
    report = json.loads(done.stdout)
    assert done.rc == report["exit_status"]
    assert not any(value and value in done.stdout + done.stderr for name, value in environment.items() if "PASSWORD" in name)
    return report


def failure(report: dict) -> tuple[int, str, str]:
    """Exit status, check and message of what failed."""
    failed = [entry for entry in report["checks"] if entry["status"] == "failed"]
    assert len(failed) == 1
    assert failed[0]["action"]
    return report["exit_status"], failed[0]["check"], failed[0]["message"]


def test_bundle_is_readable_for_all_and_holds_no_login(host) -> None:
    assert host.file(BUNDLE).mode == 0o755
    names = set(host.file(BUNDLE).listdir())
    assert names == {"mlflow_env.sh", "labtrack-doctor", "README.txt", "ca.pem", "conda_env_vars.sh", "docker.env", "apptainer_env.sh"}
    assert host.run(f"grep -rl MLFLOW_TRACKING_PASSWORD= {BUNDLE}").stdout == ""


@pytest.mark.parametrize("shell", ["sh", "bash", "zsh"])
def test_shells_read_it(host, shell: str) -> None:
    done = host.run(f"{shell} -uec %s", f'. {BUNDLE}/mlflow_env.sh; echo "$MLFLOW_TRACKING_URI $MLFLOW_TRACKING_SERVER_CERT_PATH"; which labtrack-doctor')
    assert done.stdout.split() == [f"https://{FQDN}", f"{BUNDLE}/ca.pem", f"{BUNDLE}/labtrack-doctor"]
    assert done.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_copy_works_where_it_is(host, shell: str) -> None:
    host.check_output(f"rm -rf '/tmp/my copy' && cp -r {BUNDLE} '/tmp/my copy'")
    done = host.run(f"cd / && {shell} -c %s", '. "tmp/my copy/mlflow_env.sh"; echo "$MLFLOW_TRACKING_SERVER_CERT_PATH"')
    assert done.stdout.strip() == "/tmp/my copy/ca.pem"


def test_doctor_is_content_and_the_client_logs_a_run(host) -> None:
    report = doctor(host, "--write", **LOGIN)
    assert report["works"], report
    assert [entry["check"] for entry in report["checks"] if entry["status"] == "ok"][-1] == "round trip"
    assert {entry["status"] for entry in report["checks"]} == {"ok"}


def test_doctor_reads_the_credentials_file_of_mlflow(host) -> None:
    host.check_output("install -d -m 700 ~/.mlflow")
    text = "".join(f"{name.lower()} = {value}\\n" for name, value in LOGIN.items())
    host.check_output(f"printf '[mlflow]\\n{text}' > ~/.mlflow/credentials; chmod 644 ~/.mlflow/credentials")
    try:
        report = doctor(host)
        assert report["works"]
        assert [entry["action"] for entry in report["checks"] if entry["status"] == "warning"] == ["chmod 600 /root/.mlflow/credentials"]
    finally:
        host.check_output("rm -r ~/.mlflow")


def test_netrc_wins_and_the_doctor_says_so(host) -> None:
    host.check_output(f"printf 'machine {FQDN} login ada password not-the-right-one\\n' > ~/.netrc; chmod 600 ~/.netrc")
    try:
        report = doctor(host, **LOGIN)
        assert failure(report)[:2] == (5, "login")
        assert ".netrc" in [entry["message"] for entry in report["checks"] if entry["status"] == "warning"][0]
        search = "import mlflow; mlflow.MlflowClient().search_experiments(max_results=1)"
        settings = " ".join(f"{name}={value}" for name, value in LOGIN.items())
        done = host.run("bash -c %s", f". {BUNDLE}/mlflow_env.sh; {settings} {PYTHON} -c '{search}'")
        assert "401" in done.stderr, "mlflow does not read .netrc any more: drop the check"
    finally:
        host.check_output("rm ~/.netrc")


@pytest.mark.parametrize(
    ("uri", "code", "check", "text"),
    [
        (f"{FQDN}", 1, "address", "scheme is missing"),
        (f"http://{FQDN}", 1, "address", "readable over the network"),
        (f"https://{FQDN}/#/experiments/0", 1, "address", "a page in the browser"),
        ("file:///srv/mlruns", 1, "address", "names a file or database"),
        ("https://no-such-name.client.test", 3, "network", "no computer with the name"),
        (f"https://{FQDN}:8999", 3, "network", "refuses the connection"),
        (f"https://{FQDN}:80", 4, "certificate", "does not speak TLS"),
        (f"https://{FQDN}:8001", 4, "certificate", "has expired"),
        (f"https://{FQDN}:8002", 4, "certificate", "not valid yet"),
        (f"https://{FQDN}:8003", 4, "certificate", "another name"),
        ("https://unknown.client.test", 6, "login", "Invalid Host header"),
        (f"https://{FQDN}:8005", 6, "server", "MLflow behind it does not (502)"),
        (f"https://{FQDN}:8006", 5, "server", "slow down"),
        (f"https://{FQDN}:8007", 6, "server", "not an MLflow server"),
        (f"https://{FQDN}:8008", 6, "server", "sends you elsewhere"),
    ],
)
def test_doctor_names_the_wrong_address(host, uri: str, code: int, check: str, text: str) -> None:
    found = failure(doctor(host, MLFLOW_TRACKING_URI=uri, **LOGIN))
    assert found[:2] == (code, check)
    assert text in found[2]


@pytest.mark.parametrize(
    ("environment", "code", "check", "text"),
    [
        ({"MLFLOW_TRACKING_PASSWORD": "guessed-by-somebody"}, 5, "login", "refuses the password of 'ada'"),
        ({"MLFLOW_TRACKING_USERNAME": "", "MLFLOW_TRACKING_PASSWORD": ""}, 5, "login", "this computer has none"),
        ({"MLFLOW_TRACKING_USERNAME": ""}, 1, "credentials", "MLFLOW_TRACKING_USERNAME is missing"),
        ({"MLFLOW_TRACKING_SERVER_CERT_PATH": ""}, 4, "certificate", "a CA that MLflow does not know"),
        ({"MLFLOW_TRACKING_SERVER_CERT_PATH": "/etc/try/other-ca.pem"}, 4, "certificate", "is not signed by the CA in '/etc/try/other-ca.pem'"),
        ({"MLFLOW_TRACKING_SERVER_CERT_PATH": "/nowhere/ca.pem"}, 1, "certificate", "no such file"),
        ({"MLFLOW_TRACKING_SERVER_CERT_PATH": "/etc/hostname"}, 1, "certificate", "no certificate in PEM form"),
        ({"MLFLOW_TRACKING_INSECURE_TLS": "true"}, 1, "settings", "MLflow refuses to start"),
        ({"HTTPS_PROXY": "http://127.0.0.1:9"}, 3, "certificate", "the proxy 127.0.0.1:9 does not lead to the server"),
    ],
)
def test_doctor_names_the_wrong_setting(host, environment: dict[str, str], code: int, check: str, text: str) -> None:
    found = failure(doctor(host, **{**LOGIN, **environment}))
    assert found[:2] == (code, check)
    assert text in found[2]


def test_doctor_goes_through_a_proxy_that_works(host) -> None:
    report = doctor(host, HTTPS_PROXY="http://127.0.0.1:8888", **LOGIN)
    assert report["works"], report
    assert [entry["check"] for entry in report["checks"] if entry["status"] == "warning"] == ["proxy"]


def test_doctor_warns_before_the_certificate_expires(host) -> None:
    report = doctor(host, MLFLOW_TRACKING_URI=f"https://{FQDN}:8004", **LOGIN)
    assert report["works"]
    assert "expires in 5 days" in str(report["checks"])


def test_docker_and_apptainer_forms_say_the_same(host) -> None:
    lines = host.file(f"{BUNDLE}/docker.env").content_string.splitlines()
    docker = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    assert docker == {
        "MLFLOW_TRACKING_URI": f"https://{FQDN}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_TRACKING_SERVER_CERT_PATH": "/etc/labtrack/mlflow-ca.pem",
    }
    text = host.check_output("bash -c %s", f". {BUNDLE}/apptainer_env.sh; . {BUNDLE}/apptainer_env.sh; env | grep ^APPTAINER")
    found = dict(line.split("=", 1) for line in text.splitlines())
    assert found.pop("APPTAINER_BIND") == f"{BUNDLE}/ca.pem:/etc/labtrack/mlflow-ca.pem:ro"
    assert {name.replace("APPTAINERENV_", ""): value for name, value in found.items()} == docker
