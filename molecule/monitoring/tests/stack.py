# SPDX-License-Identifier: GPL-3.0-or-later
"""Prometheus and Alertmanager on the machine, asked as a program there would."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

PROMETHEUS = "http://127.0.0.1:9090/labtrack/prometheus"
ALERTMANAGER = "http://127.0.0.1:9093/labtrack/alertmanager"


def wait_until(condition: Callable[[], Any], seconds: float = 90, what: str = "") -> Any:
    """The first true answer.

    Raises:
        AssertionError: there was none in time; with the last answer.
    """
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"{what or condition} was not so within {seconds} s: {answer}"
        time.sleep(1)
    return answer


class Stack:
    """Questions to both."""

    def __init__(self, host: Any) -> None:
        self.host = host

    def get(self, url: str) -> Any:
        """JSON of an answer."""
        return json.loads(self.host.check_output(f"/opt/labtrack/mlflow/main/current/bin/python -c {shlex.quote(FETCH)} {shlex.quote(url)}"))

    def query(self, text: str) -> list[dict[str, Any]]:
        """The samples of an instant vector: labels under `metric`, the number under `value`."""
        answer = self.get(f"{PROMETHEUS}/api/v1/query?query={quote(text)}")
        return [{"metric": entry["metric"], "value": float(entry["value"][1])} for entry in answer["data"]["result"]]

    def value(self, text: str) -> float | None:
        """The number of the first sample, None where there is none."""
        found = self.query(text)
        return found[0]["value"] if found else None

    def told(self) -> set[str]:
        """Names of the alerts that Alertmanager holds as active."""
        return {alert["labels"]["alertname"] for alert in self.get(f"{ALERTMANAGER}/api/v2/alerts?active=true&inhibited=true&silenced=true")}


FETCH = "import sys, urllib.request; print(urllib.request.build_opener(urllib.request.ProxyHandler({})).open(sys.argv[1], timeout=20).read().decode())"
