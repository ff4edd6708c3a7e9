# SPDX-License-Identifier: GPL-3.0-or-later
"""deploy.yml tells the monitoring which jobs this site schedules: those whose timers its roles install, and no others."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from contract.collection import ROOT, load

ROLES = ("postgresql", "tracking_server", "backup", "retention", "artifact_copy", "model_server", "monitoring")
ALWAYS = {"site_metrics", "artifact_audit", "gc", "usage"}
NIGHTLY = {"backup_full", "backup_incremental", "backup_configuration", "backup_proof"}


def handed_over() -> str:
    """The expression in deploy.yml."""
    tasks = load(ROOT / "playbooks" / "deploy.yml")[0]["tasks"]
    found = [task["vars"] for task in tasks if task.get("ansible.builtin.import_role", {}).get("name") == "labtrack.mlflow.monitoring" and "vars" in task]
    return found[-1]["monitoring_jobs_expected"]


def expected(tmp_path: Path, **variables: Any) -> set[str]:
    """What a site with these variables hands over. The roles are imported, as there, so that their variables are known; they do not run."""
    imports: list[dict[str, Any]] = [
        {"ansible.builtin.import_role": {"name": f"labtrack.mlflow.{role}", "rolespec_validate": False}, "tags": ["never"]} for role in ROLES
    ]
    told = {"ansible.builtin.debug": {"msg": f"handed over {handed_over()}"}}
    inventory = {
        "tracking_servers": {"hosts": {"lab": {"ansible_connection": "local", "site_fqdn": "lab.test", "site_s3_endpoint": "https://s3", **variables}}}
    }
    play = {"hosts": "lab", "gather_facts": False, "vars_files": [str(ROOT / "playbooks/vars/backup.yml")], "tasks": [*imports, told]}
    (tmp_path / "play.json").write_text(json.dumps([play]), encoding="utf-8")
    (tmp_path / "hosts.json").write_text(json.dumps(inventory), encoding="utf-8")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
    }
    command = [str(Path(sys.executable).parent / "ansible-playbook"), str(tmp_path / "play.json"), "-i", str(tmp_path / "hosts.json")]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    found = re.search(r"handed over \[([^\]]*)\]", done.stdout)
    assert done.returncode == 0 and found, done.stdout + done.stderr
    return set(re.findall(r"\w+", found[1]))


def test_a_site_with_an_object_store(tmp_path):
    assert expected(tmp_path) == ALWAYS | NIGHTLY | {"bucket_metrics"}


@pytest.mark.parametrize(
    ("variables", "more", "fewer"),
    [
        ({"backup_enabled": False}, set(), NIGHTLY),
        ({"tracking_server_artifacts_mode": "local", "site_s3_endpoint": ""}, {"backup_artifacts"}, {"bucket_metrics"}),
        ({"artifact_copy_target_dir": "/mnt/second"}, {"backup_copy"}, set()),
        ({"site_models": [{"name": "iris"}]}, {"models"}, set()),
        ({"retention_traces_archive_enabled": True}, {"trace_archival"}, set()),
        ({"site_database_host": "db.test"}, set(), {"backup_incremental"}),
        ({"monitoring_jobs_expected": ["own_job"]}, {"own_job"}, set()),
    ],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "",
)
def test_a_site_that_has_others(tmp_path, variables, more, fewer):
    assert expected(tmp_path, **variables) == (ALWAYS | NIGHTLY | {"bucket_metrics"} | more) - fewer


def test_a_nightly_job_may_be_as_old_as_its_calendar_makes_it():
    """The incremental backup skips the night of the full one: two days must not be an alert every week."""
    ages = load(ROOT / "roles/monitoring/vars/main.yml")["__monitoring_job_ages_known"]
    assert load(ROOT / "roles/backup/defaults/main.yml")["backup_incremental_calendar"].startswith("Mon..Sat")
    assert ages["backup_incremental"] > 48 + 1
