# SPDX-License-Identifier: GPL-3.0-or-later
"""The machines of one site among those of several."""

from __future__ import annotations

import pytest
from ansible.template import Templar
from ansible_collections.labtrack.mlflow.plugins.lookup.site_hosts import LookupModule

HOSTS = {"a1": {"site_name": "a"}, "a2": {"site_name": "a"}, "b1": {"site_name": "b"}, "old": {}, "lab": {"site_name": "lab"}}
GROUPS = {"tracking_servers": ["a1", "b1", "old"], "database_servers": ["a2", "b1", "lab"]}


@pytest.mark.parametrize(
    ("asks", "groups", "found"),
    [
        ("a1", ["tracking_servers"], ["a1"]),
        ("a1", ["database_servers"], ["a2"]),
        ("a1", ["tracking_servers", "database_servers"], ["a1", "a2"]),
        ("b1", ["tracking_servers", "database_servers"], ["b1"]),
        ("b1", ["object_store_servers"], []),
        # who names no site is of the site 'lab', as in the roles' defaults
        ("old", ["tracking_servers", "database_servers"], ["old", "lab"]),
    ],
)
def test_hosts_of_the_same_site(asks, groups, found):
    variables = {"inventory_hostname": asks, "groups": GROUPS, "hostvars": HOSTS}
    assert LookupModule(templar=Templar(variables=variables)).run(groups, variables) == found


def test_one_host_alone_asks_nobody():
    variables = {"inventory_hostname": "a1", "groups": {"tracking_servers": ["a1"]}, "hostvars": {}}
    assert LookupModule(templar=Templar(variables=variables)).run(["tracking_servers"], variables) == ["a1"]
