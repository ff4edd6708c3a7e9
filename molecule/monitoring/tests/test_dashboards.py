# SPDX-License-Identifier: GPL-3.0-or-later
"""Every query of every dashboard, asked of the running Prometheus: it has data, or a reason is written down here."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from stack import Stack, wait_until

DASHBOARDS = sorted((Path(__file__).resolve().parents[3] / "roles" / "monitoring" / "files" / "dashboards").glob("*.json"))
# what a healthy site of one machine without backups does not have: pattern of the query, why
EMPTY = {
    r"^ALERTS\{": "nothing fires on a healthy site",
    r"== 1$": "no unit has failed",
    r"labtrack_postgresql_(standby|slot)_": "there is no standby",
    r"archiver_last_success_timestamp_seconds > 0": "nothing is archived without the role backup",
    r"labtrack_job_last_success_timestamp_seconds\{job=~?\"backup_": "the role backup is not in this scenario",
    r"labtrack_backup_proof_": "the role backup is not in this scenario",
    r"node_pressure_": "a kernel may be built without pressure information",
    r"node_disk_": "a container may have no disk of its own",
}


def queries() -> list[tuple[str, str, str]]:
    """Dashboard, panel, query."""
    found = []
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            found += [(path.stem, panel["title"], target["expr"]) for target in panel["targets"]]
    return found


def test_the_dashboards_are_there():
    assert [path.stem for path in DASHBOARDS] == ["labtrack-backup", "labtrack-host", "labtrack-postgresql", "labtrack-site"]
    assert len(queries()) > 60


def test_panels_do_not_overlap():
    for path in DASHBOARDS:
        taken: set[tuple[int, int]] = set()
        for panel in json.loads(path.read_text(encoding="utf-8"))["panels"]:
            place = panel["gridPos"]
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
            assert not cells & taken and place["x"] + place["w"] <= 24, f"{path.stem}: {panel['title']}"
            taken |= cells


@pytest.fixture(scope="module")
def traffic(site):
    """Something to show: requests of each kind, and an experiment."""
    for _ in range(3):
        site.status("/api/2.0/mlflow/experiments/search?max_results=1", login=True)
        site.status("/", login=True)


def test_every_query_has_data(host, site, traffic):
    stack, missing = Stack(host), {}
    host.check_output("systemctl start labtrack-site_metrics.service labtrack-bucket_metrics.service")
    for board, title, query in queries():
        text = query.replace("$__rate_interval", "1m")
        reason = next((why for pattern, why in EMPTY.items() if re.search(pattern, query)), "")
        found = stack.query(text)  # also where it may be empty: an error of the query is an error
        if not found and not reason:
            missing[f"{board}: {title}"] = text
    for key, text in list(missing.items()):
        wait_until(lambda text=text: stack.query(text), 60, f"{key}: {text}")
