# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: mlflow_access_problems
short_description: What is wrong with declared users, groups and permissions
version_added: 0.1.0
description: What M(labtrack.mlflow.mlflow_access) would refuse without asking a server, so that it is known before anything is changed.
author: labtrack contributors (@labtrack)
positional: _input, groups, experiments, registered_models, permissions
options:
  _input:
    description: Users, as O(labtrack.mlflow.mlflow_access#module:users).
    type: list
    elements: dict
    required: true
  groups: {description: Groups., type: list, elements: dict, required: true}
  experiments: {description: Experiments., type: list, elements: dict, required: true}
  registered_models: {description: Registered models., type: list, elements: dict, required: true}
  permissions: {description: Permissions., type: list, elements: dict, required: true}
  prefix: {description: What the variables' names begin with., type: str, default: ''}
"""

EXAMPLES = r"""
- name: Check the people
  ansible.builtin.assert:
    that: not problems
    fail_msg: "{{ problems | join(' ') }}"
  vars:
    problems: "{{ [{'name': 'a b'}] | labtrack.mlflow.mlflow_access_problems([], [], [], [], prefix='tracking_access_') }}"
"""

RETURN = r"""
_value:
  description: Sentences, none where all is well.
  type: list
  elements: str
  sample: ["tracking_access_users has 'a b': that name cannot be used. Accepted: ..."]
"""

from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_wanted import AccessError, wanted


def mlflow_access_problems(users, groups, experiments, registered_models, permissions, prefix=""):
    """The first problem."""
    try:
        wanted(users, groups, experiments, registered_models, permissions)
    except AccessError as error:
        return [f"{prefix}{error}"]
    return []


class FilterModule:
    """Ansible's way to find it."""

    def filters(self):
        """By name."""
        return {"mlflow_access_problems": mlflow_access_problems}
