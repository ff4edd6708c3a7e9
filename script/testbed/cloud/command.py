# SPDX-License-Identifier: GPL-3.0-or-later
"""Start, find and remove the test cloud: `python -m testbed cloud …`."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import docker
import requests

from .. import images
from ..engine import LABEL, TestbedError, alone, say
from . import build, catalogue, control, facts, faults, files, store, swift, variants

STORE_SECONDS = 180


def add_options(parser: argparse.ArgumentParser) -> None:
    """Command line of `testbed cloud`."""
    actions = parser.add_subparsers(dest="action", required=True)
    start = actions.add_parser("up", help="start it, unless it runs; print its coordinates")
    start.add_argument("--variant", action="append", default=[], choices=variants.VARIANTS, help="switch this on")
    start.add_argument("--swift", action="store_true", help="with OpenStack Swift as a second object store")
    stop = actions.add_parser("down", help="remove it; refuses while somebody has servers or volumes in it")
    stop.add_argument("--force", action="store_true", help="remove their servers and volumes, too")
    actions.add_parser("status", help="list its containers and faults")
    switch = actions.add_parser("variant", help="make the running cloud another one, and undo that")
    switch.add_argument("name", choices=variants.VARIANTS)
    switch.add_argument("state", choices=("on", "off"))
    fault = actions.add_parser("fault", help="answer the next matching requests wrongly")
    fault.add_argument("service", choices=faults.SERVICES)
    fault.add_argument("method", help="GET, POST, …, or *")
    fault.add_argument("part", help="part of the path")
    fault.add_argument("status", type=int, help="0 passes the request on, after the delay")
    fault.add_argument("--times", type=int, default=1)
    fault.add_argument("--delay", type=float, default=0, metavar="SECONDS")
    actions.add_parser("reset", help="undo every variant, forget every fault")


def run(client: docker.DockerClient, options: argparse.Namespace) -> None:
    """Do what the command line says."""
    if options.action == "up":
        print(json.dumps(ensure(client, options.swift), indent=1))
        for name in options.variant:
            variants.VARIANTS[name](client, True)
    elif options.action == "down":
        down(client, options.force)
    elif options.action == "variant":
        variants.VARIANTS[options.name](client, options.state == "on")
    elif options.action == "fault":
        faults.add(client, options.service, options.method, options.part, options.status, options.times, options.delay)
    elif options.action == "reset":
        variants.reset(client)
    else:
        status(client)


def ensure(client: docker.DockerClient, with_swift: bool = False) -> dict[str, Any]:
    """Start the cloud unless it runs, and Swift if it is asked for; return what scenarios need, as inventory variables."""
    with alone("cloud"):
        if not _runs(client):
            _start(client)
        if with_swift:
            swift.ensure(client)
    return variables()


def variables() -> dict[str, Any]:
    """Coordinates of the cloud; the secrets are in the clouds file."""
    return {
        "testbed_cloud_clouds_file": str(facts.CLOUDS_FILE),
        "testbed_cloud_ca_file": str(facts.CA_FILE),
        "testbed_cloud_auth_url": facts.AUTH_URL,
        "testbed_cloud_region": facts.REGION,
        "testbed_cloud_s3_endpoint": facts.S3_ENDPOINT,
        "testbed_cloud_swift_endpoint": facts.SWIFT_ENDPOINT,
        "testbed_cloud_external_network": facts.EXTERNAL_NETWORK,
        "testbed_cloud_image": facts.IMAGE,
        "testbed_cloud_flavor": next(iter(facts.FLAVORS)),
        "testbed_cloud_volume_type": facts.VOLUME_TYPE,
        "testbed_cloud_gateway": facts.GATEWAY,
    }


def _runs(client: docker.DockerClient) -> bool:
    names = {machine.name for machine in client.containers.list(filters={"label": f"{LABEL}=cloud"})}
    return {facts.CONTROL, facts.STORE} <= names and facts.CLOUDS_FILE.exists()


def _start(client: docker.DockerClient) -> None:
    control.remove(client)
    images.ensure(client, "cloud-guest")
    images.ensure(client, "debian13-store")
    tag = build.ensure(client)
    say("starting the test cloud …")
    started = time.monotonic()
    since = time.time()
    machine = control.create(client, tag)
    password = json.loads(files.fetch(machine, facts.SECRETS_SOURCE))["password"]
    machine.start()
    store.start(client, password)
    files.keep(facts.CA_FILE, files.fetch(machine, facts.CA_SOURCE))
    control.wait_ready(catalogue.connect(password), since)
    _wait_store()
    files.keep(facts.CLOUDS_FILE, files.fetch(machine, facts.CLOUDS_SOURCE))
    say(f"the test cloud is ready after {time.monotonic() - started:.0f} s: OS_CLIENT_CONFIG_FILE={facts.CLOUDS_FILE}")


def _wait_store() -> None:
    deadline = time.monotonic() + STORE_SECONDS
    while time.monotonic() < deadline:
        try:
            if requests.get(facts.S3_ENDPOINT, verify=str(facts.CA_FILE), timeout=5).ok:
                return
        except requests.RequestException:
            pass
        time.sleep(0.5)
    raise TestbedError(f"the cloud's object store does not answer after {STORE_SECONDS} s: see 'docker exec {facts.STORE} journalctl'.")


def down(client: docker.DockerClient, force: bool = False) -> None:
    """Remove the cloud and its files; the images stay.

    Raises:
        TestbedError: somebody has servers or volumes in it, and `force` is not set.
    """
    with alone("cloud"):
        used = control.in_use(client)
        if used and not force:
            raise TestbedError(f"the cloud is in use: {', '.join(used)}. Others share it: ask them, or remove what is yours; --force removes all of it.")
        control.remove(client)
        for net in client.networks.list(names=[f"^{facts.NETWORK}$"]):
            net.remove()
        for path in (facts.CLOUDS_FILE, facts.CA_FILE):
            path.unlink(missing_ok=True)


def status(client: docker.DockerClient) -> None:
    """Print the cloud's containers."""
    found = client.containers.list(all=True, filters={"label": f"{LABEL}=cloud"})
    for machine in found:
        print(machine.name, machine.status, machine.labels.get("labtrack.server.name", ""))
    if _runs(client):
        print(f"clouds file: {facts.CLOUDS_FILE}\n{faults.tell(client, 'list')}".strip())
    else:
        print("The cloud is not up.")
