# SPDX-License-Identifier: GPL-3.0-or-later
"""The cloud's other object store: OpenStack Swift with its S3 interface, as on older sites. Started when somebody asks for it, made anew each time."""

from __future__ import annotations

import json
import secrets
import time

import docker
import requests

from ..engine import TestbedError, say
from . import control, facts, files

HERE = files.HERE / "swift"
COMMAND = ["/lib/systemd/systemd", "--unit=cloud-swift.target"]
SERVERS = {"account": 6202, "container": 6201, "object": 6200}
DIRECTORY = "/srv/node"
READY_SECONDS = 60


def ensure(client: docker.DockerClient) -> None:
    """Start Swift beside a running cloud, unless it runs; wait until its S3 interface answers."""
    started = time.monotonic()
    found = client.containers.list(all=True, filters={"name": f"^{facts.SWIFT}$"})
    for machine in found:
        if machine.status != "running":
            machine.remove(force=True, v=True)
    if not any(machine.status == "running" for machine in found):
        control.beside(client, "cloud-packages", facts.SWIFT, facts.SWIFT_ADDRESS, rendered(_password(client)), COMMAND)
    wait(facts.SWIFT_ENDPOINT)
    say(f"Swift answers after {time.monotonic() - started:.0f} s: {facts.SWIFT_ENDPOINT}")


def rendered(password: str) -> dict[str, str]:
    """Files for its container."""
    keystone = f"http://{facts.ADDRESS}:35357"
    login = (
        f"auth_type = password\nauth_url = {keystone}/v3\nproject_domain_name = Default\nuser_domain_name = Default\n"
        f"project_name = service\nusername = store\npassword = {password}"
    )
    variables = {"servers": SERVERS, "directory": DIRECTORY, "port": facts.SWIFT_PORT, "region": facts.REGION, "keystone": keystone, "login": login}
    return files.render(HERE, {**variables, "hash_prefix": secrets.token_hex(16)})


def wait(endpoint: str) -> None:
    """Wait until Swift answers behind the proxy.

    Raises:
        TestbedError: it does not in time, or the proxy of the running cloud does not know it.
    """
    deadline, problem = time.monotonic() + READY_SECONDS, ""
    while time.monotonic() < deadline:
        try:
            answer = requests.get(f"{endpoint}/healthcheck", verify=str(facts.CA_FILE), timeout=5)
            if answer.ok:
                return
            problem = f"status {answer.status_code}"
        except requests.RequestException as error:
            problem = str(error)
        time.sleep(0.2)
    hint = f"see 'docker exec {facts.SWIFT} journalctl'; a cloud that runs since before Swift was a part of it needs 'cloud down', then 'cloud up --swift'"
    raise TestbedError(f"Swift does not answer after {READY_SECONDS} s ({problem}): {hint}.")


def _password(client: docker.DockerClient) -> str:
    try:
        return json.loads(files.fetch(client.containers.get(facts.CONTROL), facts.SECRETS_SOURCE))["password"]
    except docker.errors.NotFound as error:
        raise TestbedError("the cloud is not up: 'python -m testbed cloud up --swift' starts it with Swift.") from error
