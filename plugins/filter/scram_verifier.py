# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: scram_verifier
short_description: Make the SCRAM-SHA-256 verifier that PostgreSQL stores for a password
version_added: 0.1.0
description:
  - Returns the current verifier when it was made from this password, otherwise a new one with a random salt. So a password that has not changed is no change.
  - Sending a verifier instead of the password keeps the password out of the server's memory of statements and out of its log.
author: labtrack contributors (@labtrack)
positional: current
options:
  _input:
    description: The password.
    type: str
    required: true
  current:
    description: The verifier that the server has now; empty for none.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Set a password
  community.postgresql.postgresql_user:
    name: mlflowdb
    password: "{{ database_password | labtrack.mlflow.scram_verifier(current_verifier) }}"
  no_log: true
"""

RETURN = r"""
_value:
  description: The verifier.
  type: str
  sample: SCRAM-SHA-256$4096:c2FsdA==$c3RvcmVk:c2VydmVy
"""

from ansible_collections.labtrack.mlflow.plugins.module_utils import _scram


def scram_verifier(password, current=""):
    """Keep a verifier that fits."""
    return current if _scram.matches(password, current) else _scram.make_verifier(password)


class FilterModule:
    """The filter, under its name."""

    def filters(self):
        """Return what this file offers."""
        return {"scram_verifier": scram_verifier}
