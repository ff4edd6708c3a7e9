#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: https_probe
short_description: Ask an HTTPS server for pages and compare the status
version_added: 0.1.0
description:
  - Connects to an address of the machine and asks for pages under the names that clients use, whatever the names resolve to. The certificate
    is verified, name included. All pages in one module run, repeated until they are as expected or the time is over.
  - Fails when a status is another one. Changes nothing.
author: labtrack contributors (@labtrack)
extends_documentation_fragment: [labtrack.mlflow.attributes.info]
options:
  address:
    description: Address to connect to.
    type: str
    default: 127.0.0.1
  port:
    description: Port to connect to.
    type: int
    default: 443
  requests:
    description: What to ask for.
    type: list
    elements: dict
    required: true
    suboptions:
      server_name: {description: "Name for SNI, the C(Host) header and the certificate.", type: str, required: true}
      path: {description: Path on the server., type: str, default: /}
      status: {description: Statuses that are right., type: list, elements: int, default: [200]}
      ca_file: {description: CA that must confirm the certificate; without one the system's CAs., type: path}
  timeout_seconds:
    description: Time for one request.
    type: int
    default: 10
  wait_seconds:
    description: How long to go on asking while a status is not right.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Check that the server answers and wants a login
  labtrack.mlflow.https_probe:
    wait_seconds: 30
    requests:
      - {server_name: mlflow.example.org, path: /health, ca_file: /etc/labtrack/tls/ca.pem}
      - {server_name: mlflow.example.org, path: /, status: [401], ca_file: /etc/labtrack/tls/ca.pem}
"""

RETURN = r"""
statuses:
  description: The status of each request, in order; 0 where there was none.
  returned: always
  type: list
  elements: int
  sample: [200, 401]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.labtrack.mlflow.plugins.module_utils._https_probe import Request, wait


def main() -> None:
    """Module entry point."""
    request_options = {
        "server_name": {"type": "str", "required": True},
        "path": {"type": "str", "default": "/"},
        "status": {"type": "list", "elements": "int", "default": [200]},
        "ca_file": {"type": "path"},
    }
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "default": "127.0.0.1"},
            "port": {"type": "int", "default": 443},
            "requests": {"type": "list", "elements": "dict", "required": True, "options": request_options},
            "timeout_seconds": {"type": "int", "default": 10},
            "wait_seconds": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    params = module.params
    requests = [Request(item["server_name"], item["path"], tuple(item["status"]), item["ca_file"]) for item in params["requests"]]
    answers = wait(requests, params["address"], params["port"], params["timeout_seconds"], params["wait_seconds"])
    statuses = [answer.status for answer in answers]
    bad = [answer.sentence() for answer in answers if not answer.good]
    if bad:
        module.fail_json(msg=f"At {params['address']} port {params['port']}: {'; '.join(bad)}.", statuses=statuses)
    module.exit_json(changed=False, statuses=statuses)


if __name__ == "__main__":
    main()
