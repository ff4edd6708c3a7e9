#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ec2_credential_info
short_description: S3 keys of an OpenStack user in a project, and how the login was made
version_added: 0.1.0
description:
  - Lists the EC2 credentials of the user who is logged in, in the project of the login. Where this login may not list them, the list is empty and
    RV(reason) says why; that is no failure. A login that does not succeed is one.
  - Says whether the login is an application credential, and when it ends, for a watch that warns in time.
author: labtrack contributors (@labtrack)
extends_documentation_fragment: [labtrack.mlflow.openstack, labtrack.mlflow.attributes.info]
options:
  return_secrets:
    description: Return the secrets, too. The task then needs C(no_log).
    type: bool
    default: false
  variable_names:
    description: What the options are called in the inventory; messages use these names.
    type: dict
    default: {}
seealso:
  - module: labtrack.mlflow.ec2_credential
"""

EXAMPLES = r"""
- name: Look at the login
  labtrack.mlflow.ec2_credential_info:
    cloud: arbutus
  delegate_to: localhost
  register: __cloud

- name: Warn a month before the application credential ends
  ansible.builtin.assert:
    that: __cloud.login.application_credential_expires_at > '%Y-%m-%dT%H:%M' | strftime(second=now().timestamp() + 30 * 86400, utc=true)
  when: __cloud.login.application_credential_expires_at is not none
"""

RETURN = r"""
credentials:
  description: The keys, without secrets unless O(return_secrets=true).
  returned: success
  type: list
  elements: dict
  contains:
    access_key: {description: The access key., type: str, returned: success, sample: 5f3e9c1b7a2d4e608f1c2b3a4d5e6f70}
    secret_key: {description: Its secret., type: str, returned: "with O(return_secrets=true)", sample: 0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f}
    project_id: {description: The project., type: str, returned: success, sample: 9c8b7a6f5e4d4c3b2a1908f7e6d5c4b3}
    user_id: {description: The user., type: str, returned: success, sample: 1f6e3c0b4d5a4c7e9a8b7c6d5e4f3a2b}
    trust_id: {description: The trust by which it was made; empty without., type: str, returned: success, sample: ''}
listable:
  description: Whether this login may list keys.
  returned: success
  type: bool
  sample: true
reason:
  description: Why not, such as V(delegated), V(forbidden) or V(no_s3); as of M(labtrack.mlflow.ec2_credential). On failure, why there is no login.
  returned: always
  type: str
  sample: ''
message:
  description: The same in plain words, with what to do.
  returned: success
  type: str
  sample: ''
s3_endpoints:
  description: Where the S3 interface may be, as the catalogue says, the likeliest first.
  returned: success
  type: list
  elements: str
  sample: ["https://object-arbutus.alliancecan.ca"]
login:
  description: How the login was made.
  returned: success
  type: dict
  contains:
    user_id: {description: The user., type: str, returned: success, sample: 1f6e3c0b4d5a4c7e9a8b7c6d5e4f3a2b}
    user_name: {description: The user's name., type: str, returned: success, sample: someone}
    project_id: {description: The project., type: str, returned: success, sample: 9c8b7a6f5e4d4c3b2a1908f7e6d5c4b3}
    project_name: {description: The project's name., type: str, returned: success, sample: def-someprof}
    methods: {description: Keystone's names of the methods., type: list, elements: str, returned: success, sample: [application_credential]}
    token_expires_at: {description: End of the token., type: str, returned: success, sample: "2026-11-21T18:00:00.000000Z"}
    is_application_credential: {description: "Whether it is one, or a token made with one.", type: bool, returned: success, sample: true}
    application_credential_id: {description: Its id; empty without., type: str, returned: success, sample: 3cd933bbcf824bdc9f77f37692eea60a}
    application_credential_name: {description: Its name., type: str, returned: success, sample: labtrack}
    application_credential_restricted: {description: Null where that is not known., type: bool, returned: success, sample: true}
    application_credential_expires_at: {description: Its end; null for none or unknown., type: str, returned: success, sample: "2027-01-31T00:00:00.000000"}
    application_credential_expiry_known: {description: Whether that end is known., type: bool, returned: success, sample: true}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.labtrack.mlflow.plugins.module_utils._ec2_site import failure, inspect
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_arguments import CLOUD, hide
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_messages import CloudError


def main():
    """Module entry point."""
    own = {"return_secrets": {"type": "bool", "default": False, "no_log": False}, "variable_names": {"type": "dict", "default": {}}}
    module = AnsibleModule(argument_spec={**CLOUD, **own}, supports_check_mode=True, no_log=True)
    hide(module.params, module.no_log_values)
    try:
        result = inspect(module.params)
    except CloudError as error:
        module.fail_json(**failure(error, module.params))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
