# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: usage_quota_problems
short_description: Say what is wrong with the quotas of a site
version_added: 0.1.0
description:
  - Returns one short text for each problem in C(retention_usage_quotas) of the role C(retention), and an empty list when all are good.
author: labtrack contributors (@labtrack)
options:
  _input:
    description: Entries with one of C(each), C(user), C(experiment), C(workspace), and at least one limit.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Refuse bad quotas
  ansible.builtin.assert:
    that: retention_usage_quotas | labtrack.mlflow.usage_quota_problems | length == 0
"""

RETURN = r"""
_value:
  description: One short text for each problem.
  type: list
  elements: str
  sample: ["'user: ann' has no limit"]
"""

from ansible_collections.labtrack.mlflow.plugins.module_utils import _usage_quotas


class FilterModule:
    """The filter, under its name."""

    def filters(self):
        """Return what this file offers."""
        return {"usage_quota_problems": _usage_quotas.problems}
