#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_rotation
short_description: Replace the secrets of an MLflow instance
version_added: 0.1.0
description:
  - The three steps of a rotation, each of which may be interrupted and repeated. Between V(begun) and V(finished) the service understands both the
    new and the earlier secret, because both are in files that it reads.
  - V(begun) keeps the earlier secret as C(<file>.old) and writes the new one. V(applied) tells PostgreSQL the new password. Then the caller lets the
    service take over what is new. V(finished) encrypts again in the database what the earlier secret had encrypted, shows that only the new one is
    accepted, removes the earlier one, and records the time.
author: labtrack contributors (@labtrack)
attributes:
  check_mode:
    description: Can run in C(check_mode).
    support: full
  diff_mode:
    description: Secrets are not shown.
    support: none
options:
  state:
    description: The step.
    type: str
    choices: [begun, applied, finished]
    required: true
  names:
    description: Files of the secrets.
    type: list
    elements: str
    choices: [kek_passphrase, webhook_key, flask_secret_key, database_uri]
    required: true
  given:
    description: New secrets by name. One that is missing or empty is made, 256 random bits.
    type: dict
    default: {}
  skip_unchanged:
    description: Whether a given secret that is in place already is left alone. Otherwise it is an error, because nothing would be replaced.
    type: bool
    default: false
  keys_dir:
    description: Where the keys are.
    type: path
    required: true
  config_dir:
    description: Where C(database_uri) is.
    type: path
    required: true
  python:
    description: Python of the release.
    type: path
    required: true
  program:
    description: C(rotate.py) of the release.
    type: path
    required: true
  user:
    description: System user of the service.
    type: str
    required: true
  verifier:
    description: What PostgreSQL keeps of the new password, for the name C(database_uri).
    type: str
    default: ''
  record_file:
    description: JSON file with the time of each rotation.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Make a new passphrase
  labtrack.mlflow.mlflow_rotation:
    state: begun
    names: [kek_passphrase]
    keys_dir: /var/lib/labtrack/mlflow/main/keys
    config_dir: /etc/labtrack/mlflow/main
    python: /opt/labtrack/mlflow/main/current/bin/python
    program: /opt/labtrack/mlflow/main/current/server/rotate.py
    user: mlflow
    record_file: /var/lib/labtrack/mlflow/main/rotated.json
"""

RETURN = r"""
names:
  description: Secrets that are being replaced; a given one that is in place already is not among them.
  returned: success
  type: list
  elements: str
  sample: [kek_passphrase]
rows:
  description: How many rows of the database each secret encrypts.
  returned: when O(state=finished)
  type: dict
  sample: {kek_passphrase: 3}
"""

import json
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.labtrack.mlflow.plugins.module_utils import _mlflow_rotation as rotation
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_database import run_as


def ask(params, action, request):
    """One run of rotate.py."""
    environment = {"PGCONNECT_TIMEOUT": "10"}
    code, out, err = run_as(params["user"], [params["python"], "-B", params["program"], action], json.dumps(request), environment)
    if code != 0:
        reason = err.strip().splitlines()[-1] if err.strip() else f"exit code {code}"
        raise rotation.RotationError(f"The rotation cannot go on: {reason[-800:]} What is in use stays in use; run the playbook again when that is solved.")
    return json.loads(out)


def begin(params, found, check):
    """Keep the earlier ones, write the new ones; everything is looked at before."""
    due = [secret for secret in found if secret.is_due()]
    unchanged = [secret.name for secret in found if secret not in due]
    if unchanged and not params["skip_unchanged"]:
        raise rotation.RotationError(
            f"The value that the inventory gives for {', '.join(unchanged)} is the one in use: nothing would be replaced. Accepted: another value. "
            "Change it in the vault, then run again; nothing was changed."
        )
    begun = [check or secret.begin() for secret in due]
    return {"changed": any(begun), "names": [secret.name for secret in due]}


def apply(params, found):
    """The password in PostgreSQL."""
    for secret in found:
        if secret.name == "database_uri":
            return ask(params, "password", {"uri": secret.text, "old_uri": secret.earlier or secret.text, "verifier": params["verifier"]})
    return {"changed": False}


def finish(params, found):
    """Encrypt again, show, remove, record."""
    open_ones = [secret for secret in found if secret.earlier]
    encrypting = {secret.name: {"old": secret.earlier, "new": secret.text} for secret in open_ones if secret.name in rotation.ENCRYPTING}
    result = {"rows": {}}
    if encrypting:
        uri = Path(params["config_dir"], "database_uri").read_text(encoding="utf-8").strip()
        result = ask(params, "encrypted", {"uri": uri, "secrets": encrypting})
    apply(params, [secret for secret in open_ones if secret.name == "database_uri"])
    rotation.record(Path(params["record_file"]), [secret.name for secret in open_ones])
    for secret in open_ones:
        secret.finish()
    return {"changed": bool(open_ones), "rows": result["rows"]}


def main():
    """Do one step."""
    names = ["kek_passphrase", "webhook_key", "flask_secret_key", "database_uri"]
    path = {"type": "path", "required": True}
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "required": True, "choices": ["begun", "applied", "finished"]},
            "names": {"type": "list", "elements": "str", "required": True, "choices": names},
            "given": {"type": "dict", "default": {}, "no_log": True},
            "skip_unchanged": {"type": "bool", "default": False},
            "keys_dir": path,
            "config_dir": path,
            "python": path,
            "program": path,
            "user": {"type": "str", "required": True},
            "verifier": {"type": "str", "default": "", "no_log": True},
            "record_file": path,
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        found = rotation.chosen(params["keys_dir"], params["config_dir"], params["names"], params["given"])
        if params["state"] == "begun":
            result = begin(params, found, module.check_mode)
        elif module.check_mode:
            result = {"changed": True}
        else:
            result = apply(params, found) if params["state"] == "applied" else finish(params, found)
    except (rotation.RotationError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**{"names": params["names"], **result})


if __name__ == "__main__":
    main()
