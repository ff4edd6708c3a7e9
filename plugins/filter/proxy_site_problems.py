# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: proxy_site_problems
short_description: Say what is wrong with the sites of a reverse proxy
version_added: 0.1.0
description:
  - Returns one message for each name, upstream or path that nginx could not serve, and an empty list when all are good.
author: labtrack contributors (@labtrack)
options:
  _input:
    description: Value of C(reverse_proxy_sites).
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Refuse bad sites
  ansible.builtin.assert:
    that: reverse_proxy_sites | labtrack.mlflow.proxy_site_problems | length == 0
"""

RETURN = r"""
_value:
  description: One message for each problem.
  type: list
  elements: str
  sample: ["reverse_proxy_sites['main'].server_names (usually from site_fqdn or site_alternative_names) is 'https://a.example.org': it has a scheme…"]
"""

from ansible_collections.labtrack.mlflow.plugins.module_utils import _proxy_sites


class FilterModule:
    """The filter, under its name."""

    def filters(self):
        """Return what this file offers."""
        return {"proxy_site_problems": _proxy_sites.problems}
