# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: cidr_contains
short_description: Tell whether one of several networks holds an address
version_added: 0.1.0
description:
  - Returns V(true) when the address lies in one of the networks.
  - IPv4 addresses that are written as IPv6 (V(::ffff:192.0.2.1)) count as IPv4; a zone (V(%eth0)) is ignored.
author: labtrack contributors (@labtrack)
positional: address
options:
  _input:
    description: Valid networks in CIDR notation.
    type: list
    elements: str
    required: true
  address:
    description: The address to look for.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Refuse a firewall that would shut us out
  ansible.builtin.assert:
    that: site_admin_cidrs | labtrack.mlflow.cidr_contains('192.0.2.7')
"""

RETURN = r"""
_value:
  description: Whether the address is in one of the networks.
  type: bool
"""

from ansible_collections.labtrack.mlflow.plugins.module_utils import _cidr


class FilterModule:
    """The filter, under its name."""

    def filters(self):
        """Return what this file offers."""
        return {"cidr_contains": _cidr.contains}
