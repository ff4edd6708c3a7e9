# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks as people write them."""

from __future__ import annotations

import pytest
from ansible_collections.labtrack.mlflow.plugins.module_utils import _cidr


@pytest.mark.parametrize("network", ["0.0.0.0/0", "192.0.2.0/24", "192.0.2.7", "::/0", "2001:db8::/32", "10.0.0.0/255.0.0.0"])
def test_good_networks_have_no_problem(network):
    assert _cidr.problem(network) == ""


@pytest.mark.parametrize(
    ("network", "words"),
    [
        ("10.0.0.300/24", "'10.0.0.300/24' is not a network"),
        ("campus", "'campus' is not a network"),
        ("", "'' is not a network"),
        ("192.0.2.1/24", "did you mean '192.0.2.0/24'?"),
        ("2001:db8::1/32", "did you mean '2001:db8::/32'?"),
        (10, "'10' is not text"),
    ],
)
def test_bad_networks_are_explained(network, words):
    assert words in _cidr.problem(network)


def test_each_bad_entry_is_named():
    assert _cidr.problems(["::/0", "x", "y/8"]) == ["'x' is not a network", "'y/8' is not a network"]


@pytest.mark.parametrize("address", ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1%eth0"])
def test_an_address_is_found(address):
    assert _cidr.contains(["192.0.2.0/24", "2001:db8::/32"], address)


@pytest.mark.parametrize("address", ["192.0.3.7", "2001:db9::1"])
def test_another_address_is_not_found(address):
    assert not _cidr.contains(["192.0.2.0/24", "2001:db8::/32"], address)
