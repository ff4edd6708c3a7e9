# SPDX-License-Identifier: GPL-3.0-or-later
"""The containers of a benchmark."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
from testbed import machines as testbed
from testbed.client import newest_lock
from testbed.engine import TestbedError

PREFIX = "labtrack-bench"
LOCKS = {"requirements.txt": newest_lock, "uv.txt": lambda: newest_lock().with_name("uv.txt")}
Machine = docker.models.containers.Container


def fresh(client: docker.DockerClient, role: str, **platform: Any) -> Machine:
    """A new machine `labtrack-bench-<role>`; an older one of that name is removed first."""
    name = f"{PREFIX}-{role}"
    testbed.down(client, [name])
    return testbed.up(client, [{"name": name, "image": "debian13", **platform}], purpose="bench")[0]


def existing(client: docker.DockerClient, role: str) -> Machine | None:
    """The machine of an earlier run, started if need be."""
    for machine in client.containers.list(all=True, filters={"name": f"^{PREFIX}-{role}$"}):
        machine.start()
        return machine
    return None


def purge(client: docker.DockerClient) -> None:
    """Remove what a benchmark made."""
    testbed.purge(client, "bench")


def put(machine: Machine, directory: str, files: dict[str, str | bytes]) -> None:
    """Write files into the machine."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o755
            tar.addfile(info, io.BytesIO(data))
    testbed.run(machine, ["mkdir", "-p", directory])
    machine.put_archive(directory, stream.getvalue())


def locks() -> dict[str, str]:
    """The lock files of the collection's newest MLflow, for a machine that is to install the same."""
    return {name: path().read_text(encoding="utf-8") for name, path in LOCKS.items()}


def beside(name: str) -> str:
    """A file of this directory."""
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def wait(what: str, ready: Callable[[], bool], seconds: float = 120) -> None:
    """Wait for a condition.

    Raises:
        TestbedError: it did not come true.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise TestbedError(f"{what} is not ready after {seconds:.0f} s.")
        time.sleep(0.2)
