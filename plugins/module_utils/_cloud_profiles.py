# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between research clouds, as data: one entry a cloud. A site names its cloud and sets only what differs from the entry.

Where a value comes from stands beside it:

    doc       the cloud's own documentation
    survey    a comparison of clouds; the value has no source of its own there
    one       one note of somebody else says so: check it
    assumed   not verified
"""

from __future__ import annotations

import dataclasses
import typing as t

EVIDENCE = ("doc", "survey", "one", "assumed")


@dataclasses.dataclass(frozen=True)
class Profile:
    """A cloud. The defaults are those of a cloud of which nothing is known."""

    title: str
    evidence: dict[str, str]  # where each value that is not the default comes from
    # the login
    identity_host: str = ""  # host of Keystone; empty: any
    region: str = ""
    logins: tuple[str, ...] = ("application_credential", "password")  # what works unattended
    # the network
    network: str = "*"  # name or pattern of a network that is there and that exactly one network of the project has
    network_create: bool = False  # whether the role makes a network with subnet and router
    external_network: str = "*"  # of the floating IP and of the role's router
    floating_ip: bool = True
    dns_servers: tuple[str, ...] = ()  # of the role's subnet; empty: the cloud's
    ssh_from_anywhere: bool = True  # whether the cloud's rules allow port 22 for everybody
    # the server
    availability_zone: str = ""  # empty: the cloud chooses
    image: str = "debian-13*"  # the newest one of that pattern; letters in any case
    login_user: str = "debian"
    config_drive: bool = True  # needs no metadata service
    volume_type: str = ""  # empty: the cloud's default
    dns_mode: str = "manual"  # designate: the cloud has DNS by API
    # the object store
    object_store: bool = False
    s3_endpoint: str = ""
    s3_region: str = "us-east-1"
    s3_addressing: str = "path"
    s3_bucket_scope: str = "project"  # where a bucket's name must be unique: project, account, global
    s3_checksums: str = ""  # when_required, when_supported; empty: found out by labtrack.mlflow.s3_doctor
    s3_object_limit: int = 0  # objects in a bucket; 0: none is known
    ec2_credentials: str = "unknown"  # yes; own_login: by password or single sign-on, not with an application credential; no; unknown


def sources(**names: str) -> dict[str, str]:
    """Where each value comes from, by its name."""
    return {name: source for source, text in names.items() for name in text.split()}


FEDERATED = ("application_credential",)
PROFILES: dict[str, Profile] = {
    "arbutus": Profile(
        title="Arbutus of the Digital Research Alliance of Canada, the cloud of 2026",
        evidence=sources(
            doc="identity_host region logins ssh_from_anywhere object_store s3_endpoint s3_region ec2_credentials",
            survey="network",
            one="external_network volume_type",
        ),
        identity_host="identity.arbutus.alliancecan.ca",
        region="RegionOne",
        logins=FEDERATED,
        network="def-*-network",
        external_network="Public-Network",
        ssh_from_anywhere=False,
        volume_type="rbd1",
        object_store=True,
        s3_endpoint="https://object-arbutus.alliancecan.ca",
        s3_region="RegionOne",
        ec2_credentials="own_login",
    ),
    "csc": Profile(
        title="cPouta and Allas of CSC, Finland",
        evidence=sources(
            survey="identity_host region external_network dns_servers availability_zone volume_type object_store s3_endpoint "
            "s3_bucket_scope s3_object_limit ec2_credentials",
            assumed="s3_region",
        ),
        identity_host="pouta.csc.fi",
        region="regionOne",
        external_network="public",
        dns_servers=("193.166.4.24", "193.166.4.25"),
        availability_zone="nova",
        volume_type="standard",  # the other one, capacity, is not for databases
        object_store=True,
        s3_endpoint="https://a3s.fi",
        s3_region="regionOne",
        s3_bucket_scope="global",
        s3_object_limit=500_000,
        ec2_credentials="own_login",
    ),
    "jetstream2": Profile(
        title="Jetstream2, Indiana University",
        evidence=sources(
            survey="identity_host region logins network external_network availability_zone dns_mode object_store s3_endpoint "
            "s3_region s3_bucket_scope ec2_credentials"
        ),
        identity_host="js2.jetstream-cloud.org",
        region="RegionOne",
        logins=FEDERATED,
        network="auto_allocated_network",
        external_network="public",
        availability_zone="nova",
        dns_mode="designate",
        object_store=True,
        s3_endpoint="https://js2.jetstream-cloud.org:8001",
        s3_region="RegionOne",
        s3_bucket_scope="global",
        ec2_credentials="own_login",
    ),
    "chameleon": Profile(
        title="Chameleon, KVM@TACC with the object store of CHI@TACC",
        evidence=sources(assumed="region", survey="logins network external_network availability_zone login_user volume_type object_store s3_endpoint"),
        region="KVM@TACC",
        logins=FEDERATED,
        network="sharednet1",
        external_network="public",
        availability_zone="nova",
        login_user="cc",
        volume_type="ceph-ssd",
        object_store=True,
        s3_endpoint="https://chi.tacc.chameleoncloud.org:7480",
    ),
    "nectar": Profile(
        title="Nectar Research Cloud, Australia",
        evidence=sources(survey="identity_host dns_mode object_store s3_bucket_scope", assumed="floating_ip s3_endpoint"),
        identity_host="keystone.rc.nectar.org.au",
        floating_ip=False,  # servers usually get a public address at once
        dns_mode="designate",
        object_store=True,
        s3_endpoint="https://object-store.rc.nectar.org.au",
        s3_bucket_scope="account",
    ),
    "generic": Profile(title="Any other OpenStack cloud", evidence=sources()),
}
# clouds that have been shut down: host of Keystone, and what to use instead
RETIRED = dict.fromkeys(
    ("arbutus.cloud.computecanada.ca", "arbutus.cloud.alliancecan.ca", "identity.arbutus.cloud.computecanada.ca"),
    "that was the Arbutus of before 2026; its successor is https://identity.arbutus.alliancecan.ca/v3, with an application credential made there",
)


class ProfileError(Exception):
    """No such profile, or no such value."""


def profile(name: str) -> Profile:
    """The profile of that name.

    Raises:
        ProfileError: there is none.
    """
    if name not in PROFILES:
        accepted = ", ".join(PROFILES)
        raise ProfileError(f"site_cloud_profile is '{name}': no such profile. Accepted: {accepted}. Correct it; 'generic' knows nothing of the cloud.")
    return PROFILES[name]


def value(name: str, field: str) -> t.Any:
    """One value of a profile, as plain data.

    Raises:
        ProfileError: no such profile or value.
    """
    known = [item.name for item in dataclasses.fields(Profile) if item.name not in ("title", "evidence")]
    if field not in known:
        raise ProfileError(f"cloud_profile: '{field}' is no value of a profile. Accepted: {', '.join(known)}. Correct it.")
    found = getattr(profile(name), field)
    return list(found) if isinstance(found, tuple) else found
