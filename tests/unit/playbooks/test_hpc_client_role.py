# SPDX-License-Identifier: GPL-3.0-or-later
"""The role hpc_client on this computer: what it writes for each profile is shell that can be read, and bad input is named before any change."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROFILES = ("generic", "alliance", "alliance_online", "csc_puhti", "csc_mahti")
# stands in for `python3 -m venv`: what is installed is the scenarios' business
VENV = """#!/bin/sh
mkdir -p "$1/bin" && touch "$1/bin/activate"
printf '#!/bin/sh\\nexit 0\\n' >"$1/bin/python" && chmod +x "$1/bin/python"
"""


def play(folder: Path, *options: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    """Run the role as a person would."""
    venv, wheels = folder / "make-venv", folder / "wheels"
    venv.write_text(VENV, encoding="utf-8")
    venv.chmod(0o755)
    wheels.mkdir(exist_ok=True)
    (wheels / "labtrack_spool-0.1.0-py3-none-any.whl").touch()
    known = {
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "site_fqdn": "nowhere.invalid",
        "hpc_client_dir": str(folder / "hpc"),
        "hpc_client_owner": "",
        "hpc_client_group": "",
        "hpc_client_account": "def-ada",
        "hpc_client_modules": [],
        "hpc_client_venv_command": [str(venv)],
        "hpc_client_wheelhouse_dir": str(wheels),
    }
    content = {"hosts": "localhost", "connection": "local", "gather_facts": False, "vars": known | variables, "roles": ["labtrack.mlflow.hpc_client"]}
    (folder / "play.yml").write_text(json.dumps([content]), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment |= {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"), "NO_COLOR": "1", "SCRATCH": str(folder / "scratch")}
    command = [Path(sys.executable).parent / "ansible-playbook", folder / "play.yml", *options]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("profile", PROFILES)
def test_what_is_written_for_a_profile_is_shell(profile: str, tmp_path: Path) -> None:
    done = play(tmp_path, hpc_client_profile=profile)
    assert done.returncode == 0, done.stdout
    folder = tmp_path / "hpc"
    scripts = [folder / name for name in ("settings.sh", "job_env.sh", "apptainer_env.sh", "epilog.sh")]
    scripts += sorted((folder / "sbatch").iterdir()) + sorted((folder / "bin").iterdir())
    # SC1090, SC1091: files that are sourced; SC2153: names of Slurm
    check = [Path(sys.executable).parent / "shellcheck", "--shell=bash", "--severity=warning", "--exclude=SC1090,SC1091,SC2153", *scripts]
    found = subprocess.run(check, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout
    assert len(scripts) == 11
    for path in (folder / "sbatch").iterdir():
        lines = path.read_text(encoding="utf-8").splitlines()
        assert lines[0] == "#!/bin/bash"
        assert "#SBATCH --account=def-ada" in lines
        assert os.access(path, os.X_OK)
    text = (folder / "job_env.sh").read_text(encoding="utf-8")
    online = profile in ("alliance_online", "csc_puhti", "csc_mahti")
    assert f"LABTRACK_MODE:-{'online' if online else 'spool'}" in text
    assert ("labtrack-venv" in text) == profile.startswith("alliance")


def test_check_mode_predicts_and_a_second_run_changes_nothing(tmp_path: Path) -> None:
    predicted = play(tmp_path, "--check")
    assert predicted.returncode == 0, predicted.stdout
    assert "changed=0 " not in predicted.stdout
    assert not (tmp_path / "hpc").exists()
    first, second, third = play(tmp_path), play(tmp_path), play(tmp_path, "--check")
    assert "changed=0 " not in first.stdout
    assert [done.returncode for done in (first, second, third)] == [0, 0, 0], second.stdout
    assert [line.split("changed=")[1].split()[0] for done in (second, third) for line in done.stdout.splitlines() if "changed=" in line] == ["0", "0"]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("hpc_client_uri", "https://ada:secret@mlflow.lab.example", "https://(hidden)@mlflow.lab.example': it is not the bare address"),
        ("hpc_client_profile", "narval", "narval"),
        ("hpc_client_dir", "/home", "hpc_client_dir is '/home': the role wants a directory of its own"),
        ("hpc_client_wheelhouse_dir", "/nowhere", "it holds 0 wheels of labtrack-spool"),
        ("hpc_client_spool_dir", "$(rm -rf /)", "hpc_client_spool_dir is '$(rm -rf /)': it cannot stand in a job script"),
        ("hpc_client_sbatch_options", ["--wrap=x y"], "'--wrap=x y': it cannot stand in a job script"),
        ("hpc_client_account", "a b", "hpc_client_account is 'a b'"),
        ("hpc_client_ca_pem", "/etc/ssl/ca.pem", "holds no certificate"),
        ("hpc_client_sync_minutes", 90, "hpc_client_sync_minutes is '90'"),
        ("hpc_client_ondemand_enabled", True, "hpc_client_ondemand_host is ''"),
    ],
)
def test_bad_input_is_named_before_any_change(name: str, value: Any, message: str, tmp_path: Path) -> None:
    done = play(tmp_path, **{name: value})
    text = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0
    assert message in text, text
    assert "secret" not in text
    assert not (tmp_path / "hpc").exists()
