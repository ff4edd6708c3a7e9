# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that runs scheduled jobs and writes their metrics, as a process of its own."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[3] / "roles/host_base/files/labtrack_job.py"


@pytest.fixture
def job(tmp_path):
    """Runs a command as the job `nightly`."""

    def call(*command, name="nightly"):
        return subprocess.run(
            [sys.executable, PROGRAM, "--name", name, "--metrics-dir", tmp_path / "metrics", "--", *command], capture_output=True, text=True, check=False
        )

    return call


def values(tmp_path, name="nightly"):
    text = (tmp_path / "metrics" / f"labtrack_job_{name}.prom").read_text(encoding="utf-8")
    return {key: float(value) for key, value in re.findall(rf'^labtrack_job_(\w+)\{{job="{name}"\}} ([0-9.]+)$', text, re.M)}


def test_a_success_writes_all_four_metrics(job, tmp_path):
    before = time.time()
    done = job("sh", "-c", "echo out; echo err >&2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "out\n", "err\n")
    found = values(tmp_path)
    assert sorted(found) == ["duration_seconds", "last_run_success", "last_run_timestamp_seconds", "last_success_timestamp_seconds"]
    assert found["last_run_success"] == 1
    assert before - 0.01 <= found["last_success_timestamp_seconds"] == found["last_run_timestamp_seconds"] <= time.time()
    path = tmp_path / "metrics" / "labtrack_job_nightly.prom"
    assert path.stat().st_mode & 0o777 == 0o644
    assert [each.name for each in path.parent.iterdir()] == [path.name], "no temporary file is left"


def test_a_failure_keeps_the_time_of_the_last_success(job, tmp_path):
    job("true")
    success = values(tmp_path)["last_success_timestamp_seconds"]
    assert job("sh", "-c", "exit 7").returncode == 7
    found = values(tmp_path)
    assert found["last_run_success"] == 0
    assert found["last_success_timestamp_seconds"] == success < found["last_run_timestamp_seconds"]


def test_a_job_that_never_succeeded_says_zero(job, tmp_path):
    assert job("false").returncode == 1
    assert values(tmp_path)["last_success_timestamp_seconds"] == 0


@pytest.mark.parametrize(("command", "status"), [("/nowhere/program", 127), ("/etc/passwd", 126)])
def test_a_program_that_cannot_be_run_counts_as_failed(job, tmp_path, command, status):
    done = job(command)
    assert done.returncode == status
    assert f"'{command}' cannot be run" in done.stderr
    assert values(tmp_path)["last_run_success"] == 0


def test_arguments_after_the_dashes_are_the_commands_own(job):
    assert job("echo", "--name", "x", "--", "y").stdout == "--name x -- y\n"


def test_a_name_that_is_no_label_is_refused(job, tmp_path):
    done = job("true", name="Night ly")
    assert done.returncode == 2
    assert "--name is 'Night ly'" in done.stderr
    assert not (tmp_path / "metrics").exists()


def test_metrics_that_cannot_be_written_do_not_hide_the_status(job, tmp_path):
    (tmp_path / "metrics").write_text("a file", encoding="utf-8")
    done = job("sh", "-c", "exit 3")
    assert done.returncode == 3
    assert "cannot be written" in done.stderr


def test_a_stopped_job_counts_as_failed_and_its_command_is_stopped(tmp_path):
    ready = tmp_path / "ready"
    command = [sys.executable, PROGRAM, "--name", "nightly", "--metrics-dir", tmp_path / "metrics", "--", "sh", "-c", f"touch {ready}; exec sleep 60"]
    process = subprocess.Popen(command)
    deadline = time.monotonic() + 20
    while not ready.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 128 + signal.SIGTERM
    assert values(tmp_path)["last_run_success"] == 0
