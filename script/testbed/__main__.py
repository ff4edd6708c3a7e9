# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line: `PYTHONPATH=script python -m testbed COMMAND`. Results on stdout, progress on stderr."""

from __future__ import annotations

import argparse
import json
import sys

import docker

from . import engine, images, machines, store
from .cloud import command as cloud


def up(client: docker.DockerClient, options: argparse.Namespace) -> None:
    """Start the platforms that stdin lists as JSON; print an inventory."""
    platforms = json.load(sys.stdin)
    needs = {need for platform in platforms for need in platform.get("needs", [])}
    extra = {**(store.ensure(client) if "store" in needs else {}), **(cloud.ensure(client, "swift" in needs) if {"cloud", "swift"} & needs else {})}
    present = [platform for platform in platforms if "image" in platform]
    started = machines.up(client, present, options.purpose)
    absent = [platform for platform in platforms if "image" not in platform]
    print(json.dumps(machines.inventory(dict(zip(started, present, strict=True)), extra, absent)))


def main() -> int:
    """Entry point; 1 and one sentence on stderr when something cannot be had."""
    parser = argparse.ArgumentParser(prog="testbed", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("engine", help="find or start a Docker engine")
    build = commands.add_parser("images", help="build the images that are missing")
    build.add_argument("names", nargs="*", default=[])
    start = commands.add_parser("up", help="start machines: JSON list of platforms on stdin, inventory on stdout")
    start.add_argument("--purpose", default="test")
    commands.add_parser("down", help="remove machines").add_argument("names", nargs="+")
    commands.add_parser("store", help="start the shared object store")
    cloud.add_options(commands.add_parser("cloud", help="the OpenStack test cloud"))
    commands.add_parser("ls", help="list what is there").add_argument("--own", action="store_true", help="only test machines of this checkout")
    purge = commands.add_parser("purge", help="remove every labelled object")
    purge.add_argument("--purpose", default="")
    purge.add_argument("--own", action="store_true", help="only what this checkout has started")
    purge.add_argument("--images", action="store_true")
    options = parser.parse_args()
    try:
        client = engine.connect()
        if options.command == "images":
            for name in options.names or [name for name, image in images.IMAGES.items() if not image.on_demand]:
                images.ensure(client, name)
        elif options.command == "up":
            up(client, options)
        elif options.command == "down":
            machines.down(client, options.names)
        elif options.command == "store":
            store.ensure(client)
        elif options.command == "cloud":
            cloud.run(client, options)
        elif options.command == "ls":
            label = [f"{engine.LABEL}=test", f"{machines.OWNER}={engine.CHECKOUT}"] if options.own else engine.LABEL
            for machine in client.containers.list(all=True, filters={"label": label}):
                print(machine.name, machine.status, machine.labels[engine.LABEL])
        elif options.command == "purge":
            if options.purpose in ("", "cloud"):
                cloud.down(client, force=True)
            machines.purge(client, options.purpose, options.images, options.own)
    except engine.TestbedError as error:
        print(f"testbed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
