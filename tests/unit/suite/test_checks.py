# SPDX-License-Identifier: GPL-3.0-or-later
"""script/test: what a name stands for, what counts as passed, what an interrupt leaves behind."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest
from suite import __main__ as command_line
from suite import runner as runner_module
from suite.checks import Check, scenario_names
from suite.runner import Runner

PYTEST = Check("unit", [], counts="tests")


@pytest.mark.parametrize(
    ("output", "succeeded", "expected"),
    [
        ("...\n12 passed in 0.51s\n", True, (12, 0)),
        ("== 3 failed, 12 passed, 1 skipped in 1.20s ==\n", False, (12, 3)),
        ("=== 2 errors in 0.20s ===\n", False, (0, 2)),
        ("no tests ran in 0.00s\n", False, (0, 1)),
        ("12 passed in 0.51s\nlater something broke\n", False, (12, 1)),
        ("Traceback\n", False, (0, 1)),
    ],
)
def test_tests_of_pytest_are_counted(output: str, succeeded: bool, expected: tuple[int, int]) -> None:
    assert PYTEST.count(output, succeeded) == expected


def test_a_command_counts_once() -> None:
    assert Check("lint", []).count("12 passed in 1s", True) == (1, 0)
    assert Check("lint", []).count("12 passed in 1s", False) == (0, 1)


def test_a_scenario_counts_with_its_tests() -> None:
    scenario = Check("x", [], counts="both")
    assert scenario.count("== 3 passed in 1.00s ==\n", True) == (4, 0)
    assert scenario.count("== 1 failed, 3 passed in 1.00s ==\n", False) == (3, 1)
    assert scenario.count("fatal: [x]: FAILED!\n", False) == (0, 1)


def test_a_preparation_counts_where_it_fails() -> None:
    preparation = Check("x", [], is_preparation=True)
    assert preparation.count("", True) == (0, 0)
    assert preparation.count("", False) == (0, 1)


def test_names_choose_checks_and_scenarios() -> None:
    name = scenario_names()[0]
    local, scenarios = command_line.choose(["yamllint", name])
    assert [check.name for check in local] == ["yamllint"]
    assert [check.name for check in scenarios] == [name]


def test_fast_has_no_scenario_and_no_sanity() -> None:
    local, scenarios = command_line.choose(["fast"])
    assert not scenarios
    assert "sanity" not in [check.name for check in local]


def test_default_leaves_out_what_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_line, "slow_scenarios", lambda: [scenario_names()[0]])
    assert scenario_names()[0] not in [check.name for check in command_line.choose([])[1]]
    assert scenario_names()[0] in [check.name for check in command_line.choose(["all"])[1]]


def test_an_unknown_name_is_refused_with_the_accepted_ones() -> None:
    with pytest.raises(SystemExit, match=r"'nosuch' is neither a check nor a scenario. Accepted: fast, .*yamllint"):
        command_line.choose(["nosuch"])


@pytest.mark.parametrize("value", ["0", "two", "-1", ""])
def test_a_bad_number_of_jobs_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABTRACK_JOBS", value)
    with pytest.raises(SystemExit, match=f"LABTRACK_JOBS is '{value}'"):
        command_line.jobs()


@pytest.fixture
def quiet_runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    monkeypatch.setattr(runner_module, "LOGS", tmp_path)
    monkeypatch.setattr(runner_module, "ROOT", tmp_path)
    monkeypatch.setattr(runner_module, "GRACE_SECONDS", 2)
    return Runner(2)


def python(name: str, code: str, **more: list[str]) -> Check:
    return Check(name, [sys.executable, "-c", code], **more)


def test_a_failure_is_shown_with_the_end_of_its_log(quiet_runner: Runner, capsys: pytest.CaptureFixture[str]) -> None:
    assert not quiet_runner.run([python("good", "print('fine')"), python("bad", "raise SystemExit('the reason')")])
    output = capsys.readouterr().out
    assert "passed  good" in output
    assert "the reason" in output
    assert "fine" not in output
    assert command_line.summary(quiet_runner, 1) == 1
    assert capsys.readouterr().out.endswith("\n1 passed, 1 failed\n")


def test_nothing_run_is_no_success(quiet_runner: Runner) -> None:
    assert command_line.summary(quiet_runner, 0) == 1


def test_an_interrupt_ends_what_runs_and_undoes_it(quiet_runner: Runner, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    marker = tmp_path / "undone"
    stubborn = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    check = python("stubborn", stubborn, undo=[sys.executable, "-c", f"open({str(marker)!r}, 'w')"])

    log = tmp_path / "stubborn.log"

    def interrupt() -> None:
        while not (log.exists() and "up" in log.read_text(encoding="utf-8")):
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    # a shell that starts this in the background has it ignored
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    threading.Thread(target=interrupt).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        quiet_runner.run([check])
    assert time.monotonic() - started < 20
    assert marker.exists()
    assert not quiet_runner.results
