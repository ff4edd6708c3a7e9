# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lookup of what is known of a research cloud."""

from __future__ import annotations

DOCUMENTATION = r"""
name: cloud_profile
author:
  - labtrack contributors (@labtrack)
version_added: 0.1.0
short_description: What is known of a research cloud
description:
  - Returns one value of a profile that this collection ships. Defaults of roles read it, so that a site names its cloud and sets only what differs.
options:
  _terms:
    description:
      - Name of the profile, then the name of the value.
      - Profiles are V(arbutus), V(csc), V(jetstream2), V(chameleon), V(nectar) and V(generic), which assumes nothing.
    required: true
"""

EXAMPLES = r"""
- name: Show where floating IPs come from
  ansible.builtin.debug:
    msg: "{{ lookup('labtrack.mlflow.cloud_profile', site_cloud_profile, 'external_network') }}"
"""

RETURN = r"""
_raw:
  description: The value.
  type: list
  elements: raw
  sample: [Public-Network]
"""

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible_collections.labtrack.mlflow.plugins.module_utils._cloud_profiles import ProfileError, value


class LookupModule(LookupBase):
    """See DOCUMENTATION."""

    def run(self, terms, variables=None, **kwargs):
        """One value."""
        self.set_options(var_options=variables, direct=kwargs)
        if len(terms) != 2:
            raise AnsibleError("cloud_profile: it takes two terms, the name of a profile and the name of one of its values.")
        try:
            return [value(str(terms[0]), str(terms[1]))]
        except ProfileError as error:
            raise AnsibleError(str(error)) from error
