#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: database_doctor
short_description: Check that an external PostgreSQL can hold MLflow's data
version_added: 0.1.0
description:
  - Connects from the managed host as MLflow will do, with SCRAM-SHA-256 over TLS whose certificate and host name are verified, and says what is wrong.
  - Checks that the server is reachable, takes writes, is recent enough, and that each database is there, is encoded in UTF8 and belongs to the user.
  - Speaks the protocol itself, so it works on a host where no PostgreSQL client is installed yet. Changes nothing.
author: labtrack contributors (@labtrack)
extends_documentation_fragment: [labtrack.mlflow.attributes.info]
options:
  host:
    description: Host, or a list as libpq takes it, for instance V(a:5432,b:5432). The first server that takes writes is examined.
    type: str
    required: true
  port:
    description: Port of the hosts that name none.
    type: int
    default: 5432
  user:
    description: User to log in as.
    type: str
    required: true
  password:
    description: Password of the user.
    type: str
    required: true
  databases:
    description: Databases to connect to.
    type: list
    elements: str
    required: true
  owner_expected:
    description: Whether the user must have an owner's rights in the databases.
    type: bool
    default: true
  ca_file:
    description: Certificate authorities that sign the server's certificate, in PEM, on the managed host. Empty means the system's bundle.
    type: str
    default: ''
  timeout_seconds:
    description: How long to wait for each answer.
    type: int
    default: 10
"""

EXAMPLES = r"""
- name: Look at the server before anything is changed
  labtrack.mlflow.database_doctor:
    host: db1.example.org:5432,db2.example.org:5432
    user: mlflowdb
    password: "{{ vault_database_password }}"
    databases: [mlflowdb, mlflowauth]
    ca_file: /etc/labtrack/tls/database-ca.pem
  register: database
  failed_when: database.problems | length > 0
"""

RETURN = r"""
problems:
  description: One sentence for each thing that is wrong, with what is accepted and what to do. Empty when all is well.
  returned: always
  type: list
  elements: str
  sample: ["database 'mlflowdb' on db1.example.org:5432: its name cannot be resolved. Check the spelling and DNS."]
missing:
  description: Databases that do not exist.
  returned: always
  type: list
  elements: str
  sample: [mlflowauth]
server:
  description: The server that was examined, empty strings where none takes writes.
  returned: always
  type: dict
  sample: {host: db1.example.org, port: 5432, version: '17.6'}
"""

import ssl

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.labtrack.mlflow.plugins.module_utils._database_doctor import Doctor, Verdict, targets, tls_context


def examine(params: dict) -> Verdict:
    """The verdict, also about arguments that make no sense."""
    try:
        servers = targets(params["host"], params["port"])
    except ValueError as error:
        return Verdict(problems=[f"{error}. Accepted: host, host:port, or a comma-separated list of these. Correct the name."])
    try:
        context = tls_context(params["ca_file"])
    except (OSError, ssl.SSLError) as error:
        place = params["ca_file"] or "the system's bundle of authorities"
        reason = error.strerror if not isinstance(error, ssl.SSLError) else "it holds no certificate"
        return Verdict(problems=[f"'{place}' cannot be used to verify the server: {reason}. Accepted: a PEM file on the host. Put it there first."])
    doctor = Doctor(params["user"], params["password"], context, params["timeout_seconds"])
    return doctor.examine(servers, params["databases"], params["owner_expected"])


def main() -> None:
    """Module entry point."""
    module = AnsibleModule(
        argument_spec={
            "host": {"type": "str", "required": True},
            "port": {"type": "int", "default": 5432},
            "user": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "databases": {"type": "list", "elements": "str", "required": True},
            "owner_expected": {"type": "bool", "default": True},
            "ca_file": {"type": "str", "default": ""},
            "timeout_seconds": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    verdict = examine(module.params)
    server = {"host": verdict.host, "port": verdict.port, "version": verdict.version}
    module.exit_json(changed=False, problems=verdict.problems, missing=verdict.missing, server=server)


if __name__ == "__main__":
    main()
