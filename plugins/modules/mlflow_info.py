#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_info
short_description: Read the state of an MLflow instance, in one run
version_added: 0.1.0
description:
  - Answers in one module run which releases of MLflow are installed, which one runs, whether the addresses of the instance are free or
    its own, how much space there is, and whether a remote database can be reached.
  - Changes nothing, and never fails because something is absent.
author: labtrack contributors (@labtrack)
extends_documentation_fragment: [labtrack.mlflow.attributes.info]
options:
  instance:
    description: Name of the instance; returned, so that a later task can tell whose state this is.
    type: str
    required: true
  unit:
    description: Name of the service without C(.service); its socket unit has the same name.
    type: str
    required: true
  releases_dir:
    description: Where the releases are.
    type: path
    required: true
  upgrades_dir:
    description: Where the records of upgrades are.
    type: path
    default: ''
  user:
    description: System user that is to run the service.
    type: str
    required: true
  addresses:
    description: Where the service is to listen, C(unix:/path) or C(host:port).
    type: list
    elements: str
    default: []
  paths:
    description: Paths whose free space is wanted.
    type: list
    elements: path
    default: []
  databases:
    description: Database servers to connect to, C(host:port).
    type: list
    elements: str
    default: []
  files:
    description: Files whose existence is wanted.
    type: list
    elements: path
    default: []
"""

EXAMPLES = r"""
- name: Look at the instance
  labtrack.mlflow.mlflow_info:
    instance: main
    unit: labtrack-mlflow-main
    releases_dir: /opt/labtrack/mlflow/main/releases
    user: mlflow
    addresses: ["unix:/run/labtrack-mlflow-main/asgi.sock"]
  register: __tracking_server_info
"""

RETURN = r"""
instance:
  description: The instance that was asked about.
  returned: success
  type: str
python:
  description: Version of the system's Python.
  returned: success
  type: str
  sample: 3.13.5
releases:
  description: Complete releases, the newest first.
  returned: success
  type: list
  elements: str
  sample: [3.17.2-1a2b3c4d]
running:
  description: Release of the running service; empty when it does not run.
  returned: success
  type: str
linked:
  description: Release that the link C(current) names; empty when there is none.
  returned: success
  type: str
  sample: 3.17.2-1a2b3c4d
kept:
  description: Releases to which an upgrade can be taken back.
  returned: success
  type: list
  elements: str
  sample: [3.16.1-5e6f7a8b]
units:
  description: State of the service and of its socket.
  returned: success
  type: dict
  sample: {service: {active: active, enabled: enabled}, socket: {active: active, enabled: enabled}}
user_exists:
  description: Whether the system user exists.
  returned: success
  type: bool
taken:
  description: Addresses where another program listens.
  returned: success
  type: list
  elements: str
  sample: ["127.0.0.1:5000"]
free_mb:
  description: Free space by path, in MB.
  returned: success
  type: dict
  sample: {/opt: 12000}
unreached:
  description: Database servers that do not answer, with the reason.
  returned: success
  type: dict
  sample: {"db.lab.example:5432": "timed out"}
missing:
  description: Files that do not exist.
  returned: success
  type: list
  elements: str
"""

import platform
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.labtrack.mlflow.plugins.module_utils import _mlflow_instance as instance
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_release import complete_releases


def main() -> None:
    """Ask, and return the answers."""
    strings = {"type": "list", "elements": "str", "default": []}
    paths = {"type": "list", "elements": "path", "default": []}
    module = AnsibleModule(
        argument_spec={
            "instance": {"type": "str", "required": True},
            "unit": {"type": "str", "required": True},
            "releases_dir": {"type": "path", "required": True},
            "upgrades_dir": {"type": "path", "default": ""},
            "user": {"type": "str", "required": True},
            "addresses": strings,
            "paths": paths,
            "databases": strings,
            "files": paths,
        },
        supports_check_mode=True,
    )
    params = module.params
    names = [f"{params['unit']}.service", f"{params['unit']}.socket"]
    show = ["systemctl", "show", "--property", "Id,ActiveState,UnitFileState,MainPID,Listen", *names]
    code, out, _err = module.run_command(show) if module.get_bin_path("systemctl") else (1, "", "")
    service, socket = instance.units(out if code == 0 else "", names)
    module.exit_json(
        changed=False,
        instance=params["instance"],
        python=platform.python_version(),
        releases=complete_releases(Path(params["releases_dir"])),
        running=instance.running_release(service["pid"], params["releases_dir"]),
        linked=instance.linked_release(params["releases_dir"]),
        kept=instance.kept_releases(params["upgrades_dir"]),
        units={"service": service, "socket": socket},
        user_exists=instance.user_exists(params["user"]),
        taken=[address for address in params["addresses"] if address not in socket["listens"] and instance.is_taken(address)],
        free_mb={path: instance.free_mb(path) for path in params["paths"]},
        unreached=instance.unreachable(params["databases"]),
        missing=[path for path in params["files"] if not Path(path).exists()],
    )


if __name__ == "__main__":
    main()
