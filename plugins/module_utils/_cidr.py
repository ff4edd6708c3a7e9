# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks as people write them: what is wrong with one, and whether one holds an address."""

from __future__ import annotations

import ipaddress


def problem(value) -> str:
    """Return what is wrong with a network, in a few words; an empty string when it is good."""
    text = str(value)
    if not isinstance(value, str):
        return f"'{text}' is not text (quote it)"
    try:
        ipaddress.ip_network(text)
    except ValueError:
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError:
            return f"'{text}' is not a network"
        return f"'{text}' has bits set behind the prefix (did you mean '{network}'?)"
    return ""


def problems(values) -> list[str]:
    """Return the problems of a list of networks, in order."""
    return [found for found in map(problem, values) if found]


def contains(networks, address: str) -> bool:
    """Tell whether an address lies in one of the (valid) networks; a zone (`%eth0`) does not matter."""
    wanted = ipaddress.ip_address(address.split("%", 1)[0])
    mapped = getattr(wanted, "ipv4_mapped", None)
    wanted = mapped or wanted
    return any(wanted in ipaddress.ip_network(network) for network in networks)
