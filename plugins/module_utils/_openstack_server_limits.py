# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The project's quota against what would be made."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_cloud import Cloud, Json, RefusedError
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_found import Finder, Found
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_messages import ServerError
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_wanted import Wanted

NEUTRON = {
    "security groups": "security_group",
    "security group rules": "security_group_rule",
    "ports": "port",
    "floating IPs": "floatingip",
    "networks": "network",
    "subnets": "subnet",
    "routers": "router",
}


@dataclasses.dataclass(frozen=True)
class Limit:
    """One line of a quota; less than nothing means no limit."""

    most: int
    used: int

    @property
    def free(self) -> int | None:
        """What is left."""
        return None if self.most < 0 else max(0, self.most - self.used)


def needs(wanted: Wanted, found: Found) -> dict[str, int]:
    """What would be made."""
    alive = found.server and found.server["status"] != "ERROR"
    own_network = wanted.network_create
    flavor = found.flavor or {"vcpus": 0, "ram": 0}
    # Neutron itself adds two rules to a new group; the router takes a port
    rules = len(wanted.rules) + 2 if not found.group else 0
    boots = 0 if alive or found.boot else int(bool(wanted.boot_volume_gb))
    data = int(bool(wanted.volume_gb) and not found.volume)
    return {
        "instances": 0 if found.server else 1,
        "cores": 0 if found.server else flavor["vcpus"],
        "MB of memory": 0 if found.server else flavor["ram"],
        "volumes": data + boots,
        "gigabytes": data * wanted.volume_gb + boots * wanted.boot_volume_gb,
        "security groups": int(not found.group),
        "security group rules": rules,
        "ports": int(not found.port) + 2 * int(own_network and not found.router),  # of the router and of DHCP
        "floating IPs": int(wanted.floating_ip and not found.address and not wanted.floating_ip_address),
        **{f"{kind}s": int(own_network and getattr(found, kind) is None) for kind in ("network", "subnet", "router")},
    }


def compute_limits(cloud: Cloud) -> dict[str, Limit]:
    """Nova's."""
    found = (cloud.get("compute", "/limits") or {}).get("limits", {}).get("absolute", {})
    names = {"instances": ("maxTotalInstances", "totalInstancesUsed"), "cores": ("maxTotalCores", "totalCoresUsed")}
    return _limits(found, {**names, "MB of memory": ("maxTotalRAMSize", "totalRAMUsed")})


def volume_limits(cloud: Cloud) -> dict[str, Limit]:
    """Cinder's."""
    found = (cloud.get("block_storage", "/limits") or {}).get("limits", {}).get("absolute", {})
    return _limits(found, {"volumes": ("maxTotalVolumes", "totalVolumesUsed"), "gigabytes": ("maxTotalVolumeGigabytes", "totalGigabytesUsed")})


def _limits(found: Json, names: dict[str, tuple[str, str]]) -> dict[str, Limit]:
    return {what: Limit(int(found[most]), int(found[used])) for what, (most, used) in names.items() if most in found and used in found}


def network_limits(cloud: Cloud, finder: Finder) -> dict[str, Limit]:
    """Neutron's; where it does not say how much is used, the project's things are counted."""
    project = cloud.access.project_id
    body = optional(lambda: cloud.get("network", f"/quotas/{project}/details.json")) or {}
    detailed = {kind: value for kind, value in body.get("quota", {}).items() if isinstance(value, dict)}
    if detailed:
        used = {kind: int(value["used"]) + int(value.get("reserved") or 0) for kind, value in detailed.items()}
        return {what: Limit(int(detailed[kind]["limit"]), used[kind]) for what, kind in NEUTRON.items() if kind in detailed}
    quota = (optional(lambda: cloud.get("network", f"/quotas/{project}")) or {}).get("quota", {})
    lists = {"security_group": "security-groups", "floatingip": "floatingips", "port": "ports", "network": "networks", "subnet": "subnets", "router": "routers"}
    return {what: Limit(int(quota[kind]), len(finder.neutron(lists[kind]))) for what, kind in NEUTRON.items() if kind in quota and kind in lists}


def optional(question: t.Callable[[], Json | None]) -> Json | None:
    """An answer, none where this login may not ask."""
    try:
        return question()
    except RefusedError:
        return None
    except ServerError as error:
        if error.reason != "forbidden":
            raise
        return None


def check_limits(cloud: Cloud, wanted: Wanted, found: Found) -> dict[str, dict[str, int | None]]:
    """Compare; what does not suffice is a conflict. Answers with what is needed and what is free."""
    limits = {**compute_limits(cloud), **volume_limits(cloud), **network_limits(cloud, Finder(cloud, wanted))}
    table: dict[str, dict[str, int | None]] = {}
    for what, need in needs(wanted, found).items():
        free = limits[what].free if what in limits else None
        table[what] = {"needed": need, "free": free}
        if need and free is not None and free < need:
            none_ever = what == "floating IPs" and limits[what].most == 0
            found.conflict("no_floating_ips" if none_ever else "quota", f"{need} {what} would be made, {free} are free of {limits[what].most}")
    return table
