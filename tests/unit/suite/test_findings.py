# SPDX-License-Identifier: GPL-3.0-or-later
"""What script/test prints of a failed check."""

from __future__ import annotations

from suite.findings import END_LINES, MOST_LINES, findings

DESTROY = ["TASK [Remove the machines] ****", *[f"removed {number}" for number in range(200)]]


def test_a_failed_test_is_named_though_the_machines_were_removed_after_it() -> None:
    pytest_lines = [
        "    def test_x(host):",
        "E   AssertionError: 503",
        "FAILED molecule/site/tests/test_a.py::test_x - AssertionError: 503",
        "=== 1 failed, 69 passed in 3.10s ===",
    ]
    printed = findings("\n".join([*pytest_lines, *DESTROY]))
    assert printed[:3] == pytest_lines[1:]
    assert printed[-1] == "removed 199"


def test_a_failed_task_comes_with_its_name_and_result() -> None:
    lines = [
        "TASK [postgresql : install | Install the packages] *****",
        "fatal: [mlflow]: FAILED! =>",
        "    msg: No package",
        "PLAY RECAP ****",
        "mlflow : ok=1",
    ]
    assert findings("\n".join([*lines, *DESTROY]))[:3] == ["TASK [postgresql : install | Install the packages]", *lines[1:3]]


def test_much_is_cut_at_its_beginning() -> None:
    printed = findings("\n".join(f"E   line {number}" for number in range(1000)))
    assert len(printed) == MOST_LINES + 1 + END_LINES
    assert printed[MOST_LINES - 1] == "E   line 999"
