# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line of script/bench. The report goes to stdout, progress to stderr, the figures to .labtrack/bench/<date>.json."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import platform
import sys

import docker
from testbed import engine
from testbed.client import newest_lock

from . import artifacts, cold, machines, memory, noop, rates, site, spool, targets
from .figures import Report, say

PARTS = {
    "cold": "site.yml on a fresh machine beside a shell script that does the same",
    "noop": "site.yml with nothing to do, plain and with Mitogen, and its most expensive tasks",
    "requests": "requests a second of the site beside a stock server",
    "artifacts": "files through the server beside straight to its store",
    "memory": "memory of the tracking server",
    "spool": "labtrack-spool beside mlflow-export-import (needs no container; only where it is named)",
    "spool_site": "the same to the site (only where it is named)",
}


def run(client: docker.DockerClient, report: Report, parts: list[str], scale: float, peer_scale: float) -> None:
    """The parts that were asked for, in the order in which each leaves the site as the next one needs it."""
    if "cold" in parts:
        cold.bench(client, report)
    ours = site.deployed(client)
    report.versions |= ours.versions()
    if "noop" in parts:
        noop.bench(report, ours)
    if "spool_site" in parts:
        spool.deployed(report, ours.target(), ours.counter, scale, peer_scale)
    wanted = {"requests", "artifacts", "memory"} & set(parts)
    if not wanted:
        return
    target, stock = ours.target(), targets.stock(client) if wanted - {"artifacts"} else None
    if "requests" in parts:
        rates.bench(client, report, target, stock)
    if "artifacts" in parts:
        artifacts.bench(report, ours, target)
    if "memory" in parts:
        done = [part for part in ("requests", "artifacts") if part in parts]
        memory.bench(report, target, stock, f"after the load of {' and '.join(done)}" if done else "as it is")


def main() -> int:
    """Entry point; 0 also where a goal is missed (a figure is not a test), 1 when something could not be measured."""
    described = "\n".join(f"  {name:10} {text}" for name, text in PARTS.items())
    parser = argparse.ArgumentParser(prog="script/bench", formatter_class=argparse.RawDescriptionHelpFormatter, epilog=f"parts:\n{described}")
    parser.description = "Measure a deployed site beside what it is compared with."
    parser.add_argument("parts", nargs="*", metavar="PART", help="what to measure; all of it by default")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--keep", action="store_true", help="leave the containers; the next run uses them again")
    parser.add_argument("--destroy", action="store_true", help="only remove the containers of an earlier run with --keep")
    parser.add_argument("--scale", type=float, default=1.0, help="spool: share of its 1000 runs (1.0)")
    parser.add_argument("--peer-scale", type=float, default=1.0, help="spool: share of these that mlflow-export-import gets (1.0)")
    options = parser.parse_args()
    unknown = [part for part in options.parts if part not in PARTS]
    if unknown:
        parser.error(f"'{unknown[0]}' is not a part. Accepted: {', '.join(PARTS)}.")
    report = Report()
    report.versions = {"ansible-core": importlib.metadata.version("ansible-core"), "controller Python": platform.python_version()}
    report.versions |= {"MLflow": newest_lock().stem.split("-")[1], "Mitogen": importlib.metadata.version("mitogen")}
    client = None
    parts = options.parts or [part for part in PARTS if not part.startswith("spool")]
    try:
        if "spool" in parts and not options.destroy:
            spool.stock(report, options.scale, options.peer_scale)
        if options.destroy or parts != ["spool"]:
            client = engine.connect()
            if not options.destroy:
                run(client, report, [part for part in parts if part != "spool"], options.scale, options.peer_scale)
    except (engine.TestbedError, docker.errors.DockerException, OSError) as error:
        print(f"script/bench: {error}", file=sys.stderr)
        return 1
    finally:
        if client and (options.destroy or not options.keep):
            machines.purge(client)
        if report.figures:
            say(f"figures are in {report.save()}")
    if report.figures:
        print(json.dumps(report.as_dict(), indent=1) if options.json else report.text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
