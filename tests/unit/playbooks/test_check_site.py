# SPDX-License-Identifier: GPL-3.0-or-later
"""check_site.yml, where it needs no machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PLAYBOOK = Path(sys.executable).parent / "ansible-playbook"
HOSTS = "openstack_servers: {hosts: {mlflow: }}\ntracking_servers: {hosts: {mlflow: }}\n"


def check(inventory: Path) -> str:
    """What it says of this inventory."""
    inventory.mkdir(exist_ok=True)
    inventory.joinpath("hosts.yml").write_text(HOSTS, encoding="utf-8")
    environment = {**os.environ, "HOME": str(inventory.parent), "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0"}
    command = [str(PLAYBOOK), str(ROOT / "playbooks" / "check_site.yml"), "-i", str(inventory)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    return " ".join(done.stdout.split())


@pytest.mark.parametrize("name", ["mlflow.yml", "mlflow.json"])
def test_a_file_that_recorded_state_would_hide(tmp_path: Path, name: str) -> None:
    (tmp_path / "lab" / "host_vars").mkdir(parents=True)
    (tmp_path / "lab" / "host_vars" / name).write_text('{"site_name": "lab"}', encoding="utf-8")
    said = check(tmp_path / "lab")
    assert f"/host_vars/{name}' is a file: Ansible does not read it as soon as there is a directory" in said
    assert "machine.yml'; nothing was changed" in said


def test_files_in_the_directory_are_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "lab" / "host_vars" / "mlflow").mkdir(parents=True)
    (tmp_path / "lab" / "host_vars" / "mlflow" / "machine.yml").write_text("site_name: lab", encoding="utf-8")
    said = check(tmp_path / "lab")
    assert "does not read it" not in said
    assert "Ask the cloud" in said
