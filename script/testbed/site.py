# SPDX-License-Identifier: GPL-3.0-or-later
"""A deployed site as a person outside sees it: address, CA, login; and the real client at work on it."""

from __future__ import annotations

import configparser
import dataclasses
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from . import client
from .engine import ROOT

# settings of this machine that a client of the lab does not have
FOREIGN = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


def scenario_host() -> dict[str, Any]:
    """Variables of the host with the site in the Molecule scenario that runs: `testbed_machine` is its container, `testbed_address`, `site_name`, …"""
    inventory = json.loads((Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory" / "hosts.yml").read_text(encoding="utf-8"))
    return next(variables for variables in inventory["all"]["hosts"].values() if "site_fqdn" in variables)


def scenario_inventories() -> list[str]:
    """Options of ansible-playbook: the inventories of the Molecule scenario that runs, in its order."""
    scenario, made = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"]), Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory" / "hosts.yml"
    arguments = yaml.safe_load((scenario / "molecule.yml").read_text(encoding="utf-8"))["ansible"]["executor"]["args"]["ansible_playbook"]
    return [f"--inventory={made}", *(os.path.expandvars(word) for word in arguments if word.startswith("--inventory="))]


@dataclasses.dataclass
class Site:
    """How to reach the site from outside the machine."""

    fqdn: str
    address: str
    ca_file: Path
    user: str
    password: str = dataclasses.field(repr=False)

    @classmethod
    def of(cls, machine: str, fqdn: str, address: str, ca_file: Path) -> Site:
        """Read CA and admin login from the container, as root; the CA is written to `ca_file`."""

        def read(path: str) -> str:
            return subprocess.run(["docker", "exec", machine, "cat", path], capture_output=True, text=True, check=True).stdout

        ca_file.write_text(read("/etc/labtrack/tls/ca.pem"), encoding="utf-8")
        credentials = configparser.ConfigParser(interpolation=None)
        credentials.read_string(read("/var/lib/labtrack/mlflow/main/admin_credentials"))
        section = credentials["mlflow"]
        return cls(fqdn, address, ca_file, section["mlflow_tracking_username"], section["mlflow_tracking_password"])

    @classmethod
    def of_scenario(cls, ca_file: Path) -> Site:
        """The site of the Molecule scenario that runs; the CA is written to `ca_file`."""
        host = scenario_host()
        return cls.of(host["testbed_machine"], host["site_fqdn"], host["testbed_address"], ca_file)

    def environment(self, host: str = "") -> dict[str, str]:
        """Variables of MLflow's client; nothing of this machine's own CA settings."""
        ours = {
            "MLFLOW_TRACKING_URI": f"https://{host or self.address}",
            "MLFLOW_TRACKING_SERVER_CERT_PATH": str(self.ca_file),
            "MLFLOW_TRACKING_USERNAME": self.user,
            "MLFLOW_TRACKING_PASSWORD": self.password,
        }
        return {**{k: v for k, v in os.environ.items() if k not in FOREIGN}, **ours}

    def curl(self, path: str, *options: str, login: bool = False) -> str:
        """`curl` with the lab's CA, by name; the login goes through stdin, not the command line."""
        config = f'user = "{self.user}:{self.password}"\n' if login else ""
        resolve = f"{self.fqdn}:443:{self.address}"
        command = ["curl", "-sS", "--noproxy", "*", "--cacert", str(self.ca_file), "--resolve", resolve, "-K", "-", *options, f"https://{self.fqdn}{path}"]
        return subprocess.run(command, input=config, capture_output=True, text=True, check=True, timeout=60).stdout

    def status(self, path: str, *options: str, login: bool = False) -> int:
        """HTTP status of a request."""
        return int(self.curl(path, "-o", "/dev/null", "-w", "%{http_code}", *options, login=login))

    def log_and_read_back(self, megabytes: int) -> str:
        """Log a run with the real client, read it back, compare; the run's address."""
        script = ROOT / "script" / "testbed" / "round_trip.py"
        done = subprocess.run([client.python(), script, str(megabytes)], env=self.environment(), capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip().splitlines()[-1]
