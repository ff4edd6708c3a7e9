# SPDX-License-Identifier: GPL-3.0-or-later
"""The Docker engine: find one that answers, or install Debian's and start it."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import docker

LABEL = "labtrack"
NETWORK = "labtrack"
ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".labtrack"
# what serves every checkout of this user: coordinates and locks of the shared object store and cloud, locks of the images
SHARED = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "labtrack-testbed"
CHECKOUT = hashlib.sha256(str(ROOT).encode()).hexdigest()[:12]


class TestbedError(Exception):
    """Something a person can act on; printed as one sentence."""


def say(message: str) -> None:
    """Progress goes to stderr: stdout carries results that other programs read."""
    print(f"testbed: {message}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def alone(name: str) -> Iterator[None]:
    """Only one process of this user, in whatever checkout, does this at a time."""
    SHARED.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (SHARED / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def as_root(*command: str) -> None:
    """Run a command as root, by sudo where needed.

    Raises:
        TestbedError: neither root nor password-less sudo, or the command failed.
    """
    prefix: list[str] = []
    if os.geteuid() != 0:
        if not shutil.which("sudo"):
            raise TestbedError(f"'{command[0]}' needs root: run as root or install sudo.")
        prefix = ["sudo", "-n"]
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run([*prefix, *command], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no output"]
        raise TestbedError(f"'{' '.join(command[:3])}' failed: {last[0]}")


def _answering() -> docker.DockerClient | None:
    try:
        client = docker.from_env(timeout=600)
        client.ping()
    except docker.errors.DockerException:
        return None
    return client


def install_packages(*packages: str) -> None:
    """Install Debian packages on this machine, when they are missing."""

    def installed(package: str) -> bool:
        done = subprocess.run(["dpkg-query", "-W", "-f=${Status}", package], capture_output=True, text=True, check=False)
        return done.stdout.endswith(" installed")

    missing = [package for package in packages if not installed(package)]
    if missing:
        if not shutil.which("apt-get"):
            raise TestbedError(f"this machine has no apt-get to install {', '.join(missing)}: use Debian 12 or 13.")
        say(f"installing Debian packages on this machine: {' '.join(missing)}")
        as_root("apt-get", "update", "-qq")
        as_root("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing)


def connect() -> docker.DockerClient:
    """Return a client of an engine that answers; install and start Debian's when none does.

    Raises:
        TestbedError: no engine can be had.
    """
    client = _answering()
    if client:
        return client
    if not shutil.which("dockerd"):
        install_packages("docker.io", "iptables")
    if Path("/run/systemd/system").is_dir():
        as_root("systemctl", "start", "docker.service")
    else:
        say("starting dockerd (no systemd here): log in .labtrack/dockerd.log")
        CACHE.mkdir(exist_ok=True)
        sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
        with (CACHE / "dockerd.log").open("ab") as log:
            subprocess.Popen([*sudo, "dockerd"], stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        client = _answering()
        if client:
            return client
        time.sleep(0.5)
    raise TestbedError("no Docker engine answers after 60 s: see .labtrack/dockerd.log or 'journalctl -u docker'; are you in the group 'docker'?")


def network(client: docker.DockerClient) -> docker.models.networks.Network:
    """The one network of all test machines; its DNS resolves container names and aliases."""
    found = client.networks.list(names=[f"^{NETWORK}$"])
    if found:
        return found[0]
    try:
        return client.networks.create(NETWORK, driver="bridge", labels={LABEL: "network"}, check_duplicate=True)
    except docker.errors.APIError:  # another process was faster
        return client.networks.get(NETWORK)
