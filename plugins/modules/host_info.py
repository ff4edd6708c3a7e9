#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_info
short_description: Read what a machine's base settings are, in one run
version_added: 0.1.0
description:
  - Answers in one module run what would need six or more - the SSH connection that the run comes from, what C(sshd) obeys, accounts,
    units, the firewall's table, free space, and the state of a data volume.
  - Changes nothing, and never fails because something is absent.
author: labtrack contributors (@labtrack)
extends_documentation_fragment: [labtrack.mlflow.attributes.info]
options:
  units:
    description: Units to look at.
    type: list
    elements: str
    default: []
  firewall_table:
    description: Table of the family C(inet) to look at.
    type: str
    default: ''
  paths:
    description: Paths whose free space is wanted.
    type: list
    elements: path
    default: []
  volume:
    description: A volume to look at, named by exactly one of the keys. Not given means none.
    type: dict
    suboptions:
      id:
        description: Name under C(/dev/disk/by-id), or the id of an OpenStack volume.
        type: str
      label:
        description: Label of its filesystem.
        type: str
      uuid:
        description: UUID of its filesystem.
        type: str
  mount_dir:
    description: Where the volume belongs, and the marker of the data is.
    type: path
    default: /var/lib/labtrack
"""

EXAMPLES = r"""
- name: Look at the machine
  labtrack.mlflow.host_info:
    units: [ssh.service]
    firewall_table: labtrack
    paths: [/]
  register: __host
"""

RETURN = r"""
ssh:
  description: The connection of this run; empty strings when it did not come by SSH.
  returned: success
  type: dict
  sample: {client_address: 192.0.2.7, server_port: "22"}
sshd:
  description: Settings that C(sshd -T) prints; empty without a working C(sshd).
  returned: success
  type: dict
  sample: {passwordauthentication: "no", port: ["22"]}
users:
  description: Accounts by name.
  returned: success
  type: dict
  sample: {root: {uid: 0, home: /root}}
units:
  description: State of the units asked for.
  returned: success
  type: dict
  sample: {ssh.service: {load: loaded, active: active, enabled: enabled}}
container:
  description: Whether the machine is a container, which cannot set the clock.
  returned: success
  type: bool
firewall_policy:
  description: Policy of the table's chain C(input); empty when it is not loaded.
  returned: success
  type: str
  sample: drop
apt_lists:
  description: Whether the package lists have ever been fetched.
  returned: success
  type: bool
free_mb:
  description: Free space by path, in MB.
  returned: success
  type: dict
  sample: {/: 12000}
data:
  description: The marker in O(mount_dir), and the one that this machine has recorded; empty strings for none.
  returned: success
  type: dict
  sample: {marker: a4GQ…, recorded: a4GQ…}
volume:
  description: State of the volume; empty when none was asked for.
  returned: success
  type: dict
  sample: {state: mountable, device: /dev/vdb, filesystem: ext4, uuid: 3e6be9de-8139-4a6d-9106-a43f08d823a6, problem: ''}
"""

import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.labtrack.mlflow.plugins.module_utils import _host
from ansible_collections.labtrack.mlflow.plugins.module_utils._host_volume import Volume


def main():
    """Ask, and return the answers."""
    name = {"type": "str"}
    module = AnsibleModule(
        argument_spec={
            "units": {"type": "list", "elements": "str", "default": []},
            "firewall_table": {"type": "str", "default": ""},
            "paths": {"type": "list", "elements": "path", "default": []},
            "volume": {
                "type": "dict",
                "options": {"id": name, "label": name, "uuid": name},
                "mutually_exclusive": [("id", "label", "uuid")],
                "required_one_of": [("id", "label", "uuid")],
            },
            "mount_dir": {"type": "path", "default": "/var/lib/labtrack"},
        },
        supports_check_mode=True,
    )

    def run(command):
        if not module.get_bin_path(command[0]):
            return 127, ""
        code, out, _err = module.run_command(command, environ_update={"LC_ALL": "C"})
        return code, out

    params = module.params
    table = params["firewall_table"]
    show = ["systemctl", "show", "--property", ",".join(["Id", *_host.UNIT_PROPERTIES]), *params["units"]]
    module.exit_json(
        changed=False,
        ssh=_host.ssh_connection(_host.environment_of_ancestors("SSH_CONNECTION", os.getpid())),
        sshd=_host.sshd_settings(run(["sshd", "-T"])[1]),
        users=_host.users(),
        units=_host.units(run(show)[1], params["units"]) if params["units"] else {},
        container=run(["systemd-detect-virt", "--container", "--quiet"])[0] == 0,
        firewall_policy=_host.firewall_policy(run(["nft", "-j", "list", "table", "inet", table])[1]) if table else "",
        apt_lists=any(Path("/var/lib/apt/lists").glob("*Packages*")),
        free_mb={path: _host.free_mb(path) for path in params["paths"]},
        data={"marker": _host.first_line(Path(params["mount_dir"], _host.MARKER)), "recorded": _host.first_line(Path(_host.MARKER_RECORD))},
        volume=Volume(params["volume"], params["mount_dir"], run).state() if params["volume"] else {},
    )


if __name__ == "__main__":
    main()
