# SPDX-License-Identifier: GPL-3.0-or-later
"""What script/bench computes without a container."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from bench_suite import cpu
from bench_suite.figures import Figure, Report, middle


@pytest.mark.parametrize(
    ("value", "goal", "at_most", "verdict"),
    [(1.5, 1.5, False, "reached"), (1.49, 1.5, False, "MISSED"), (12, 12, True, "reached"), (12.1, 12, True, "MISSED"), (3, None, False, "")],
)
def test_verdict(value, goal, at_most, verdict):
    assert Figure("x", value, "s", "what", goal, at_most).verdict == verdict


def test_middle_is_robust():
    assert middle([1.0, 100.0, 2.0]) == {"median": 2.0, "min": 1.0, "max": 100.0}


def test_report_holds_verdicts_and_tables():
    report = Report()
    report.add(Figure("noop plain", 13.0, "CPU s", "no-op", 12, at_most=True))
    report.tables["tasks"] = [{"wall": 0.5, "name": "install | Do"}]
    assert report.as_dict()["figures"][0]["verdict"] == "MISSED"
    assert "install | Do" in report.text()
    assert "<= 12" in report.text()


@pytest.mark.parametrize(("name", "text", "seconds"), [("cpuacct.usage", "2500000000\n", 2.5), ("cpu.stat", "usage_usec 2500000\nuser_usec 1\n", 2.5)])
def test_both_kinds_of_control_groups(tmp_path: Path, name, text, seconds):
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert cpu.read(tmp_path / name) == seconds


def test_measure_counts_children(tmp_path: Path):
    counter = tmp_path / "cpuacct.usage"
    counter.write_text("0", encoding="utf-8")
    command = ["sh", "-c", f"{sys.executable} -c 'sum(range(3000000))'; echo said"]
    used = cpu.measure(command, {"PATH": "/usr/bin:/bin"}, tmp_path, [counter], tmp_path / "log")
    assert used.code == 0
    assert used.output == "said\n"
    assert used.controller > 0.02
