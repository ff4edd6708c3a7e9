# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network side of a server: security group, network of the site, port, floating IP."""

from __future__ import annotations

import typing as t

from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_cloud import Json, RefusedError
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_rules import rule_steps, tidy_new_group
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_steps import Step, Work, lock
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_wanted import as_tags

# attribute of Found: what Neutron calls its list, one of it, and people
KINDS = {
    "group": ("security-groups", "security_group", "security group"),
    "network": ("networks", "network", "network"),
    "subnet": ("subnets", "subnet", "subnet"),
    "router": ("routers", "router", "router"),
    "port": ("ports", "port", "port"),
    "address": ("floatingips", "floatingip", "floating IP"),
}
SHARED = ("network", "subnet", "router")


def make(work: Work, part: str, **values: t.Any) -> Json:
    """Make something, with its marks from the first moment on."""
    plural, single, _kind = KINDS[part]
    marks = work.wanted.site_marks if part in SHARED else work.wanted.marks
    body = {single: {"description": work.wanted.description(marks), **values}}
    made = work.cloud.create("network", f"/{plural}", body, lambda: work.finder.one(plural, marks))
    setattr(work.found, part, made)
    tag(work, part)
    return made


def tag(work: Work, part: str) -> None:
    """Set the marks as tags, too; others' tags are kept."""
    item, plural = getattr(work.found, part), KINDS[part][0]
    marks = work.wanted.site_marks if part in SHARED else work.wanted.marks
    tags = [*(item.get("tags") or []), *(name for name in as_tags(marks) if name not in (item.get("tags") or []))]
    work.cloud.put("network", f"/{plural}/{item['id']}/tags", {"tags": tags})
    item["tags"] = tags


def tag_steps(work: Work) -> t.Iterator[Step]:
    """A run that was interrupted may not have come to the tags."""
    for part, (_plural, _single, kind) in KINDS.items():
        item = getattr(work.found, part)
        own = part != "address" or not work.wanted.floating_ip_address
        if part in SHARED and not work.wanted.network_create:
            continue
        marks = work.wanted.site_marks if part in SHARED else work.wanted.marks
        if item and own and not set(as_tags(marks)) <= set(item.get("tags") or []):
            yield Step("mark", f"{kind} {item.get('name') or item.get('floating_ip_address')}", lambda now, part=part: tag(now, part))


def group_steps(work: Work) -> t.Iterator[Step]:
    """The security group with its rules."""

    def group(now: Work) -> None:
        make(now, "group", name=now.wanted.name)
        tidy_new_group(now)

    if not work.found.group:
        yield Step("create", f"security group {work.wanted.name}", group)
    yield from rule_steps(work)


def site_steps(work: Work) -> t.Iterator[Step]:
    """Network, subnet and router, where the role makes them."""
    found, names = work.found, dict(work.wanted.names())
    missing = [f"{kind} {names[kind]}" for kind in SHARED if getattr(found, kind) is None]
    if not missing and found.router and not found.router.get("external_gateway_info"):
        missing = [f"gateway of router {names['router']}"]
    if not missing and not interface(work):
        missing = [f"interface of router {names['router']}"]
    if missing:
        yield Step("create", ", ".join(missing), make_site_network)


def interface(work: Work) -> bool:
    """Whether the router is in the subnet."""
    ports = work.finder.neutron("ports", f"device_id={work.found.router['id']}")
    return any(fixed["subnet_id"] == work.found.subnet["id"] for port in ports for fixed in port.get("fixed_ips", []))


def join(work: Work) -> None:
    """Put the router into the subnet."""
    try:
        work.cloud.put("network", f"/routers/{work.found.router['id']}/add_router_interface", {"subnet_id": work.found.subnet["id"]})
    except RefusedError:
        # the second try of a request whose answer was lost
        if not interface(work):
            raise


def make_site_network(work: Work) -> bool:
    """Make what is missing of it; several hosts may come here at once."""
    names, found, wanted = dict(work.wanted.names()), work.found, work.wanted
    done = False
    with lock(work.cloud, work.wanted.site):
        work.finder.site_network(found)
        if not found.network:
            make(work, "network", name=names["network"])
            done = True
        if not found.subnet:
            servers = {"dns_nameservers": list(wanted.dns_servers)} if wanted.dns_servers else {}
            make(work, "subnet", name=names["subnet"], network_id=found.network["id"], ip_version=4, cidr=wanted.network_cidr, **servers)
            done = True
        gateway = {"network_id": found.external["id"]}
        if not found.router:
            make(work, "router", name=names["router"], external_gateway_info=gateway)
            done = True
        elif not found.router.get("external_gateway_info"):
            work.cloud.put("network", f"/routers/{found.router['id']}", {"router": {"external_gateway_info": gateway}})
            done = True
        if not interface(work):
            join(work)
            done = True
    return done


def port_steps(work: Work) -> t.Iterator[Step]:
    """The port, with exactly the security groups that are wanted."""

    def groups(now: Work) -> list[str]:
        return [now.found.group["id"], *now.found.extra_groups]

    def port(now: Work) -> None:
        make(now, "port", name=now.wanted.name, network_id=now.found.network["id"], security_groups=groups(now))

    def regroup(now: Work) -> None:
        now.cloud.put("network", f"/ports/{now.found.port['id']}", {"port": {"security_groups": groups(now)}})

    found = work.found
    if not found.port:
        yield Step("create", f"port {work.wanted.name}", port)
    elif not found.group or set(found.port["security_groups"]) != set(groups(work)):
        yield Step("change", f"security groups of port {work.wanted.name}", regroup)


def address_steps(work: Work) -> t.Iterator[Step]:
    """The floating IP."""

    def address(now: Work) -> None:
        make(now, "address", floating_network_id=now.found.external["id"], port_id=now.found.port["id"])

    def associate(now: Work) -> None:
        body = {"floatingip": {"port_id": now.found.port["id"]}}
        now.found.address = now.cloud.put("network", f"/floatingips/{now.found.address['id']}", body)["floatingip"]

    found = work.found
    if not work.wanted.floating_ip:
        return
    if not found.address:
        yield Step("create", f"floating IP for {work.wanted.name}", address)
    elif not found.port or found.address.get("port_id") != found.port["id"]:
        yield Step("attach", f"floating IP {found.address['floating_ip_address']}", associate)


def network_steps(work: Work) -> t.Iterator[Step]:
    """All of it, in order."""
    yield from group_steps(work)
    if work.wanted.network_create:
        yield from site_steps(work)
    yield from port_steps(work)
    yield from address_steps(work)
    yield from tag_steps(work)
