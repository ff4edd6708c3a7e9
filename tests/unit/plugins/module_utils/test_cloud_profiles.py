# SPDX-License-Identifier: GPL-3.0-or-later
"""Every profile says where its values come from, and has values that the roles can use."""

from __future__ import annotations

import dataclasses
import re

import pytest
from ansible_collections.labtrack.mlflow.plugins.module_utils._cloud_profiles import EVIDENCE, PROFILES, RETIRED, Profile, ProfileError, profile, value

FIELDS = {field.name: field for field in dataclasses.fields(Profile) if field.name not in ("title", "evidence")}


@pytest.mark.parametrize("name", PROFILES)
def test_each_value_has_a_source(name):
    found = PROFILES[name]
    differs = {field for field, definition in FIELDS.items() if getattr(found, field) != definition.default}
    assert differs == set(found.evidence), "the values that differ from the defaults are those with a source"
    assert set(found.evidence.values()) <= set(EVIDENCE)


@pytest.mark.parametrize("name", PROFILES)
def test_the_object_store_is_complete(name):
    found = PROFILES[name]
    assert bool(found.s3_endpoint) == found.object_store
    assert not found.s3_endpoint or re.fullmatch(r"https://[a-z0-9.-]+(:\d+)?", found.s3_endpoint)
    assert found.s3_addressing in ("path", "virtual", "auto")
    assert found.s3_bucket_scope in ("project", "account", "global")
    assert found.s3_checksums in ("", "when_required", "when_supported")
    assert found.ec2_credentials in ("yes", "own_login", "no", "unknown")


@pytest.mark.parametrize("name", PROFILES)
def test_every_value_can_be_looked_up_as_plain_data(name):
    for field in FIELDS:
        assert isinstance(value(name, field), (str, bool, int, list)), field
    assert set(value(name, "logins")) <= {"application_credential", "password"}
    assert value(name, "login_user") and value(name, "image") and value(name, "network") and value(name, "external_network")


EXPECTED = {
    "arbutus": {
        "external_network": "Public-Network",
        "network": "def-*-network",
        "logins": ["application_credential"],
        "s3_region": "RegionOne",
        "s3_addressing": "path",
        "ssh_from_anywhere": False,
        "config_drive": True,
    },
    "csc": {"region": "regionOne", "s3_endpoint": "https://a3s.fi", "s3_object_limit": 500000, "dns_servers": ["193.166.4.24", "193.166.4.25"]},
    "jetstream2": {"network": "auto_allocated_network", "s3_bucket_scope": "global", "dns_mode": "designate"},
    "chameleon": {"network": "sharednet1", "login_user": "cc", "volume_type": "ceph-ssd"},
    "nectar": {"floating_ip": False, "s3_bucket_scope": "account"},
    "generic": {"network": "*", "network_create": False, "object_store": False, "volume_type": "", "floating_ip": True},
}


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_knows_what_its_cloud_is_known_for(name):
    assert {field: value(name, field) for field in EXPECTED[name]} == EXPECTED[name]


def test_a_cloud_that_was_shut_down_is_no_profiles_own():
    assert not set(RETIRED) & {found.identity_host for found in PROFILES.values()}
    assert all("successor" in text for text in RETIRED.values())


def test_a_misspelt_profile_is_refused_with_the_names():
    with pytest.raises(ProfileError, match=r"site_cloud_profile is 'arbuts': no such profile. Accepted: arbutus, csc"):
        profile("arbuts")


def test_a_misspelt_value_is_refused_with_the_names():
    with pytest.raises(ProfileError, match=r"'netwrk' is no value of a profile. Accepted: identity_host, region"):
        value("generic", "netwrk")
