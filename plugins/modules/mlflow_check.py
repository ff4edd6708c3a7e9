#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_check
short_description: Ask a running MLflow whether it works
version_added: 0.1.0
description:
  - Asks over the sockets that the proxy uses - the health page, a search of experiments without a login (must be refused) and with the
    administrator's login (must read the database), and a listing of the artifact store.
  - Changes nothing, and leaves nothing behind.
author: labtrack contributors (@labtrack)
extends_documentation_fragment: [labtrack.mlflow.attributes.info]
options:
  address:
    description: Where every route of MLflow is served, C(unix:/path) or C(host:port).
    type: str
    required: true
  api_address:
    description: Where the REST API is served.
    type: str
    required: true
  host:
    description: Name to ask for; MLflow refuses names that are not allowed.
    type: str
    default: localhost
  credentials_file:
    description: The first administrator's name and password.
    type: path
    required: true
  artifacts:
    description: Whether the server hands out artifacts.
    type: bool
    default: true
  wait_seconds:
    description: How long to wait for each answer.
    type: int
    default: 30
"""

EXAMPLES = r"""
- name: Ask MLflow
  labtrack.mlflow.mlflow_check:
    address: unix:/run/labtrack-mlflow-main/asgi.sock
    api_address: unix:/run/labtrack-mlflow-main/api.sock
    credentials_file: /var/lib/labtrack/mlflow/main/admin_credentials
"""

RETURN = r"""
meanings:
  description: What has been shown.
  returned: success
  type: list
  elements: str
  sample: [the server runs, nobody gets in without a login]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_database import DatabaseError, read_credentials
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_probe import ProbeError, probes, wait_for


def main() -> None:
    """Ask everything; the first wrong answer ends it."""
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "api_address": {"type": "str", "required": True},
            "host": {"type": "str", "default": "localhost"},
            "credentials_file": {"type": "path", "required": True},
            "artifacts": {"type": "bool", "default": True},
            "wait_seconds": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    params = module.params
    wanted = probes(params["address"], params["api_address"], params["artifacts"])
    try:
        name, password = read_credentials(params["credentials_file"])
        for probe in wanted:
            wait_for(probe, params["host"], name, password, params["wait_seconds"])
    except ProbeError as error:
        hint = f" If the administrator has a new password, write it into {params['credentials_file']}." if "answered 401" in str(error) else ""
        module.fail_json(msg=f"MLflow does not work: {error}{hint}")
    except (DatabaseError, ValueError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, meanings=[probe.meaning for probe in wanted])


if __name__ == "__main__":
    main()
