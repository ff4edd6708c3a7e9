# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lookup of misspelt variables."""

from __future__ import annotations

DOCUMENTATION = r"""
name: unknown_variables
author:
  - labtrack contributors (@labtrack)
version_added: 0.1.0
short_description: Variables that look like an option of a role, but are none
description:
  - Compares the names of all variables of the current host with the options of the roles of this collection and with the C(site_*)
    variables that they share. Values are not read.
options:
  _terms:
    description: Not used.
"""

EXAMPLES = r"""
- name: preflight | Refuse misspelt variables
  ansible.builtin.assert:
    that: lookup('labtrack.mlflow.unknown_variables', wantlist=true) | length == 0
"""

RETURN = r"""
_raw:
  description: One sentence for each unknown name.
  type: list
  elements: str
  sample: ["site_fqnd is set: no such variable exists, and it would be ignored. Accepted: ... Did you mean 'site_fqdn'?"]
"""

from pathlib import Path

import yaml
from ansible.plugins.lookup import LookupBase
from ansible_collections.labtrack.mlflow.plugins.module_utils._variables import unknown_variables

ROLES = Path(__file__).resolve().parents[2] / "roles"


def options_of(role):
    """Names that a role accepts (its argument specs) or publishes (its vars)."""
    specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]
    names = {name for entry in specs.values() for name in entry.get("options", {})}
    published = role / "vars" / "main.yml"
    return names | set(yaml.safe_load(published.read_text(encoding="utf-8")) or {}) if published.exists() else names


class LookupModule(LookupBase):
    """See DOCUMENTATION."""

    def run(self, terms, variables=None, **kwargs):
        """Names come from the host's variables; the roles' from their files."""
        roles = {role.name: options_of(role) for role in ROLES.iterdir() if (role / "meta" / "argument_specs.yml").exists()}
        return unknown_variables(list(variables or {}), roles)
