# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to a running MLflow over the socket that its proxy uses. Plain Python, knows nothing of Ansible."""

from __future__ import annotations

import base64
import http.client
import socket
import time
from dataclasses import dataclass

from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_instance import parse_address

ANSWER_BYTES = 2000
PAUSE_SECONDS = 0.5
EXPERIMENTS = "/api/2.0/mlflow/experiments/search?max_results=1"
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


def ask(probe: Probe, host: str, name: str, password: str, timeout: float) -> tuple[int, str]:
    """Status and beginning of the answer."""
    target, port = parse_address(probe.address)
    connection = http.client.HTTPConnection(target, port, timeout=timeout) if port else UnixConnection(target, timeout)
    headers = {"Host": host}
    if probe.login:
        headers["Authorization"] = "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()
    try:
        connection.request("GET", probe.path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(ANSWER_BYTES).decode(errors="replace")
    finally:
        connection.close()


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
