# SPDX-License-Identifier: GPL-3.0-or-later
"""Network cards of guests: pairs of virtual interfaces, one end in Neutron's bridge here, the other in the guest."""

from __future__ import annotations

import socket
from typing import Any

from . import engine


def plug(container: str, network_info: list[dict[str, Any]]) -> None:
    """Give a running guest its cards, with the addresses and routes that Neutron chose.

    The script runs in a short-lived container that shares our network and sees the engine's processes.
    """
    if not network_info:
        return
    process = engine.call("GET", f"/containers/{container}/json")["State"]["Pid"]
    lines = [line for number, card in enumerate(network_info) for line in _card(card, number, process)]
    _run(f"ip -n guest link set lo up\n{chr(10).join(lines)}", process)


def _card(card: dict[str, Any], number: int, process: int) -> list[str]:
    tap, name, bridge = card["devname"], f"eth{number}", card["network"]["bridge"]
    lines = [
        f"ip link del {tap} 2>/dev/null || true",
        f"ip link add {tap} type veth peer name {name} address {card['address']} netns {process}",
        f"ip -n guest link set {name} mtu {card['network']['meta'].get('mtu') or 1450} up",
        # whoever comes first, we or the agent, makes the bridge
        f"ip link show {bridge} >/dev/null 2>&1 || ip link add {bridge} type bridge stp_state 0 forward_delay 0 || true",
        f"ip link set {bridge} up",
        f"ip link set {tap} master {bridge} up",
    ]
    for subnet in card["network"]["subnets"]:
        if subnet["version"] != 4:
            continue
        prefix = subnet["cidr"].split("/")[1]
        lines += [f"ip -n guest address add {address['address']}/{prefix} dev {name}" for address in subnet["ips"]]
        gateway = (subnet.get("gateway") or {}).get("address")
        if number == 0 and gateway:
            lines.append(f"ip -n guest route replace default via {gateway}")
        lines += [f"ip -n guest route replace {route['cidr']} via {route['gateway']['address']}" for route in subnet.get("routes") or []]
    return lines


def _run(script: str, process: int) -> None:
    own = engine.call("GET", f"/containers/{socket.gethostname()}/json")
    attach = f"ip netns attach guest {process}"
    helper = engine.call(
        "POST",
        "/containers/create",
        {
            "Image": own["Image"],
            "Entrypoint": ["/bin/sh", "-exc", f"{attach}\n{script}"],
            "Labels": {"labtrack": "cloud"},
            "HostConfig": {
                "PidMode": "host",
                "NetworkMode": f"container:{own['Id']}",
                "CapAdd": ["NET_ADMIN", "SYS_ADMIN", "SYS_PTRACE"],
                "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined"],
            },
        },
    )["Id"]
    try:
        engine.call("POST", f"/containers/{helper}/start")
        code = engine.call("POST", f"/containers/{helper}/wait")["StatusCode"]
        if code:
            log = engine.call("GET", f"/containers/{helper}/logs", stdout=1, stderr=1)
            raise engine.EngineError(f"the network cards could not be plugged: {log[-800:]!r}")
    finally:
        engine.call("DELETE", f"/containers/{helper}", force=1)
