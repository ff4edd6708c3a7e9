# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a rollout: outcomes, first causes, and a page that shows what a message contains instead of obeying it."""

from __future__ import annotations

import json

from ansible_collections.labtrack.mlflow.plugins.module_utils import _rollout_report as rollout


def host(name: str, *steps: tuple[str, float, bool]) -> rollout.Host:
    found = rollout.Host(name)
    for step in steps:
        found.add(*step)
    return found


def test_steps_add_up():
    row = host("a", ("host_base", 1.5, True), ("host_base", 0.25, False), ("postgresql", 2, False)).as_dict()
    assert row["steps"] == {"host_base": {"seconds": 1.75, "changes": 1}, "postgresql": {"seconds": 2.0, "changes": 0}}
    assert (row["seconds"], row["outcome"], row["failure"]) == (3.75, "done", None)


def test_outcomes():
    unchanged, failed, stopped = host("b", ("x", 1, False)), host("c", ("x", 1, True)), host("d", ("x", 1, False))
    failed.fail("failed", "Ask the cloud", "no quota")
    failed.fail("unreachable", "later", "follows from it")
    stopped.finished = False
    data = rollout.report("site.yml", "2026-01-02 03:04 UTC", 61.26, [stopped, failed, unchanged])
    assert [row["host"] for row in data["hosts"]] == ["b", "c", "d"]
    assert data["counts"] == {"done": 0, "unchanged": 1, "failed": 1, "unreachable": 0, "stopped": 1}
    assert data["hosts"][1]["failure"] == {"kind": "failed", "task": "Ask the cloud", "message": "no quota"}
    assert data["seconds"] == 61.3
    json.dumps(data)


def test_page_escapes_what_it_shows():
    bad = host("<b>", ("x", 1, True))
    bad.facts = {"site": "<script>alert(1)</script>", "url": "https://a.test", "versions": "Debian 13"}
    bad.fail("failed", "Task & more", "</pre><script>")
    text = rollout.page(rollout.report("site.yml", "now", 1, [bad]))
    assert "<script>" not in text and "&lt;script&gt;" in text and "Task &amp; more" in text and "1 failed" in text


def test_old_reports_go_and_nobody_else_may_read(tmp_path):
    folder = tmp_path / "reports"
    for number in range(rollout.KEPT + 3):
        paths = rollout.write(folder, f"2026010{number:03}", {".json": "{}", ".html": "x"})
    assert len(list(folder.iterdir())) == 2 * rollout.KEPT
    assert not (folder / "2026010000.json").exists() and paths[1].name == f"2026010{rollout.KEPT + 2:03}.html"
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600} and folder.stat().st_mode & 0o777 == 0o700
