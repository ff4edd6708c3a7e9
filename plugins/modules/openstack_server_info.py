#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: openstack_server_info
short_description: What stands in the way of a server in an OpenStack cloud
version_added: 0.1.0
description:
  - Asks the cloud all that can be asked before anything is made. Login, roles, image, flavor, zones, networks, key file, names, and quota against
    what would be made.
  - Fails only where the cloud cannot be asked.
author: labtrack contributors (@labtrack)
extends_documentation_fragment: [labtrack.mlflow.openstack, labtrack.mlflow.openstack_server, labtrack.mlflow.attributes.info]
"""

EXAMPLES = r"""
- name: Ask the cloud
  labtrack.mlflow.openstack_server_info:
    cloud: arbutus
    name: lab-mlflow
    site: lab
    host: mlflow
    image: debian-13*
    flavor: p2-3gb
  delegate_to: localhost
  register: __cloud
  failed_when: __cloud.problems | length > 0
"""

RETURN = r"""
problems:
  description: A message each.
  returned: success
  type: list
  elements: str
  sample: ["flavor is 'p9': no such flavor; there are p1-1.5gb, p2-3gb. Accepted: name or id of a flavor. Take one of them ('openstack flavor list')."]
plan:
  description: What would be done.
  returned: success
  type: list
  elements: str
  sample: [create port lab-mlflow]
quota:
  description: What would be made, and what is free (null where no limit is known).
  returned: success
  type: dict
  sample: {instances: {needed: 1, free: 4}}
exists:
  description: Whether the server is there.
  returned: success
  type: bool
  sample: false
status:
  description: Its status in Nova.
  returned: success
  type: str
  sample: ACTIVE
server_id:
  description: Its id.
  returned: success
  type: str
  sample: 1f6e3c0b-4d5a-4c7e-9a8b-7c6d5e4f3a2b
public_address:
  description: Its address, where it is known.
  returned: success
  type: str
  sample: 198.51.100.7
private_address:
  description: Address of its port.
  returned: success
  type: str
  sample: 10.0.0.5
data_volume_id:
  description: Id of its data volume.
  returned: success
  type: str
  sample: 6f3c1c9a-58e2-4a0e-9a67-2d1f0f9b7a11
login:
  description: Who is logged in.
  returned: success
  type: dict
  sample: {project_id: 9c8b7a6f5e4d4c3b2a1908f7e6d5c4b3, project_name: def-someprof, roles: [member]}
reason:
  description: Kind of failure.
  returned: failure
  type: str
  sample: login_scope
"""

import dataclasses

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.labtrack.mlflow.plugins.module_utils._cloud_profiles import ProfileError, profile
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_arguments import CLOUD, connect_arguments, hide
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_cloud import RefusedError
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_connect import connect
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_messages import CloudError
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_patience import Patience
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_manage import examine, failure
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_messages import ServerError, explain
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_options import SERVER
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_wanted import Wanted


def main():
    """Module entry point."""
    module = AnsibleModule(argument_spec={**CLOUD, **SERVER}, supports_check_mode=True)
    params = module.params
    hide(params, module.no_log_values)
    try:
        wanted = Wanted.from_params(params)
        cloud = connect(connect_arguments(params), profile(params["profile"]), Patience(params["timeout"]))
        result = examine(cloud, wanted)
    except (ServerError, RefusedError, CloudError) as error:
        reason, detail, values = failure(error)
        module.fail_json(msg=explain(reason, detail, params, **values), reason=reason)
    except ProfileError as error:
        module.fail_json(msg=str(error), reason="profile")
    problems = [explain(reason, detail, params, **values) for reason, detail, values in result.pop("conflicts")]
    module.exit_json(changed=False, problems=problems, login=dataclasses.asdict(cloud.access), **result)


if __name__ == "__main__":
    main()
