# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of bad quotas."""

from __future__ import annotations

import pytest
from ansible_collections.labtrack.mlflow.plugins.filter.usage_quota_problems import FilterModule
from ansible_collections.labtrack.mlflow.plugins.module_utils._usage_quotas import problems

GOOD = [
    {"each": "user", "bytes_gb": 100, "runs": 10000},
    {"user": "ann", "bytes_gb": 0.5},
    {"user": "bob", "runs": "20"},
    {"experiment": "each", "traces": 0},
    {"each": "experiment", "metric_points": 50_000_000},
    {"workspace": "default", "objects": 1},
    {"user": "eve", "experiment": None, "model_versions": 3},
]


def test_good_ones():
    assert problems(GOOD) == [] and problems([]) == []
    assert FilterModule().filters()["usage_quota_problems"](GOOD) == []


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("ann", "'ann' is no dictionary"),
        ({"runs": 5}, "'an entry' names 0 of each, user, experiment, workspace"),
        ({"user": "ann", "experiment": "lab", "runs": 5}, "'user: ann, experiment: lab' names 2 of"),
        ({"user": "", "runs": 5}, "names 0 of"),
        ({"each": "group", "runs": 5}, "'each: group' is none of user, experiment, workspace"),
        ({"user": "ann"}, "'user: ann' has no limit"),
        ({"user": "ann", "gb": 5}, "'user: ann' has gb, which is no limit (bytes_gb, objects"),
        ({"user": "ann", "runs": -1}, "'user: ann' has runs '-1', which is no number"),
        ({"user": "ann", "runs": "many"}, "has runs 'many'"),
        ({"user": "ann", "runs": True}, "has runs 'True'"),
        ({"user": "ann", "bytes_gb": float("nan")}, "has bytes_gb 'nan'"),
        ({"user": "ann", "traces": 5}, "limits traces, with which MLflow notes no user"),
        ({"each": "user", "traces": 5}, "limits traces, with which MLflow notes no user"),
    ],
)
def test_bad_ones(entry, said):
    assert any(said in problem for problem in problems([entry])), problems([entry])


def test_twice_and_no_list():
    assert problems([{"user": "ann", "runs": 1}, {"user": "ann", "params": 1}]) == ["'user: ann' is there twice"]
    assert problems({"user": "ann"}) == ["'{'user': 'ann'}' is no list"]
