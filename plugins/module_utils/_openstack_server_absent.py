# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removal of a server. What is another's stays; the data volume and the address stay unless they shall go, too."""

from __future__ import annotations

import typing as t

from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_cloud import Json
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_machine import delete_keypair, delete_server
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_network import KINDS
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_steps import Step, Work, lock
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_volumes import delete_volume, discard
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_wanted import is_marked

OF_THE_NETWORK = ("network:router_interface", "network:router_interface_distributed", "network:ha_router_replicated_interface", "network:dhcp")


def spare_steps(work: Work) -> t.Iterator[Step]:
    """What was made twice, because an answer was lost."""
    for kind, item in work.found.spare:
        name = item.get("name") or item.get("floating_ip_address") or item["id"]
        yield Step("delete", f"{kind} {name}", delete_spare(kind, item), f"{item['id']} was made twice, and never used")


def delete_spare(kind: str, item: Json) -> t.Callable[[Work], None]:
    """Deletes one of them."""
    plurals = {single: plural for plural, _key, single in KINDS.values()}

    def delete(work: Work) -> None:
        if kind == "volume":
            discard(work, item)
        elif kind == "server":
            work.cloud.delete("compute", f"/servers/{item['id']}")
        else:
            work.cloud.delete("network", f"/{plurals[kind]}/{item['id']}")

    return delete


def machine_steps(work: Work, why: str = "") -> t.Iterator[Step]:
    """The server and what holds its system; not its port, so that its address stays."""
    if work.found.server:
        yield Step("delete", f"server {work.wanted.name}", delete_server, why)
    if work.found.boot:
        yield Step("delete", f"volume {work.wanted.name}-boot", lambda now: delete_volume(now, "boot"), why)


def delete_part(part: str) -> t.Callable[[Work], None]:
    """Deletes a thing of Neutron."""

    def delete(work: Work) -> None:
        work.cloud.delete("network", f"/{KINDS[part][0]}/{getattr(work.found, part)['id']}")
        setattr(work.found, part, None)

    return delete


def others(work: Work) -> list[str]:
    """Ports of other machines in the site's network."""
    if not work.found.network:
        return []
    own = (work.found.port or {}).get("id")
    ports = work.finder.neutron("ports", f"network_id={work.found.network['id']}", own=False)
    return [port["id"] for port in ports if port.get("device_owner") not in OF_THE_NETWORK and port["id"] != own]


def delete_site_network(work: Work) -> bool:
    """Delete what the role made for the whole site, unless another machine came meanwhile."""
    found = work.found
    with lock(work.cloud, work.wanted.site):
        work.finder.site_network(found)
        if others(work):
            return False
        if found.router:
            ports = work.finder.neutron("ports", f"device_id={found.router['id']}")
            for subnet in {fixed["subnet_id"] for port in ports for fixed in port.get("fixed_ips", [])}:
                # 404: it is out already
                work.cloud.put("network", f"/routers/{found.router['id']}/remove_router_interface", {"subnet_id": subnet}, accepted=(404,))
        left = [part for part in ("router", "subnet", "network") if getattr(found, part)]
        for part in left:
            delete_part(part)(work)
        return bool(left)


def absent_steps(work: Work, delete_data: bool) -> t.Iterator[Step]:
    """Everything of this host."""
    found, name = work.found, work.wanted.name
    yield from spare_steps(work)
    yield from machine_steps(work)
    if found.port:
        yield Step("delete", f"port {name}", delete_part("port"))
    if found.group:
        yield Step("delete", f"security group {name}", delete_part("group"))
    for item in found.keypairs:
        yield Step("delete", f"key pair {item['name']}", delete_keypair(item))
    if delete_data and own_address(work):
        yield Step("release", f"floating IP {found.address['floating_ip_address']}", delete_part("address"))
    if delete_data and found.volume:
        yield Step("delete", f"volume {name}-data", lambda now: delete_volume(now, "volume"), "with all data")
    names = dict(work.wanted.names())
    parts = [f"{part} {names[part]}" for part in ("router", "subnet", "network") if getattr(found, part)]
    if parts and not others(work):
        yield Step("delete", ", ".join(parts), delete_site_network)


def own_address(work: Work) -> bool:
    """Whether the role made the floating IP; one that the site has given is never released."""
    return bool(work.found.address) and is_marked(work.found.address, work.wanted.marks)


def kept(work: Work, delete_data: bool) -> list[str]:
    """What stays, for people."""
    found = work.found
    stays = []
    if found.volume and not delete_data:
        stays.append(f"volume {found.volume['name']} ({found.volume['id']}, {found.volume['size']} GB)")
    if found.address and not (delete_data and own_address(work)):
        stays.append(f"floating IP {found.address['floating_ip_address']}")
    if found.network and others(work):
        stays.append(f"network {found.network['name']}, which other machines use")
    return stays
