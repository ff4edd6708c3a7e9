# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of the security group: what comes in is exactly what is wanted, everything may go out."""

from __future__ import annotations

import ipaddress
import typing as t

from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_cloud import Json
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_steps import Step, Work
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_wanted import Rule

EVERYWHERE = {"IPv4": "0.0.0.0/0", "IPv6": "::/0"}
NUMBERS = {"6": "tcp", "17": "udp", "1": "icmp", "58": "ipv6-icmp"}


def rule_of(item: Json) -> Rule | None:
    """The rule as one of ours; none where it cannot be one."""
    first, last = item.get("port_range_min"), item.get("port_range_max")
    protocol = NUMBERS.get(str(item.get("protocol")), item.get("protocol"))
    if (
        item["direction"] != "ingress"
        or item.get("remote_group_id")
        or item.get("remote_address_group_id")
        or protocol != "tcp"
        or first is None
        or first != last
    ):
        return None
    cidr = item.get("remote_ip_prefix") or EVERYWHERE[item["ethertype"]]
    return Rule(int(first), str(ipaddress.ip_network(cidr, strict=False)))


def words(item: Json) -> str:
    """A rule for people."""
    ports = sorted({str(item[key]) for key in ("port_range_min", "port_range_max") if item.get(key) is not None}, key=int)
    where = item.get("remote_ip_prefix") or (f"group {item['remote_group_id']}" if item.get("remote_group_id") else EVERYWHERE[item["ethertype"]])
    return f"{item.get('protocol') or 'any protocol'} {'-'.join(ports) or 'any port'} from {where}"


def is_open_egress(item: Json, ethertype: str) -> bool:
    """Whether it lets everything of that version out."""
    limits = ("protocol", "port_range_min", "port_range_max", "remote_group_id", "remote_address_group_id")
    anywhere = (item.get("remote_ip_prefix") or EVERYWHERE[ethertype]) == EVERYWHERE[ethertype]
    return item["direction"] == "egress" and item["ethertype"] == ethertype and anywhere and not any(item.get(name) for name in limits)


def add(work: Work, values: Json) -> None:
    """Make a rule."""

    def find() -> Json | None:
        group = work.cloud.get("network", f"/security-groups/{work.found.group['id']}") or {"security_group": {"security_group_rules": []}}
        same = [item for item in group["security_group"]["security_group_rules"] if all(item.get(key) == value for key, value in values.items())]
        return same[0] if same else None

    work.cloud.create("network", "/security-group-rules", {"security_group_rule": {"security_group_id": work.found.group["id"], **values}}, find)


def allow(rule: Rule) -> t.Callable[[Work], None]:
    """Makes a rule of what comes in."""
    values = {
        "direction": "ingress",
        "ethertype": rule.ethertype,
        "protocol": "tcp",
        "port_range_min": rule.port,
        "port_range_max": rule.port,
        "remote_ip_prefix": rule.cidr,
    }
    return lambda work: add(work, values)


def remove(item: Json) -> t.Callable[[Work], None]:
    """Removes a rule."""
    return lambda work: work.cloud.delete("network", f"/security-group-rules/{item['id']}")


def missing_egress(group: Json) -> list[str]:
    """Versions of IP that may not leave."""
    return [ethertype for ethertype in EVERYWHERE if not any(is_open_egress(item, ethertype) for item in group["security_group_rules"])]


def let_out(ethertype: str) -> t.Callable[[Work], None]:
    """Lets everything of that version out."""
    return lambda work: add(work, {"direction": "egress", "ethertype": ethertype})


def unwanted(work: Work, group: Json) -> list[Json]:
    """What comes in and should not."""
    return [item for item in group["security_group_rules"] if item["direction"] == "ingress" and rule_of(item) not in work.wanted.rules]


def rule_steps(work: Work) -> t.Iterator[Step]:
    """What differs from the wanted rules. Closing comes first."""
    group = work.found.group
    if group:
        for item in unwanted(work, group):
            yield Step("remove", f"rule {words(item)}", remove(item), "not wanted")
        for ethertype in missing_egress(group):
            yield Step("create", f"rule that lets {ethertype} out", let_out(ethertype))
    there = {rule_of(item) for item in group["security_group_rules"]} if group else set()
    for rule in work.wanted.rules:
        if rule not in there:
            yield Step("create", f"rule {rule}", allow(rule))


def tidy_new_group(work: Work) -> None:
    """A cloud may give new groups other rules than everything out and nothing in."""
    group = work.found.group
    for item in unwanted(work, group):
        remove(item)(work)
    for ethertype in missing_egress(group):
        let_out(ethertype)(work)
