# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the monitoring share: the site from outside, a plain user, and the monitoring on the machine."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "script"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from stack import Stack
from testbed.site import Site

PLAIN = ("student", "a-plain-password-1")


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The deployed site, as its administrator reaches it."""
    return Site.of_scenario(tmp_path_factory.mktemp("ca") / "ca.pem")


@pytest.fixture(scope="session")
def plain(site: Site) -> Site:
    """The same for somebody without rights; made anew where an earlier run has left it."""
    body = json.dumps({"username": PLAIN[0], "password": PLAIN[1]})
    site.curl("/api/2.0/mlflow/users/create", "-X", "POST", "-H", "Content-Type: application/json", "-d", body, login=True)
    return dataclasses.replace(site, user=PLAIN[0], password=PLAIN[1])


@pytest.fixture
def stack(host) -> Stack:
    """Prometheus and Alertmanager of the machine."""
    return Stack(host)
