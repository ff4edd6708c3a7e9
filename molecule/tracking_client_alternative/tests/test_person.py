# SPDX-License-Identifier: GPL-3.0-or-later
"""The bundle of a person, with a password full of traps, in every form; and beside it the bundle of everybody."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

PASSWORD = (Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"]) / "files" / "password.txt").read_text(encoding="utf-8").strip()
BUNDLE = "/home/grace/mlflow-bundle"
PYTHON = "/opt/try/bin/python"
FQDN = "mlflow.client12.test"
DUMP = "import json, os; print(json.dumps({k: v for k, v in os.environ.items() if k.startswith(('MLFLOW', 'LAB', 'REQUESTS', 'APPTAINER'))}))"
EXPECTED = {
    "MLFLOW_TRACKING_URI": f"https://{FQDN}:443",
    "MLFLOW_TRACKING_USERNAME": "grace",
    "MLFLOW_TRACKING_PASSWORD": PASSWORD,
    "MLFLOW_TRACKING_SERVER_CERT_PATH": f"{BUNDLE}/ca.pem",
    "REQUESTS_CA_BUNDLE": f"{BUNDLE}/ca.pem",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",
    "LAB_MOTTO": 'it\'s "$5" [or] {less} \\ 100%',
}


def run(host, script: str, user: str = "grace") -> str:
    """A script in the person's bash."""
    return host.check_output("runuser -u %s -- env HOME=%s bash -c %s", user, f"/home/{user}", script)


def variables(host, script: str) -> dict[str, str]:
    """The variables after a script."""
    return json.loads(run(host, f"{script} >&2; {PYTHON} -c {DUMP!r}".replace(repr(DUMP), f'"{DUMP}"')))


def test_bundle_belongs_to_the_person(host) -> None:
    directory = host.file(BUNDLE)
    assert (directory.mode, directory.user, directory.group) == (0o700, "grace", "grace")
    modes = {name: (host.file(f"{BUNDLE}/{name}").mode, host.file(f"{BUNDLE}/{name}").user) for name in directory.listdir()}
    assert modes["credentials"] == modes["docker.env"] == (0o600, "grace")
    assert {user for _mode, user in modes.values()} == {"grace"}
    holding = host.run("grep -rlF -e %s -e %s %s", PASSWORD, PASSWORD.replace("%", "%%"), BUNDLE).stdout.splitlines()
    assert sorted(holding) == [f"{BUNDLE}/credentials", f"{BUNDLE}/docker.env"]


def test_shell_form(host) -> None:
    assert variables(host, f". '{BUNDLE}/mlflow_env.sh'") == EXPECTED


def test_conda_form(host) -> None:
    """Installed into an environment, then what `conda activate` and `conda deactivate` do with its directories."""
    run(host, f"mkdir -p ~/env; CONDA_PREFIX=~/env '{BUNDLE}/conda_env_vars.sh'")
    hooks = "~/env/etc/conda"
    assert variables(host, f". {hooks}/activate.d/labtrack-mlflow.sh") == EXPECTED
    assert variables(host, f". {hooks}/activate.d/labtrack-mlflow.sh; . {hooks}/deactivate.d/labtrack-mlflow.sh") == {}
    assert host.run("grep -rF %s /home/grace/env", PASSWORD).stdout == ""


def test_conda_form_wants_an_active_environment(host) -> None:
    done = host.run("env -u CONDA_PREFIX sh %s", f"{BUNDLE}/conda_env_vars.sh")
    assert done.rc != 0
    assert "activate a conda environment first" in done.stderr


def test_docker_form(host) -> None:
    lines = host.file(f"{BUNDLE}/docker.env").content_string.splitlines()
    found = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    inside = "/etc/labtrack/mlflow-ca.pem"
    assert found == {**EXPECTED, "MLFLOW_TRACKING_SERVER_CERT_PATH": inside, "REQUESTS_CA_BUNDLE": inside}


def test_apptainer_form(host) -> None:
    found = variables(host, f". '{BUNDLE}/apptainer_env.sh'")
    inside = {name.replace("APPTAINERENV_", ""): value for name, value in found.items() if name.startswith("APPTAINERENV_")}
    path = "/etc/labtrack/mlflow-ca.pem"
    assert inside == {**EXPECTED, "MLFLOW_TRACKING_SERVER_CERT_PATH": path, "REQUESTS_CA_BUNDLE": path}


def test_module_form(host) -> None:
    load = f". /usr/share/modules/init/bash; module load '{BUNDLE}/modulefile'"
    found = variables(host, load)
    assert found == EXPECTED
    assert variables(host, f"{load}; module unload '{BUNDLE}/modulefile'") == {}


def test_mlflow_reads_the_credentials_file(host) -> None:
    run(host, f"install -D -m 600 '{BUNDLE}/credentials' ~/.mlflow/credentials")
    script = "from mlflow.utils.credentials import read_mlflow_creds as read; import json; print(json.dumps(list(read())))"
    try:
        assert json.loads(run(host, f'{PYTHON} -c "{script}"')) == ["grace", PASSWORD]
    finally:
        run(host, "rm -r ~/.mlflow")


def test_doctor_and_client_work_with_it(host) -> None:
    report = json.loads(run(host, f". '{BUNDLE}/mlflow_env.sh'; {PYTHON} '{BUNDLE}/labtrack-doctor' --write --json"))
    assert report["works"], report
    assert {entry["status"] for entry in report["checks"]} == {"ok"}
    assert PASSWORD not in json.dumps(report)


@pytest.mark.parametrize("shell", ["sh -l", "bash -l"])
def test_login_shells_read_the_bundle_of_everybody(host, shell: str) -> None:
    script = 'echo "$MLFLOW_TRACKING_URI|$MLFLOW_TRACKING_SERVER_CERT_PATH|${MLFLOW_TRACKING_USERNAME:-none}"'
    text = host.check_output(f"runuser -u nobody -- {shell} -c %s", script)
    assert text == f"https://{FQDN}:443|/opt/everybody/ca.pem|none"
    assert host.run("runuser -u nobody -- labtrack-doctor --no-login --uri %s", f"https://{FQDN}").rc == 4
    assert host.run(f"runuser -u nobody -- {shell} -c 'labtrack-doctor --no-login'").rc == 0


def test_pip_is_held_to_the_version_of_the_server(host) -> None:
    assert "mlflow-skinny~=3.17.0" in host.file(f"{BUNDLE}/constraints.txt").content_string
