# Kept by labtrack.mlflow.monitoring.
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the status page, or say whether Prometheus reaches everything.

usage: status.py CONFIG                    write index.html and status.json
       status.py CONFIG --check SECONDS    wait until Prometheus reaches all its targets; say which it does not, with status 1

CONFIG is JSON: site, url, prometheus (its address), metrics_dir, status_dir, jobs (hours: longest age by job, default, expected: names).
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import facts
import site_status
import textfile

REFRESH_SECONDS = 60


def write(config: dict[str, Any]) -> None:
    """Both files."""
    data = facts.collect(config)
    folder = Path(config["status_dir"])
    textfile.write(folder / "status.json", json.dumps(data, indent=1) + "\n")
    textfile.write(folder / "index.html", site_status.page([data], time.time(), REFRESH_SECONDS))


def unreached(prometheus: facts.Prometheus) -> list[str]:
    """What Prometheus does not reach, with its own message; it itself, when it does not answer."""
    try:
        targets = prometheus.get("targets", state="active")["activeTargets"]
    except (OSError, ValueError, KeyError) as error:
        return [f"Prometheus does not answer: {error}"]
    silent = [target for target in targets if target["health"] != "up"]
    return [f"{target['labels']['job']}: {target['lastError'] or 'not asked yet'}" for target in silent] or ([] if targets else ["no targets"])


def check(config: dict[str, Any], seconds: float) -> int:
    """Wait; the exit status."""
    prometheus, deadline = facts.Prometheus(config["prometheus"]), time.monotonic() + seconds
    while (missing := unreached(prometheus)) and time.monotonic() < deadline:
        time.sleep(0.5)
    for text in missing:
        print(text, file=sys.stderr)
    return 1 if missing else 0


def main(arguments: list[str]) -> int:
    """Entry point."""
    config = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    if arguments[1:2] == ["--check"]:
        return check(config, float(arguments[2]))
    write(config)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
