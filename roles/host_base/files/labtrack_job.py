# Kept by labtrack.mlflow.host_base.
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a scheduled job, and write for the monitoring when it ran, how long, and when it last succeeded.

usage: labtrack-job --name NAME --metrics-dir DIR -- COMMAND [ARGUMENT…]

The exit status is that of COMMAND: 128 + N when signal N ended it, 127 when there is no such program, 126 when it cannot be run. The metrics,
in DIR/labtrack_job_NAME.prom for node exporter's textfile collector, all with the label job="NAME":
labtrack_job_last_success_timestamp_seconds (end of the last run that succeeded, 0: none has), labtrack_job_last_run_timestamp_seconds (end of the
last run), labtrack_job_last_run_success (1 or 0), labtrack_job_duration_seconds (of the last run).
SIGTERM, SIGINT and SIGHUP are passed on to COMMAND, so that a job that is stopped counts as failed.
"""

from __future__ import annotations

import argparse
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from labtrack_files import write

NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
HELP = {
    "last_success_timestamp_seconds": "End of the last run that succeeded, 0 when none has.",
    "last_run_timestamp_seconds": "End of the last run.",
    "last_run_success": "Whether the last run succeeded.",
    "duration_seconds": "How long the last run took.",
}
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def last_success(path: Path) -> float:
    """When the job last succeeded, as an earlier run wrote it; 0 when it never did, or nothing readable is left."""
    try:
        found = re.search(r"^labtrack_job_last_success_timestamp_seconds\{[^}]*\} ([0-9.]+)$", path.read_text(encoding="utf-8"), re.M)
        return float(found[1]) if found else 0.0
    except (OSError, ValueError):
        return 0.0


def metrics(name: str, values: dict[str, float]) -> str:
    """The text of the file, in Prometheus' exposition format."""
    lines = []
    for key, value in values.items():
        lines += [f"# HELP labtrack_job_{key} {HELP[key]}", f"# TYPE labtrack_job_{key} gauge", f'labtrack_job_{key}{{job="{name}"}} {value:.3f}']
    return "\n".join(lines) + "\n"


def run(command: list[str]) -> int:
    """Run the command to its end; its exit status as a shell gives it."""
    early: list[int] = []
    for number in PASSED_ON:
        signal.signal(number, lambda received, _frame: early.append(received))
    try:
        child = subprocess.Popen(command)
    except OSError as error:
        print(f"labtrack-job: '{command[0]}' cannot be run: {error.strerror}", file=sys.stderr)
        return 127 if isinstance(error, FileNotFoundError) else 126
    for number in PASSED_ON:
        signal.signal(number, lambda received, _frame: child.send_signal(received))
    for number in early:
        child.send_signal(number)
    status = child.wait()
    return 128 - status if status < 0 else status


def main(arguments: list[str]) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="labtrack-job", description="Run a scheduled job and write metrics of it.")
    parser.add_argument("--name", required=True, help="lower-case letters, digits and underscores")
    parser.add_argument("--metrics-dir", required=True, type=Path, help="directory of node exporter's textfile collector")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="-- COMMAND [ARGUMENT…]")
    options = parser.parse_args(arguments)
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not NAME.fullmatch(options.name):
        parser.error(f"--name is '{options.name}'. Accepted: lower-case letters, digits and underscores, a letter first, at most 41.")
    if not command:
        parser.error("no COMMAND. Give it after --.")
    path = options.metrics_dir / f"labtrack_job_{options.name}.prom"
    began = time.monotonic()
    status = run(command)
    now = time.time()
    values = {
        "last_success_timestamp_seconds": now if status == 0 else last_success(path),
        "last_run_timestamp_seconds": now,
        "last_run_success": float(status == 0),
        "duration_seconds": time.monotonic() - began,
    }
    try:
        write(path, metrics(options.name, values))
    except OSError as error:
        # the job has done its work: its status counts, and the monitoring sees that its metrics are old
        print(f"labtrack-job: {path} cannot be written: {error.strerror}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
