# SPDX-License-Identifier: GPL-3.0-or-later
"""The bundle that client_bundle.yml made on the controller: with the admin's login and the CA, fetched from the server."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

BUNDLE = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "bundle"


def test_bundle_is_for_its_owner_only() -> None:
    assert BUNDLE.stat().st_mode & 0o777 == 0o700
    assert {name: (BUNDLE / name).stat().st_mode & 0o777 for name in ("credentials", "docker.env")} == {"credentials": 0o600, "docker.env": 0o600}
    assert "mlflow_tracking_username = admin\n" in (BUNDLE / "credentials").read_text(encoding="utf-8")
    assert "mlflow-skinny~=3.17.0" in (BUNDLE / "constraints.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("python", ["/usr/bin/python3", "python3"])
def test_next_step_of_the_summary_works(python: str) -> None:
    foreign = ("MLFLOW_", "REQUESTS_", "CURL_", "SSL_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign) and not name.lower().endswith("_proxy")}
    script = 'source "$0/mlflow_env.sh" && exec "$1" "$(command -v labtrack-doctor)" --json'
    done = subprocess.run(["bash", "-c", script, BUNDLE, python], env=environment, capture_output=True, text=True, check=False)
    report = json.loads(done.stdout)
    assert report["works"], report
    assert "logged in as 'admin'" in str(report["checks"])
    assert "the-admin-of-the-test" not in done.stdout + done.stderr
