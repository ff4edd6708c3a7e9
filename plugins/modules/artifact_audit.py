#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: artifact_audit
short_description: Compare what MLflow's database names with what is in the store
version_added: 0.1.0
description:
  - Runs the role C(retention)'s program on the tracking server, as the service's user. Reads only. Needs little memory for any number of objects.
  - MLflow's database lists no single files of a run, so a run without objects is no fault. Expected are the C(MLmodel) of each logged model that is ready,
    something below each model version that is ready, the data of traces whose spans are not in the database, and what clients have noted in tags of a run.
  - A file that vanished from inside a run is found only by comparison with the manifest of an earlier audit.
author: labtrack contributors (@labtrack)
extends_documentation_fragment: [labtrack.mlflow.attributes.info]
options:
  program:
    description: The program of the role C(retention).
    type: path
    default: /usr/local/sbin/labtrack-artifacts
  config:
    description: Settings of the instance.
    type: path
    default: /etc/labtrack/retention/main.json
  database:
    description: Another tracking database on the same server, such as one that was restored beside; without it that of the service.
    type: str
    default: ''
  manifest:
    description: Manifest of an earlier audit, C(manifest-*.jsonl.gz), to compare with. The service's user must be able to read it.
    type: path
  grace_hours:
    description: Younger objects are not called orphaned; without it what the role has set.
    type: int
"""

EXAMPLES = r"""
- name: Compare the restored database with the store
  labtrack.mlflow.artifact_audit:
    database: mlflowdb_restored
    manifest: /var/lib/labtrack/retention/main/audit/manifest-20261129T032000Z.jsonl.gz
  register: audit

- name: Say what is missing
  ansible.builtin.debug:
    msg: "{{ audit.text }}"
"""

RETURN = r"""
root:
  description: The bucket (and folder), or the directory.
  returned: success
  type: str
  sample: s3://lab-mlflow
missing:
  description: How many expected artifacts the store lacks.
  returned: success
  type: int
  sample: 0
references:
  description: >-
    By kind (experiment, run, logged_model, model_version, trace, archived_trace, noted_artifact) - C(rows) in the database, places C(with_objects) and
    C(empty), C(missing) of what is expected, C(elsewhere) in stores that were not looked at.
  returned: success
  type: dict
  sample: {run: {rows: 10000, with_objects: 9100, empty: 900, missing: 0, elsewhere: {}}}
bucket:
  description: >-
    Current C(objects) and C(bytes) in all; the same for those C(referenced), C(orphaned), C(young) (too new to be called orphaned), C(excluded), C(outside)
    of the instance's folder; kept versions in C(noncurrent_objects), C(noncurrent_bytes), C(deletion_marks); whether it is C(versioned).
  returned: success
  type: dict
  sample: {objects: 12, bytes: 4096, orphaned: {objects: 0, bytes: 0}}
orphaned_prefixes:
  description: How many folders the orphaned objects are in.
  returned: success
  type: int
since_last:
  description: Objects and bytes that C(vanished), of these C(vanished_referenced) by something that is still there, and C(changed) since the manifest.
  returned: success
  type: dict
  sample: {vanished: {objects: 0, bytes: 0}}
compared_with:
  description: Name of that manifest; empty where there is none.
  returned: success
  type: str
experiments:
  description: Objects and bytes by id of the experiment.
  returned: success
  type: dict
  sample: {"1": {objects: 12, bytes: 4096}}
users:
  description: Objects and bytes by the user that MLflow has recorded for the run.
  returned: success
  type: dict
  sample: {ann: {objects: 12, bytes: 4096}}
samples:
  description: The first 50 of C(missing), C(orphans) and C(vanished).
  returned: success
  type: dict
knowledge:
  description: What these numbers mean, and what cannot be known.
  returned: success
  type: list
  elements: str
text:
  description: The report for people.
  returned: success
  type: str
"""

import json

from ansible.module_utils.basic import AnsibleModule


def command(params: dict) -> list[str]:
    """One run of the program."""
    options = {name: params[name] for name in ("database", "manifest", "grace_hours") if params[name] not in (None, "")}
    words = [word for name, value in options.items() for word in ("--option", f"{name}={json.dumps(value)}")]
    return [params["program"], "--config", params["config"], "audit", "--json", "--with-text", *words]


def main() -> None:
    """Ask, and return the answers."""
    module = AnsibleModule(
        argument_spec={
            "program": {"type": "path", "default": "/usr/local/sbin/labtrack-artifacts"},
            "config": {"type": "path", "default": "/etc/labtrack/retention/main.json"},
            "database": {"type": "str", "default": ""},
            "manifest": {"type": "path"},
            "grace_hours": {"type": "int"},
        },
        supports_check_mode=True,
    )
    code, out, err = module.run_command(command(module.params))
    if code != 0:
        lines = err.strip().splitlines() or [f"exit status {code}"]
        module.fail_json(msg=f"The audit of the artifacts failed: {' | '.join(lines[-3:])[-1500:]}", rc=code)
    module.exit_json(changed=False, **json.loads(out))


if __name__ == "__main__":
    main()
