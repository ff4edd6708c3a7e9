# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of a deployed site share: its address, CA, login, and a client environment."""

from __future__ import annotations

import configparser
import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "script"))

FQDN = "mlflow.site.test"


@dataclasses.dataclass
class Site:
    """How to reach the site from outside the machine."""

    address: str
    ca_file: Path
    user: str
    password: str = dataclasses.field(repr=False)

    def environment(self) -> dict[str, str]:
        """Variables of MLflow's client; nothing of this machine's own CA settings."""
        foreign = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
        ours = {
            "MLFLOW_TRACKING_URI": f"https://{self.address}",
            "MLFLOW_TRACKING_SERVER_CERT_PATH": str(self.ca_file),
            "MLFLOW_TRACKING_USERNAME": self.user,
            "MLFLOW_TRACKING_PASSWORD": self.password,
        }
        return {**{k: v for k, v in os.environ.items() if k not in foreign}, **ours}

    def curl(self, path: str, *options: str, login: bool = False) -> str:
        """`curl` with the lab's CA, by name; the login goes through stdin, not the command line."""
        config = f'user = "{self.user}:{self.password}"\n' if login else ""
        resolve = f"{FQDN}:443:{self.address}"
        command = ["curl", "-sS", "--noproxy", "*", "--cacert", str(self.ca_file), "--resolve", resolve, "-K", "-", *options, f"https://{FQDN}{path}"]
        return subprocess.run(command, input=config, capture_output=True, text=True, check=True, timeout=60).stdout

    def status(self, path: str, *options: str, login: bool = False) -> int:
        """HTTP status of a request."""
        return int(self.curl(path, "-o", "/dev/null", "-w", "%{http_code}", *options, login=login))


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The deployed site; its CA and admin login are read from the machine, as root."""
    inventory = json.loads((Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory" / "hosts.yml").read_text(encoding="utf-8"))
    address = inventory["all"]["hosts"]["mlflow"]["testbed_address"]
    machine = os.environ.get("LABTRACK_MACHINE", "lt-site")

    def read(path: str) -> str:
        return subprocess.run(["docker", "exec", machine, "cat", path], capture_output=True, text=True, check=True).stdout

    ca_file = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca_file.write_text(read("/etc/labtrack/tls/ca.pem"), encoding="utf-8")
    credentials = configparser.ConfigParser(interpolation=None)
    credentials.read_string(read("/var/lib/labtrack/mlflow/main/admin_credentials"))
    section = credentials["mlflow"]
    return Site(address, ca_file, section["mlflow_tracking_username"], section["mlflow_tracking_password"])


@pytest.fixture(scope="session")
def run_url(site: Site) -> str:
    """Address of a run that the real client has logged, read back and compared."""
    from testbed import client

    script = ROOT / "script" / "testbed" / "round_trip.py"
    done = subprocess.run([client.python(), script, "20"], env=site.environment(), capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip().splitlines()[-1]
