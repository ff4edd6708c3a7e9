# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: postgresql_setting_problems
short_description: Say what is wrong with settings for PostgreSQL
version_added: 0.1.0
description:
  - Returns one sentence for each setting that this version of PostgreSQL does not know or whose value it would refuse, and an empty list when all are good.
  - Settings that the role sets from variables of their own, and those that would write statements with their values into the log, are refused too.
author: labtrack contributors (@labtrack)
positional: catalogue, memory_mb
options:
  _input:
    description: Settings by name.
    type: dict
    required: true
  catalogue:
    description: Names, types and accepted words of the version, one setting a line, separated by tabs.
    type: str
    required: true
  memory_mb:
    description: Memory of the machine; V(0) skips the rule about it.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Refuse settings that PostgreSQL would refuse
  ansible.builtin.assert:
    that: postgresql_settings | labtrack.mlflow.postgresql_setting_problems(lookup('ansible.builtin.file', 'parameters_17.tsv')) | length == 0
"""

RETURN = r"""
_value:
  description: One sentence for each bad setting.
  type: list
  elements: str
  sample: ["postgresql_settings.work_men is '8MB': this version has no such setting. Did you mean 'work_mem'?"]
"""

from ansible_collections.labtrack.mlflow.plugins.module_utils import _postgresql_input


def postgresql_setting_problems(settings, catalogue, memory_mb=0):
    """Parse the catalogue and compare."""
    return _postgresql_input.setting_problems(settings, _postgresql_input.catalogue(catalogue), int(memory_mb))


class FilterModule:
    """The filter, under its name."""

    def filters(self):
        """Return what this file offers."""
        return {"postgresql_setting_problems": postgresql_setting_problems}
