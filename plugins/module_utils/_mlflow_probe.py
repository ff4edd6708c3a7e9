# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to a running MLflow over the socket that its proxy uses. Plain Python, knows nothing of Ansible."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import time
from dataclasses import dataclass

from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_instance import parse_address

ANSWER_BYTES = 2000
PAUSE_SECONDS = 0.5
EXPERIMENTS = "/api/2.0/mlflow/experiments/search?max_results=1"
UPDATE_PATH = "/api/2.0/mlflow/users/update-password"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts?path=labtrack-probe"


class ProbeError(Exception):
    """MLflow does not answer as it should."""


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str, timeout: float):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


@dataclass
class Probe:
    """What to ask, where, and what the right answer is."""

    address: str
    path: str
    status: int
    login: bool
    meaning: str


def probes(address: str, api_address: str, artifacts: bool) -> list[Probe]:
    """The questions that a healthy instance answers."""
    wanted = [
        Probe(address, "/health", 200, False, "the server runs"),
        Probe(api_address, EXPERIMENTS, 401, False, "nobody gets in without a login"),
        Probe(api_address, EXPERIMENTS, 200, True, "login and tracking database work"),
    ]
    if artifacts:
        wanted.append(Probe(address, ARTIFACTS, 200, True, "the artifact store lists a folder"))
    return wanted


def basic(username: str, password: str) -> str:
    """The header `Authorization` of a login."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def request(address: str, host: str, login: tuple[str, str] | None, method: str, path: str, body: dict | None = None, timeout: float = 60) -> tuple[int, str]:
    """Status and beginning of the answer; raises OSError."""
    target, port = parse_address(address)
    connection = http.client.HTTPConnection(target, port, timeout=timeout) if port else UnixConnection(target, timeout)
    headers = {"Host": host}
    if login:
        headers["Authorization"] = basic(*login)
    if body is not None:
        headers["Content-Type"] = "application/json"
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.read(ANSWER_BYTES).decode(errors="replace")
    finally:
        connection.close()


def ask(probe: Probe, host: str, name: str, password: str, timeout: float) -> tuple[int, str]:
    """Status and beginning of the answer."""
    return request(probe.address, host, (name, password) if probe.login else None, "GET", probe.path, timeout=timeout)


def is_accepted(address: str, host: str, name: str, password: str) -> bool:
    """Whether MLflow lets this login in; raises ProbeError for any other answer than yes or no."""
    status, text = request(address, host, (name, password), "GET", EXPERIMENTS)
    if status not in (200, 401):
        raise ProbeError(f"'{EXPERIMENTS}' on {address} answered {status} ({text.strip()[:300]}); expected 200 or 401.")
    return status == 200


def set_password(address: str, host: str, name: str, password: str, new: str) -> None:
    """Replace a person's own password; raises ProbeError."""
    body = {"username": name, "password": new, "current_password": password}
    status, text = request(address, host, (name, password), "PATCH", UPDATE_PATH, body)
    if status == 401:
        raise ProbeError("MLflow accepts neither the new password nor the one in the credentials file. Somebody has changed it: write the right one there.")
    if status != 200:
        raise ProbeError(f"'{UPDATE_PATH}' on {address} answered {status} ({text.strip()[:300]}); expected 200.")


def wait_for(probe: Probe, host: str, name: str, password: str, wait_seconds: float) -> None:
    """Ask until the answer is right; only silence and the proxy-like 502, 503, 504 are worth another try."""
    end = time.monotonic() + wait_seconds
    while True:
        left = end - time.monotonic()
        try:
            status, text = ask(probe, host, name, password, max(left, 1))
            problem = f"answered {status} ({text.strip()[:300]})"
        except OSError as error:
            status, problem = 0, f"did not answer ({error.strerror or error})"
        if status == probe.status:
            return
        if status not in (0, 502, 503, 504) or left <= PAUSE_SECONDS:
            raise ProbeError(f"'{probe.path}' on {probe.address} {problem}; expected {probe.status}: {probe.meaning}.")
        time.sleep(PAUSE_SECONDS)
