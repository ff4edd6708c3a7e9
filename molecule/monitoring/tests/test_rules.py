# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's promtool judges the rules as they are on the machine; each alert fires when its cause is there, and no longer than that."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from rule_cases import CASES, promtool_files

RULES = Path(__file__).resolve().parents[3] / "roles" / "monitoring" / "files" / "rules"
INSTALLED = ["/etc/labtrack/monitoring/rules/labtrack.yml", "/etc/labtrack/monitoring/rules/limits.yml"]


def alerts() -> list[dict]:
    """Every alert of the role."""
    groups = [group for path in sorted(RULES.glob("*.yml")) for group in yaml.safe_load(path.read_text(encoding="utf-8"))]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def test_every_alert_has_a_case():
    assert {alert["alert"] for alert in alerts()} == set(CASES)


def test_every_alert_says_what_to_do():
    for alert in alerts():
        assert alert["labels"]["severity"] in ("warning", "critical"), alert["alert"]
        assert set(alert["annotations"]) == {"summary", "description", "action"}, alert["alert"]


def test_promtool_accepts_the_rules(host):
    output = host.check_output(f"promtool check rules {' '.join(INSTALLED)}")
    found = sum(int(number) for number in re.findall(r"(\d+) rules found", output))
    assert found > len(alerts()), output


@pytest.mark.parametrize("content", promtool_files(INSTALLED), ids=["seconds", "days"])
def test_each_alert_fires_and_resolves(host, content):
    host.check_output("printf %%s %s > /tmp/rules_test.yml", json.dumps(content))
    done = host.run("promtool test rules /tmp/rules_test.yml")
    assert done.rc == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout + done.stderr
