# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the server lets a request put things, whatever way the place is written."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[3] / "roles" / "tracking_server" / "files" / "server" / "locations.py"
spec = importlib.util.spec_from_file_location("labtrack_locations", SOURCE)
locations = importlib.util.module_from_spec(spec)
spec.loader.exec_module(locations)
ROOT = "s3://bucket/shared"


@pytest.mark.parametrize("uri", [ROOT, f"{ROOT}/", f"{ROOT}/a", f"{ROOT}/a/b.c"])
def test_what_lies_below(uri):
    assert locations.is_below(uri, [ROOT])
    assert locations.is_below(uri, ["s3://other", f"{ROOT}/"])


@pytest.mark.parametrize(
    "uri",
    [
        "s3://bucket",
        "s3://bucket/shared-not",
        "s3://bucket/shared/../other",
        "s3://bucket/shared/%2e%2e/other",
        "s3://bucket/shared/%252e%252e/other",
        "s3://bucket/shared/..%2fother",
        "s3://bucket/shared/..%5cother",
        "s3://bucket/shared\\..\\other",
        "s3://bucket/shared//a",
        "s3://bucket/shared/./a",
        "s3://bucket/shared/a?x=../../y",
        "s3://bucket/shared/a#/../../y",
        "S3://bucket/shared/a",
        "file:///etc",
        "/etc",
        "",
    ],
)
def test_what_does_not(uri):
    assert not locations.is_below(uri, [ROOT])
    assert not locations.is_below(uri, [])
    assert not locations.is_below(uri, [""])


def test_tags_that_the_server_follows_are_dropped():
    tags = {"mlflow.artifactLocation": "s3://x", "mlflow.trace.spansLocation": "ARCHIVE_REPO", "mine": "1"}
    assert locations.without(tags) == {"mine": "1"}
    assert locations.without({"mlflow.trace.spansLocation": "TRACKING_STORE"}) == {"mlflow.trace.spansLocation": "TRACKING_STORE"}
    assert locations.without(None) == {}


def test_a_guard_sees_arguments_by_name_and_may_change_them():
    class Store:
        def make(self, name, place=None):
            return name, place

    def guard(_store, arguments):
        arguments["place"] = "elsewhere" if arguments.get("place") else None

    locations.around(Store, "make", guard)
    assert Store().make("a", "b") == Store().make("a", place="b") == ("a", "elsewhere")
    assert Store().make(name="a") == ("a", None)
