# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: cidr_problems
short_description: Say what is wrong with a list of networks
version_added: 0.1.0
description:
  - Returns one short sentence for each entry that is not an IPv4 or IPv6 network in CIDR notation, and an empty list when all are good.
  - A single address counts as a network of one. Bits set behind the prefix are a problem, because they are mostly a typing error.
author: labtrack contributors (@labtrack)
options:
  _input:
    description: Networks such as V(192.0.2.0/24) or V(2001:db8::/32).
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Refuse bad networks
  ansible.builtin.assert:
    that: site_admin_cidrs | labtrack.mlflow.cidr_problems | length == 0
"""

RETURN = r"""
_value:
  description: One sentence for each bad entry.
  type: list
  elements: str
  sample: ["'10.0.0.300/24' is not a network"]
"""

from ansible_collections.labtrack.mlflow.plugins.module_utils import _cidr


class FilterModule:
    """The filter, under its name."""

    def filters(self):
        """Return what this file offers."""
        return {"cidr_problems": _cidr.problems}
