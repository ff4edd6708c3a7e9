# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options shared by the modules that speak MLflow's REST API."""

from __future__ import annotations


class ModuleDocFragment:
    """Where the server is, and whose login is used. C(module_defaults) of C(group/labtrack.mlflow.mlflow) sets them once."""

    DOCUMENTATION = r"""
options:
  tracking_uri:
    description:
      - Address of the server. C(https://<server>), C(http://localhost:<port>), or C(unix:/<path>) for the socket that the proxy uses.
      - Seen from the machine where the module runs.
    type: str
    required: true
  username:
    description: Name of an administrator. With O(credentials_file) it comes from there.
    type: str
    default: ''
  password:
    description: The administrator's password.
    type: str
    default: ''
  credentials_file:
    description: File with name and password in the format of C(~/.mlflow/credentials), on the machine where the module runs.
    type: path
    default: ''
  ca_file:
    description: PEM file with the CA of the server, on the machine where the module runs; empty means the system's CAs.
    type: path
    default: ''
  host:
    description: Name to ask for, where O(tracking_uri) is a socket. MLflow refuses names that are not allowed.
    type: str
    default: ''
  timeout_seconds:
    description: How long to wait for each answer.
    type: int
    default: 60
attributes:
  check_mode:
    description: Says what would be done; asks the server, and changes nothing.
    support: full
  diff_mode:
    description: Shows what is taken away and what is made, never passwords.
    support: full
"""
