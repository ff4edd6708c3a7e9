# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests with many points are answered and kept as MLflow itself would, in less time."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

PROGRAMS = "/opt/labtrack/mlflow/main/current"


@pytest.fixture(scope="module")
def found(host) -> dict:
    """What a program of this directory says, as the service's user."""
    text = base64.b64encode(Path(__file__).with_name("batch_program.py").read_bytes()).decode()
    host.check_output(f"echo {text} | base64 -d > /tmp/batch_program.py")
    settings = f"HOME=/tmp PYTHONPATH={PROGRAMS}/server MLFLOW_DISABLE_TELEMETRY=true"
    command = f"{settings} runuser -u mlflow -- {PROGRAMS}/bin/python /tmp/batch_program.py /etc/labtrack/mlflow/main/database_uri"
    return json.loads(host.check_output(command).splitlines()[-1])


def test_answers_and_tables_are_those_of_mlflow_itself(found):
    assert found["differences"] == {}
    assert found["tables"] == dict.fromkeys(("metrics", "latest_metrics", "params", "tags"), True)
    assert found["points"] > 1000
    assert set(found["statuses"].values()) == {200, 400, 404, 500}


def test_many_requests_for_one_run_do_not_lock_each_other_out(found):
    assert found["crowd"] == [[200], 8000, True]


def test_a_thousand_points_take_less_than_half_the_time(found):
    own, ours = found["seconds"]
    assert ours < own / 2
