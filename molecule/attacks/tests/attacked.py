# SPDX-License-Identifier: GPL-3.0-or-later
"""What the attacks share: the names of the site, people with things of their own, the table of what was tried."""

from __future__ import annotations

import json
import secrets
import subprocess
from dataclasses import dataclass

from testbed.load import Caller
from testbed.site import Site, scenario_host

HOST = scenario_host()
MACHINE, FQDN, GATEWAY, BUCKET = HOST["testbed_machine"], HOST["site_fqdn"], HOST["testbed_gateway"], f"{HOST['site_name']}-mlflow"
API, API3 = "/api/2.0/mlflow/", "/api/3.0/mlflow/"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/"
SECRET = b"only for the eyes of "
ROWS: list[tuple[str, str]] = []


@dataclass
class Person:
    """Somebody with a login, an experiment, a run with an artifact, and a trace."""

    name: str
    caller: Caller
    experiment: str = ""
    run: str = ""
    folder: str = ""
    trace: str = ""

    def ask(self, method: str, path: str, body=None, **headers: str) -> tuple[int, bytes]:
        """Status and body."""
        return self.caller.ask(method, path, body, **headers)

    def made(self, path: str, body: dict) -> dict:
        """What a POST that has to succeed returns."""
        status, answer = self.ask("POST", path, body)
        assert status == 200, answer
        return json.loads(answer)

    @property
    def secret(self) -> bytes:
        """What is in x.txt of the run."""
        return SECRET + self.name.encode()

    def settle(self) -> None:
        """Make what others would like to have."""
        self.experiment = self.made(API + "experiments/create", {"name": f"of-{self.name}"})["experiment_id"]
        info = self.made(API + "runs/create", {"experiment_id": self.experiment, "start_time": 1})["run"]["info"]
        self.run, self.folder = info["run_id"], info["artifact_uri"].partition(":/")[2]
        assert self.ask("PUT", f"{ARTIFACTS}{self.folder}/x.txt", self.secret)[0] == 200
        self.trace = f"tr-{secrets.token_hex(16)}"
        place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": self.experiment}}
        info = {"trace_id": self.trace, "trace_location": place, "request_time": "2026-01-01T00:00:00Z", "state": "OK", "tags": {}, "trace_metadata": {}}
        self.made(API3 + "traces", {"trace": {"trace_info": info}})


def on_machine(*command: str, check: bool = True) -> str:
    """Output of a command that root runs on the machine."""
    return subprocess.run(["docker", "exec", MACHINE, *command], capture_output=True, text=True, check=check).stdout


def new_person(site: Site, admin: Person, name: str) -> Person:
    """A plain user with things of their own."""
    name, password = f"{name}-{secrets.token_hex(3)}", secrets.token_urlsafe(16)
    admin.made(API + "users/create", {"username": name, "password": password})
    person = Person(name, Caller(site, name, password))
    person.settle()
    return person
