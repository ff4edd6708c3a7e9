# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers that a cloud should not give: the proxy in front of the public APIs gives them when a test asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import docker

from ..engine import TestbedError
from . import facts

# what OpenStack calls the service: what the proxy calls it
SERVICES = {
    "identity": "keystone",
    "image": "glance",
    "placement": "placement",
    "compute": "nova",
    "volume": "cinder",
    "network": "neutron",
    "object-store": "store",
    "swift": "swift",
}
STATUSES = (400, 401, 403, 404, 409, 429, 500, 503, 504)
TELL = """
import socket, sys
proxy = socket.socket(socket.AF_UNIX)
proxy.connect("/run/haproxy-admin.sock")
proxy.sendall(sys.argv[1].encode())
print(proxy.makefile().read(), sys.argv[2])
"""
END = "end of the answer"


def tell(client: docker.DockerClient, command: str) -> str:
    """Send a line to the proxy; its answer.

    Raises:
        TestbedError: the proxy refused it, or there is no cloud.
    """
    try:
        code, output = client.containers.get(facts.CONTROL).exec_run(["python3", "-c", TELL, f"fault {command}\n", END])
    except docker.errors.NotFound as error:
        raise TestbedError("the cloud is not up: 'python -m testbed cloud up' starts it.") from error
    # an empty list is an answer, too: one that was lost on its way must not look like it
    answer, complete, _rest = output.decode(errors="replace").partition(END)
    answer = answer.strip()
    if code or not complete or (command != "list" and answer != "ok"):
        raise TestbedError(f"the cloud's proxy did not accept 'fault {command}': {answer}")
    return answer


def add(client: docker.DockerClient, service: str, method: str, part: str, status: int, times: int = 1, delay_seconds: float = 0) -> None:
    """Answer the next requests that match with a status.

    Args:
        service: a key of SERVICES.
        method: GET, POST, …, or * for any.
        part: part of the path, without a space.
        status: one of STATUSES; 0 passes the request on, after the delay.
        times: how many requests.
        delay_seconds: how long they wait first; longer than the client waits, it is a time-out.

    Raises:
        TestbedError: a value is not accepted.
    """
    if service not in SERVICES or status not in (0, *STATUSES) or times < 1 or " " in part or not part:
        accepted = f"service {', '.join(SERVICES)}; status 0, {', '.join(map(str, STATUSES))}; times from 1; a part of the path without a space"
        raise TestbedError(f"the fault '{service} {method} {part} {status}' ({times} times) cannot be made. Accepted: {accepted}.")
    tell(client, f"add {SERVICES[service]} {method} {part} {status} {times} {int(delay_seconds * 1000)}")


def clear(client: docker.DockerClient) -> None:
    """Answer as the services do."""
    tell(client, "clear")


@contextmanager
def fault(client: docker.DockerClient, service: str, method: str, part: str, status: int, times: int = 1, delay_seconds: float = 0) -> Iterator[None]:
    """A fault for the length of a block; all faults are gone after it."""
    add(client, service, method, part, status, times, delay_seconds)
    try:
        yield
    finally:
        clear(client)
