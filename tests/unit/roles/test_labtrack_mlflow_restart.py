# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that restarts MLflow without a pause, with a systemctl that only remembers."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[3] / "roles" / "tracking_server" / "files" / "labtrack_mlflow_restart.py"


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """The module; `program.calls` is what it did."""
    spec = importlib.util.spec_from_file_location("labtrack_mlflow_restart", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.calls, module.broken, module.active, module.pids = [], set(), True, {"x": [7, 7, 0]}
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 2048000 kB\nMemAvailable: 1024000 kB\n", encoding="ascii")

    def systemctl(*arguments: str) -> None:
        module.calls.append(" ".join(arguments))
        if module.calls[-1] in module.broken:
            raise subprocess.CalledProcessError(1, ["systemctl", *arguments])

    monkeypatch.setattr(module, "MEMINFO", meminfo)
    monkeypatch.setattr(module, "systemctl", systemctl)
    monkeypatch.setattr(module, "is_active", lambda _unit: module.active)
    monkeypatch.setattr(module, "main_pid", lambda unit: module.pids[unit].pop(0) if len(module.pids[unit]) > 1 else module.pids[unit][0])
    monkeypatch.setattr(module.os, "kill", lambda pid, number: module.calls.append(f"kill {pid} {number.name}"))
    monkeypatch.setattr(module.time, "sleep", lambda _seconds: None)
    return module


def test_the_second_one_serves_before_the_first_one_ends(program):
    assert "without a pause" in program.restart("x", 10, 450)
    wanted = ["stop x-standby.service", "start x-standby.service", "kill 7 SIGTERM", "start x.service", "stop --no-block x-standby.service"]
    assert program.calls == wanted


def test_one_that_does_not_start_leaves_the_first_one_alone(program):
    program.broken = {"start x-standby.service"}
    with pytest.raises(subprocess.CalledProcessError):
        program.restart("x", 10, 450)
    assert program.calls[-1] == "start x-standby.service"


def test_the_second_one_stays_when_the_first_one_does_not_come_back(program):
    program.broken = {"start x.service"}
    with pytest.raises(subprocess.CalledProcessError):
        program.restart("x", 10, 450)
    assert not [call for call in program.calls[1:] if "stop" in call]


def test_what_does_not_end_in_time_is_ended(program):
    program.pids = {"x": [7]}
    program.restart("x", 0, 450)
    assert "restart x.service" in program.calls


def test_without_memory_requests_wait(program):
    assert "waited" in program.restart("x", 10, 1001)
    assert program.calls == ["stop x-standby.service", "restart x.service"]


def test_one_that_does_not_run_is_started(program):
    program.active = False
    assert "was started" in program.restart("x", 10, 450)
    assert program.calls == ["restart x.service"]
