# SPDX-License-Identifier: GPL-3.0-or-later
"""Mistakes are refused in the preflight, with the variable, its value, what is accepted, what to do; nothing is changed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

CASES = yaml.safe_load((Path(__file__).parents[1] / "files" / "cases.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module", autouse=True)
def surroundings(host, s3):
    """A bucket with somebody's data, the store under a name that is not in its certificate, a web server that is no store."""
    s3("\ns3.create_bucket(Bucket='object-store-foreign')\ns3.put_object(Bucket='object-store-foreign', Key='thesis.pdf', Body=b'years of work')\nanswer(1)")
    host.check_output("grep -q store-by-another-name /etc/hosts || echo $(getent hosts labtrack-store | cut -d' ' -f1) store-by-another-name >> /etc/hosts")
    host.check_output("systemd-run --quiet --collect --unit lt-web python3 -m http.server --bind 127.0.0.1 8000")
    yield
    host.run("systemctl stop lt-web")
    s3("\ns3.delete_object(Bucket='object-store-foreign', Key='thesis.pdf'); s3.delete_bucket(Bucket='object-store-foreign'); answer(1)")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_mistake(case, refusals):
    message = refusals[0][case["name"]]
    for text in case["expected"]:
        assert text in message, message or "it was let through"
    for text in case.get("hidden", []):
        assert text not in refusals[1], "a secret is in the log"


def test_nothing_was_changed(refusals, s3):
    assert refusals[2] == 0
    assert s3("\nanswer([o['Key'] for o in s3.list_objects_v2(Bucket='object-store-foreign')['Contents']])") == ["thesis.pdf"]
