# SPDX-License-Identifier: GPL-3.0-or-later
"""The client of the tests; it runs outside the machine, on the other side of the container's network."""

from __future__ import annotations

import ssl
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from https_client import Client


@pytest.fixture(scope="module")
def address(host):
    return host.ansible.get_variables()["testbed_address"]


@pytest.fixture(scope="module")
def context(host):
    return ssl.create_default_context(cadata=host.file("/etc/labtrack/tls/ca.pem").content_string)


@pytest.fixture(scope="module")
def own_address(host, address):
    """The tests' address as the machine sees it."""
    return host.check_output("ip -4 route get %s", address.rsplit(".", 1)[0] + ".1").split()[0]


@pytest.fixture(scope="module")
def client(host, address, context, own_address):
    """A client that no ban meets; the tests of bans take this back."""
    host.check_output("fail2ban-client restart --unban labtrack-login")
    host.check_output("fail2ban-client set labtrack-login addignoreip %s", own_address)
    return Client(address, "mlflow.labtrack.test", context)
