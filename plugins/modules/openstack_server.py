#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: openstack_server
short_description: A server in an OpenStack cloud with all that belongs to it
version_added: 0.1.0
description:
  - Makes key pair, security group, port, floating IP, data volume and server, and the site's network where it shall; waits for SSH; finds out the host keys.
  - Everything carries C(labtrack_site) and C(labtrack_host), and is found again by them. What only has the same name is refused, never taken over.
  - One module and one login, not a chain of modules of openstack.cloud, because those find things by name, take over what is another's, cannot predict
    a whole chain before its first part exists, make things twice where an answer is lost, and leave what failed behind. A chain takes a login for each part.
  - May be interrupted and run again at any time.
author: labtrack contributors (@labtrack)
extends_documentation_fragment: [labtrack.mlflow.openstack, labtrack.mlflow.openstack_server]
options:
  state:
    description:
      - V(present) makes what is missing, corrects rules and attachments, starts the server.
      - V(rebuilt) makes another server with the same volume, port and address.
      - V(absent) removes what belongs to the host. Data volume and floating IP are kept without O(delete_data).
    type: str
    choices: [present, rebuilt, absent]
    default: present
  delete_data:
    description: With O(state=absent), delete the data volume and release the floating IP, too, unless O(floating_ip_address) gave it.
    type: bool
    default: false
  known_hosts_file:
    description: Host keys of an earlier run, as C(known_hosts) returned them. They are believed while the machine answers with one of them.
    type: path
    default: ''
  console_wait_seconds:
    description: How long to wait for the host keys in the console log after SSH answers.
    type: int
    default: 120
  host_key_scan_enabled:
    description: Whether a new machine's first answer on the network is believed where its console log shows no keys.
    type: bool
    default: true
attributes:
  check_mode:
    description: Predicts every step, also when nothing exists yet.
    support: full
  diff_mode:
    description: Shows the steps.
    support: full
"""

EXAMPLES = r"""
- name: Have a server
  labtrack.mlflow.openstack_server:
    cloud: arbutus
    name: lab-mlflow
    site: lab
    host: mlflow
    image: debian-13*
    flavor: p2-3gb
    network: def-*-network
    external_network: Public-Network
    rules:
      - {port: 22, cidrs: [192.0.2.0/24]}
      - {port: 443, cidrs: [0.0.0.0/0]}
    volume_gb: 100
    timeout: 900
  delegate_to: localhost
"""

RETURN = r"""
steps:
  description: What was (or would be) done; on failure, how far it came.
  returned: always
  type: list
  elements: str
  sample: [create port lab-mlflow]
exists:
  description: Whether the server exists after the run.
  returned: success
  type: bool
  sample: true
server_id:
  description: Its id.
  returned: success
  type: str
  sample: 1f6e3c0b-4d5a-4c7e-9a8b-7c6d5e4f3a2b
public_address:
  description: Floating IP, or the port's address where there is none.
  returned: success
  type: str
  sample: 198.51.100.7
private_address:
  description: The port's address.
  returned: success
  type: str
  sample: 10.0.0.5
data_volume_id:
  description: Id of the data volume.
  returned: success
  type: str
  sample: 6f3c1c9a-58e2-4a0e-9a67-2d1f0f9b7a11
known_hosts:
  description: Host keys, as lines of a known_hosts file.
  returned: success
  type: str
  sample: "198.51.100.7 ssh-ed25519 AAAA\n"
host_key_source:
  description: Where they are from, V(record), V(console), or V(network), which is believed without proof.
  returned: success
  type: str
  sample: console
kept:
  description: What a removal left.
  returned: success
  type: list
  elements: str
  sample: [floating IP 198.51.100.7]
reason:
  description: Kind of failure, for a play that acts on it.
  returned: failure
  type: str
  sample: quota
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.labtrack.mlflow.plugins.module_utils._cloud_profiles import ProfileError, profile
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_arguments import CLOUD, connect_arguments, hide
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_cloud import RefusedError
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_connect import connect
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_messages import CloudError
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_patience import Patience
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_manage import failure, manage
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_messages import ServerError, explain
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_options import SERVER
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_wanted import Wanted

OWN = {
    "state": {"type": "str", "choices": ["present", "rebuilt", "absent"], "default": "present"},
    "delete_data": {"type": "bool", "default": False},
    "known_hosts_file": {"type": "path", "default": ""},
    "console_wait_seconds": {"type": "int", "default": 120},
    "host_key_scan_enabled": {"type": "bool", "default": True, "no_log": False},
}


def main():
    """Module entry point."""
    module = AnsibleModule(argument_spec={**CLOUD, **SERVER, **OWN}, supports_check_mode=True)
    params, done = module.params, []
    hide(params, module.no_log_values)
    try:
        wanted = Wanted.from_params(params)
        cloud = connect(connect_arguments(params), profile(params["profile"]), Patience(params["timeout"]))
        result = manage(cloud, wanted, params, module.check_mode, done)
    except (ServerError, RefusedError, CloudError) as error:
        reason, detail, values = failure(error)
        before = f" Done before: {', '.join(done)}." if done else ""
        module.fail_json(msg=explain(reason, detail, params, **values) + before, reason=reason, steps=done, changed=bool(done))
    except ProfileError as error:
        module.fail_json(msg=str(error), reason="profile", steps=[])
    for text in result.pop("warnings"):
        module.warn(f"{params['name']}: {text}.")
    module.exit_json(changed=bool(done), steps=done, diff={"prepared": "".join(f"{step}\n" for step in done)}, **result)


if __name__ == "__main__":
    main()
