# SPDX-License-Identifier: GPL-3.0-or-later
"""Two sites behind a load balancer, which is the test: it may say for whom it asks."""

from __future__ import annotations

import ssl
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "reverse_proxy" / "tests"))
from https_client import Client

INSIDE, OUTSIDE = {"X_Forwarded_For": "192.0.2.7"}, {"X_Forwarded_For": "198.51.100.7"}


@pytest.fixture(scope="module")
def sites(host):
    context = ssl.create_default_context(cadata=host.file("/etc/labtrack/tls/ca.pem").content_string)
    address = host.ansible.get_variables()["testbed_address"]
    return {name: Client(address, f"{name}.labtrack.test", context, 8443, 8080) for name in ("one", "two")}


@pytest.fixture
def inside():
    return INSIDE


@pytest.fixture
def outside():
    return OUTSIDE
