# SPDX-License-Identifier: GPL-3.0-or-later
"""What is declared, the people as they come in from outside, and the play as a lab admin runs it."""

from __future__ import annotations

import configparser
import http.client
import json
import os
import ssl
import subprocess
import sys
import time
from base64 import b64encode
from pathlib import Path
from urllib.parse import urlencode

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "script"))
sys.path.insert(0, str(Path(__file__).parent))

from testbed.site import Site

IDLE_SECONDS = 10  # far below the time after which nginx closes a connection that nobody uses
ROOT = Path(__file__).resolve().parents[3]
MACHINE = "lt-tracking-access"
SCENARIO = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
BUNDLES = SCENARIO / "bundles"


class Person:
    """One login, over a connection of its own, through TLS that is verified."""

    def __init__(self, site: Site, name: str, password: str):
        self.name = name
        self.connection = http.client.HTTPSConnection(site.address, timeout=120, context=ssl.create_default_context(cafile=str(site.ca_file)))
        self.login = (name, password)
        self.last = time.monotonic()

    def ask(self, method: str, path: str, body: dict | None = None, version: str = "2.0", **query: str) -> tuple[int, dict]:
        """Status and JSON of a request to the REST API."""
        return self.page(method, f"/api/{version}/mlflow/{path}" + (f"?{urlencode(query)}" if query else ""), body)

    def page(self, method: str, path: str, body: dict | None = None) -> tuple[int, dict]:
        """The same for any path."""
        if time.monotonic() - self.last > IDLE_SECONDS:
            self.connection.close()  # the next request opens a new one
        headers = {"Authorization": "Basic " + b64encode(":".join(self.login).encode()).decode(), "Content-Type": "application/json"}
        self.connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = self.connection.getresponse()
        text = answer.read()
        self.last = time.monotonic()
        return answer.status, json.loads(text) if text.startswith(b"{") else {}


def password_of(name: str) -> str:
    """The first password in the bundle."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(BUNDLES / name / "credentials", encoding="utf-8")
    assert parser["mlflow"]["mlflow_tracking_username"] == name
    return parser["mlflow"]["mlflow_tracking_password"]


@pytest.fixture(scope="session")
def declared() -> dict:
    """What the inventory says."""
    return yaml.safe_load((Path(__file__).resolve().parents[1] / "vars" / "people.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The server, from outside."""
    return Site.of_scenario(tmp_path_factory.mktemp("ca") / "ca.pem")


@pytest.fixture(scope="session")
def admin(site: Site) -> Person:
    """The first administrator."""
    return Person(site, site.user, site.password)


@pytest.fixture
def person(site: Site):
    """Somebody with the first password, or another one."""
    return lambda name, password="": Person(site, name, password or password_of(name))


@pytest.fixture
def play():
    """`play("--check", site_users=…)`: the role again, with other variables; all that a person reads."""

    def run(*options: str, playbook: str = "converge.yml", **variables) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(SCENARIO / "inventory"), f"molecule/tracking_access/{playbook}"]
        tags = ["--tags", "tracking_access"] if playbook == "converge.yml" else []
        words = [*command, *tags, *options, "-e", json.dumps(variables)]
        environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"), "NO_COLOR": "1"}
        return subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    return run
