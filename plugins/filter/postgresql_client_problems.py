# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: postgresql_client_problems
short_description: Say what is wrong with remote clients of PostgreSQL
version_added: 0.1.0
description:
  - Returns one sentence for each client whose network is no network or the whole world, whose database is not one of those given, or whose password is short.
  - Passwords are never part of a sentence.
author: labtrack contributors (@labtrack)
positional: databases
options:
  _input:
    description: Clients with C(cidr), C(database), C(user) and C(password).
    type: list
    elements: dict
    required: true
  databases:
    description: Databases with C(name) and C(owner).
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Refuse remote clients that are not safe
  ansible.builtin.assert:
    that: postgresql_remote_clients | labtrack.mlflow.postgresql_client_problems(postgresql_databases) | length == 0
"""

RETURN = r"""
_value:
  description: One sentence for each problem.
  type: list
  elements: str
  sample: ["postgresql_remote_clients[0].cidr is '0.0.0.0/0': the whole world."]
"""

from ansible_collections.labtrack.mlflow.plugins.module_utils import _postgresql_input


def postgresql_client_problems(clients, databases):
    """Hand over to the shared code."""
    return _postgresql_input.client_problems(clients, databases)


class FilterModule:
    """The filter, under its name."""

    def filters(self):
        """Return what this file offers."""
        return {"postgresql_client_problems": postgresql_client_problems}
