#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_upgrade
short_description: Upgrade an MLflow instance with a way back
version_added: 0.1.0
description:
  - Runs the upgrade program of the role C(tracking_server), which must be on the machine, in a systemd unit of its own. When the playbook is killed, the unit
    goes on to its end; when the program is killed, or the machine, the version that served before serves again.
  - V(rehearse) dumps the databases, restores the dumps as new databases, migrates them with the new release, compares schema, indexes and rows, and
    lets the new release serve them on loopback to MLflow's own client. The old version serves meanwhile.
  - V(switch) stops the service while its sockets stay open, copies and migrates the databases, and gives the copies the names of the
    originals, which are kept under other names. A schema that does not change needs no copy.
  - V(rollback) exchanges databases and release again; what the newer version has written is kept aside.
  - V(inspect) tells the state.
author: labtrack contributors (@labtrack)
options:
  action:
    description: What to do.
    type: str
    choices: [inspect, rehearse, switch, rollback]
    required: true
  id:
    description: Name of this upgrade. V(switch) needs the one that V(rehearse) has returned; otherwise it is made from the time.
    type: str
    default: ''
  unit:
    description: Name of the instance's service without C(.service).
    type: str
    required: true
  serving:
    description: Name of the service that uses the databases now; another one than O(unit) when a server made by hand is taken over.
    type: str
    required: true
  release:
    description: Name of the new release.
    type: str
    required: true
  running:
    description: Name of the release that serves now.
    type: str
    default: ''
  program_dir:
    description: Where the releases are, and the program.
    type: path
    required: true
  config_dir:
    description: The instance's configuration.
    type: path
    required: true
  state_dir:
    description: Where the dumps, the journal and the records of upgrades are kept, below C(upgrade).
    type: path
    required: true
  user:
    description: System user of the service.
    type: str
    required: true
  databases:
    description: Names of the two databases, by C(tracking) and C(auth).
    type: dict
    required: true
  owner:
    description: Database user that owns them.
    type: str
    required: true
  port:
    description: Port of PostgreSQL, which names its socket.
    type: int
    default: 5432
  s3_environment_file:
    description: Settings of the object store; empty where artifacts are local.
    type: str
    default: ''
  artifacts_dir:
    description: Directory of local artifacts; empty where they are in an object store.
    type: str
    default: ''
  credentials_file:
    description: Login of the first administrator; written where nobody can log in yet.
    type: path
    required: true
  admin_username:
    description: Name of the first administrator.
    type: str
    default: admin
  keep:
    description: How many upgrades stay that can be looked into.
    type: int
    default: 2
  keep_days:
    description: How long the databases and dumps of earlier ones stay, at least.
    type: int
    default: 30
  start_seconds:
    description: How long the service may take to start.
    type: int
    default: 180
  stop_seconds:
    description: How long running requests may take.
    type: int
    default: 30
attributes:
  check_mode: {description: Can run in check mode., support: partial, details: Only V(inspect) does something then.}
  diff_mode: {description: There is no difference to show., support: none}
"""

EXAMPLES = r"""
- name: Look at the databases, and at what can be taken back
  labtrack.mlflow.mlflow_upgrade:
    action: inspect
    unit: labtrack-mlflow-main
    serving: labtrack-mlflow-main
    release: 3.17.2-1a2b3c4d
    program_dir: /opt/labtrack/mlflow/main
    config_dir: /etc/labtrack/mlflow/main
    state_dir: /var/lib/labtrack/mlflow/main
    user: mlflow
    databases: {tracking: mlflowdb, auth: mlflowauth}
    owner: mlflowdb
    credentials_file: /var/lib/labtrack/mlflow/main/admin_credentials
"""

RETURN = r"""
id:
  description: Name of this upgrade.
  returned: success
  type: str
  sample: 20261130t201500
result:
  description: What was found or done.
  returned: success
  type: dict
  sample: {record: {id: 20261130t201500, from: 3.16.1-5e6f7a8b, to: 3.17.2-1a2b3c4d, downtime_seconds: 14.2}}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.labtrack.mlflow.plugins.module_utils import _mlflow_upgrade as upgrade

SMOKE_SECONDS = 300
TEXTS = ("unit", "serving", "release", "user", "owner")
PATHS = ("program_dir", "config_dir", "state_dir", "credentials_file")
OPTIONAL = {"id": "", "running": "", "s3_environment_file": "", "artifacts_dir": "", "admin_username": "admin"}
NUMBERS = {"port": 5432, "keep": 2, "keep_days": 30, "start_seconds": 180, "stop_seconds": 30}


def main() -> None:
    """Hand the request to the program."""
    module = AnsibleModule(
        argument_spec={
            "action": {"type": "str", "choices": ["inspect", "rehearse", "switch", "rollback"], "required": True},
            "databases": {"type": "dict", "required": True},
            **{name: {"type": "str", "required": True} for name in TEXTS},
            **{name: {"type": "path", "required": True} for name in PATHS},
            **{name: {"type": "str", "default": value} for name, value in OPTIONAL.items()},
            **{name: {"type": "int", "default": value} for name, value in NUMBERS.items()},
        },
        supports_check_mode=True,
    )
    params = {**module.params, "id": module.params["id"] or upgrade.new_id(), "smoke_seconds": SMOKE_SECONDS}
    action, port = params.pop("action"), params.pop("port")
    admin = {"system_user": "postgres", "environment": {"PGHOST": "/var/run/postgresql", "PGPORT": str(port)}}
    request = upgrade.complete({**params, "admin": admin})
    if module.check_mode and action != "inspect":
        module.exit_json(changed=action != "rehearse", id=params["id"], result={})
    try:
        result = upgrade.inspect(request) if action == "inspect" else upgrade.in_unit(request, action)
    except (upgrade.UpgradeError, OSError) as error:
        left = " It was left half done; repeat the playbook." if upgrade.unfinished(request) else ""
        module.fail_json(msg=f"{error}{left}")
    module.exit_json(changed=action in ("switch", "rollback"), id=params["id"], result=result)


if __name__ == "__main__":
    main()
