#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: s3_server_info
short_description: Read what a machine holds of a single-node Ceph object store, in one run
version_added: 0.1.0
description:
  - Answers in one module run what the role object_store_server has to know before it changes anything - whether a Ceph cluster of
    somebody else is there, free space, whether the port is free, what is on the block device, the state of the units.
  - Changes nothing, and never fails because something is absent.
author: labtrack contributors (@labtrack)
extends_documentation_fragment: [labtrack.mlflow.attributes.info]
options:
  data_dir:
    description: Directory of the store.
    type: path
    required: true
  address:
    description: Address that the gateway shall listen on.
    type: str
    required: true
  port:
    description: Port that the gateway shall listen on.
    type: int
    required: true
  device:
    description: Block device for the data; empty for a file.
    type: path
    default: ''
  units:
    description: Units of the store.
    type: list
    elements: str
    default: []
  files:
    description: Files whose presence is wanted.
    type: list
    elements: path
    default: []
"""

EXAMPLES = r"""
- name: Look at the machine
  labtrack.mlflow.s3_server_info:
    data_dir: /var/lib/labtrack/object_store_server
    address: 127.0.0.1
    port: 7443
    units: [ceph-mon@main.service]
  register: __store
"""

RETURN = r"""
bootstrapped:
  description: Whether the store has been created completely.
  returned: success
  type: bool
configuration:
  description: Whose C(/etc/ceph/ceph.conf) is there, V(absent), V(ours) or V(foreign).
  returned: success
  type: str
  sample: absent
foreign_daemons:
  description: Data directories of Ceph daemons that are not ours.
  returned: success
  type: list
  elements: str
  sample: [/var/lib/ceph/osd/ceph-3]
free_mb:
  description: Free space for the data directory.
  returned: success
  type: int
  sample: 51200
linked_device:
  description: Device that the store of this machine was made on; empty when it has a file, or was not made.
  returned: success
  type: str
  sample: /dev/disk/by-id/virtio-1
growing:
  description: Whether a growth of the file was begun and not finished.
  returned: success
  type: bool
file_size_gb:
  description: Size of the file that holds the data; 0 when there is none.
  returned: success
  type: int
  sample: 20
port:
  description: V(free), V(used), V(no_address) or V(denied). A running store of ours uses its own port.
  returned: success
  type: str
  sample: free
device:
  description: State of the block device; empty when none was asked for.
  returned: success
  type: dict
  sample: {path: /dev/disk/by-id/virtio-1, exists: true, block: true, size_gb: 100, content: ''}
units:
  description: State of the units asked for.
  returned: success
  type: dict
  sample: {ceph-mon@main.service: {active: active, enabled: enabled}}
missing_files:
  description: Those of the files asked for that are not there.
  returned: success
  type: list
  elements: str
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.labtrack.mlflow.plugins.module_utils import _s3_server


def main():
    """Ask, and return the answers."""
    module = AnsibleModule(
        argument_spec={
            "data_dir": {"type": "path", "required": True},
            "address": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "device": {"type": "path", "default": ""},
            "units": {"type": "list", "elements": "str", "default": []},
            "files": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )

    def run(command, text=""):
        if not module.get_bin_path(command[0]):
            return 127, "", ""
        return module.run_command(command, data=text, environ_update={"LC_ALL": "C"})

    params = module.params
    block = os.path.join(params["data_dir"], "osd", "block")
    show = ["systemctl", "show", "--property=Id,ActiveState,UnitFileState", *params["units"]]
    module.exit_json(
        changed=False,
        bootstrapped=os.path.exists(os.path.join(params["data_dir"], "bootstrapped")),
        configuration=_s3_server.configuration("/etc/ceph/ceph.conf"),
        foreign_daemons=_s3_server.foreign_daemons("/var/lib/ceph", params["data_dir"]),
        free_mb=_s3_server.free_mb(params["data_dir"]),
        linked_device=os.readlink(block) if os.path.islink(block) else "",
        growing=os.path.exists(os.path.join(params["data_dir"], "growing")),
        file_size_gb=os.path.getsize(block) // 2**30 if os.path.isfile(block) else 0,
        port=_s3_server.port_state(params["address"], params["port"]),
        device=_s3_server.device(params["device"], run) if params["device"] else {},
        units=_s3_server.units(run(show)[1]) if params["units"] else {},
        missing_files=[path for path in params["files"] if not os.path.exists(path)],
    )


if __name__ == "__main__":
    main()
