#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_server_check
short_description: Ask an S3 server whether it serves a user over TLS
version_added: 0.1.0
description:
  - Sends a signed request for the list of buckets, and verifies the certificate. Uses Python's standard library only.
  - A server that has just been started is asked again until it answers. Changes nothing.
author: labtrack contributors (@labtrack)
extends_documentation_fragment: [labtrack.mlflow.attributes.info]
options:
  endpoint:
    description: URL of the server; the name in it must be in its certificate.
    type: str
    required: true
  address:
    description: Address to connect to; empty means what the DNS says about the name.
    type: str
    default: ''
  ca_file:
    description: PEM file with the CA of the server; empty means the system's CAs.
    type: path
    default: ''
  access_key:
    description: Access key of a user. Without one, only TLS and the presence of an S3 server are checked.
    type: str
    default: ''
  secret_key:
    description: Secret key of that user.
    type: str
    default: ''
  timeout_seconds:
    description: How long to wait for a server that does not answer.
    type: int
    default: 120
  variable_names:
    description: What the options are called in the inventory; messages use these names.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Ask the gateway
  labtrack.mlflow.s3_server_check:
    endpoint: https://store.lab.example:7443
    address: 127.0.0.1
    ca_file: /etc/labtrack/tls/ca.pem
    access_key: "{{ site_s3_access_key }}"
    secret_key: "{{ site_s3_secret_key }}"
"""

RETURN = r"""
attempts:
  description: How often the server was asked.
  returned: success
  type: int
  sample: 1
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_http import Reader, StoreError
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_messages import explain

PAUSE_SECONDS = 0.5
# what a server that is starting answers
STARTING = ("refused", "network", "timeout", "server", "tls")


def ask(params):
    """Number of attempts until the server listed the buckets.

    Raises:
        StoreError: it did not in time, or it never will.
    """
    reader = Reader(params["endpoint"], params["access_key"] or "anonymous", params["secret_key"], "us-east-1", params["ca_file"], address=params["address"])
    deadline, attempts = time.monotonic() + params["timeout_seconds"], 0
    while True:
        attempts += 1
        try:
            answer = reader.get("/")
            if answer.status < 500:
                return attempts
            error = StoreError("server", f"status {answer.status}")
        except StoreError as problem:
            if problem.kind == "access_key" and not params["access_key"]:
                return attempts
            error = problem
        if error.kind not in STARTING or time.monotonic() > deadline:
            raise error
        time.sleep(PAUSE_SECONDS)


def main():
    """Module entry point."""
    text = {"type": "str", "default": ""}
    module = AnsibleModule(
        argument_spec={
            "endpoint": {"type": "str", "required": True},
            "address": text,
            "ca_file": {"type": "path", "default": ""},
            "access_key": {**text, "no_log": False},
            "secret_key": {**text, "no_log": True},
            "timeout_seconds": {"type": "int", "default": 120},
            "variable_names": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    params = module.params
    visible = {name: params[name] for name in ("endpoint", "ca_file", "access_key")}
    try:
        module.exit_json(changed=False, attempts=ask(params))
    except StoreError as error:
        module.fail_json(msg=explain(error.kind, error.detail, visible, params["variable_names"]), kind=error.kind)


if __name__ == "__main__":
    main()
