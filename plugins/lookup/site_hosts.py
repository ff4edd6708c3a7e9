# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lookup of the machines of one site, where the inventory has several."""

from __future__ import annotations

DOCUMENTATION = r"""
name: site_hosts
author:
  - labtrack contributors (@labtrack)
version_added: 0.1.0
short_description: The machines of the same site
description:
  - Returns the hosts of groups that belong to the site of the host which asks, by their C(site_name). Hosts that C(--limit) leaves out are among them.
options:
  _terms:
    description: Names of groups; one that the inventory does not have is empty.
    required: true
"""

EXAMPLES = r"""
- name: Show where the database of this site is
  ansible.builtin.debug:
    msg: "{{ query('labtrack.mlflow.site_hosts', 'database_servers') }}"
"""

RETURN = r"""
_raw:
  description: Names of hosts, each once, in the order of the groups.
  type: list
  elements: str
  sample: [physics-data]
"""

from ansible.plugins.lookup import LookupBase

NAME = "site_name"
DEFAULT = "lab"


class LookupModule(LookupBase):
    """See DOCUMENTATION."""

    def run(self, terms, variables=None, **kwargs):
        """Hosts of the same site."""
        self.set_options(var_options=variables, direct=kwargs)
        names = dict.fromkeys(name for group in terms for name in variables["groups"].get(str(group), []))
        if len(names) == 1 and variables["inventory_hostname"] in names:
            return list(names)
        hosts = variables["hostvars"]
        own = self._site(hosts[variables["inventory_hostname"]])
        return [name for name in names if self._site(hosts[name]) == own]

    @staticmethod
    def _site(host):
        return str(host.get(NAME, DEFAULT))
