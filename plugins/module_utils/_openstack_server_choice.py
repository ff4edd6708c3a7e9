# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Image and flavor of a server that is to be made, and whether they fit."""

from __future__ import annotations

import fnmatch

from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_cloud import Cloud, Json
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_found import Found
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_wanted import Wanted

SHOWN = 12


def listed(names: list[str]) -> str:
    """Names for a message, not more than fit."""
    names = sorted(set(names))
    return (", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")) or "none"


def newest_image(images: list[Json], wanted: str) -> Json | None:
    """The image of that id or name, else the newest one that the pattern matches; letters in any case."""
    usable = sorted((item for item in images if item.get("status") == "active"), key=lambda item: str(item.get("created_at")))
    for matches in (
        [item for item in usable if item["id"] == wanted],
        [item for item in usable if item.get("name") == wanted],
        [item for item in usable if fnmatch.fnmatchcase(str(item.get("name")).lower(), wanted.lower())],
    ):
        if matches:
            return matches[-1]
    return None


def choose(cloud: Cloud, wanted: Wanted, found: Found) -> None:
    """Find image and flavor for a server that is to be made."""
    choose_flavor(cloud, wanted, found)
    images = cloud.pages("image", "/images?limit=200", "images")
    found.image = newest_image(images, wanted.image)
    if not found.image:
        names = [str(item.get("name")) for item in images]
        found.conflict("image", f"no active image matches; of Debian there are {listed([name for name in names if 'debian' in name.lower()])}")
    if found.image and found.flavor:
        fit(wanted, found)


def choose_flavor(cloud: Cloud, wanted: Wanted, found: Found) -> None:
    """Find the flavor."""
    flavors = cloud.pages("compute", "/flavors/detail", "flavors")
    matches = [item for item in flavors if wanted.flavor in (item["name"], item["id"])]
    found.flavor = matches[0] if matches else None
    if not matches:
        found.conflict("flavor", f"no such flavor; there are {listed([item['name'] for item in flavors])}")


def fit(wanted: Wanted, found: Found) -> None:
    """Whether the image fits on the disk."""
    disk, least = wanted.boot_volume_gb or found.flavor["disk"], found.image.get("min_disk") or 0
    if not disk:
        found.conflict("boot_volume", f"flavor {wanted.flavor} has no disk of its own")
    elif disk < least:
        found.conflict("boot_volume", f"the image needs {least} GB, and there are {disk} GB")
    memory = found.image.get("min_ram") or 0
    if found.flavor["ram"] < memory:
        found.conflict("flavor", f"the image needs {memory} MB of memory, and it has {found.flavor['ram']} MB")


def check_zones(cloud: Cloud, wanted: Wanted, found: Found) -> None:
    """Whether the availability zones exist."""
    for option, service, zone in (
        ("availability_zone", "compute", wanted.availability_zone),
        ("volume_availability_zone", "block_storage", wanted.volume_availability_zone if wanted.volume_gb else ""),
    ):
        if zone:
            body = cloud.get(service, "/os-availability-zone") or {}
            names = [item["zoneName"] for item in body.get("availabilityZoneInfo", []) if item["zoneState"]["available"]]
            if zone not in names:
                found.conflict(option, f"no such zone, or it is out of order; there are {listed(names)}")


def check_volume_types(cloud: Cloud, wanted: Wanted, found: Found) -> None:
    """Whether the volume types exist."""
    kinds = {"volume_type": wanted.volume_type if wanted.volume_gb else "", "boot_volume_type": wanted.boot_volume_type if wanted.boot_volume_gb else ""}
    if any(kinds.values()):
        names = [item["name"] for item in (cloud.get("block_storage", "/types") or {}).get("volume_types", [])]
        for option, kind in kinds.items():
            if kind and kind not in names:
                found.conflict(option, f"no such volume type; there are {listed(names)}")
