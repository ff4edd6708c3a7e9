# SPDX-License-Identifier: GPL-3.0-or-later
"""The role tracking_client on this computer: switches given as text on the command line, and a password that nothing prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PASSWORD = "canary-%-password-17"


def test_text_switches_count_and_the_password_is_not_seen(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    variables = {
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        "site_fqdn": "nowhere.invalid",
        "tracking_client_bundle_dir": str(bundle),
        "tracking_client_state_dir": str(bundle / ".state"),
        "tracking_client_owner": "",
        "tracking_client_group": "",
        "tracking_client_username": "ada",
        "tracking_client_password": PASSWORD,
    }
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "vars": variables, "roles": ["labtrack.mlflow.tracking_client"]}
    (tmp_path / "play.yml").write_text(json.dumps([play]), encoding="utf-8")
    command = [Path(sys.executable).parent / "ansible-playbook", tmp_path / "play.yml", "--diff", "-vvv"]
    command += ["-e", "tracking_client_check_enabled=false tracking_client_telemetry_enabled=true"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment["ANSIBLE_COLLECTIONS_PATH"] = str(ROOT / "collections")
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "canary" not in done.stdout + done.stderr
    assert "mlflow_tracking_password = canary-%%-password-17\n" in (bundle / "credentials").read_text(encoding="utf-8")
    assert "DISABLE_TELEMETRY" not in (bundle / "mlflow_env.sh").read_text(encoding="utf-8")
    assert {name for name in os.listdir(bundle) if (bundle / name).stat().st_mode & 0o077 == 0} == {".state", "credentials", "docker.env"}
