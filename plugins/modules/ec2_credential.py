#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ec2_credential
short_description: An S3 key of an OpenStack project, made by Keystone, tried at the store, recorded in a file
version_added: 0.1.0
description:
  - Makes an EC2 credential for the user and the project of the login, or finds the one that is recorded. Keys that are not recorded are left alone.
  - A new key has to be accepted by the store (a signed ListBuckets) before its secret is written or returned; one that is not is deleted again.
  - The record O(path) is JSON, mode 0600, and is replaced as a whole; P(labtrack.mlflow.ec2_credential#lookup) reads it. It also says how far a run came,
    so that the next run goes on where one was interrupted.
  - Where the login may not list keys, as most application credentials, a recorded key is tried at the store alone.
author: labtrack contributors (@labtrack)
extends_documentation_fragment: [labtrack.mlflow.openstack]
options:
  state:
    description:
      - V(present) has one key that works, the recorded one if it still exists.
      - V(rotated) makes another one and keeps the earlier one as C(previous). As long as there is an earlier one, it makes no further one.
      - V(retired) deletes the earlier one, if the one in use works. The store may accept a deleted key for some more minutes (Ceph for five).
      - V(absent) deletes all recorded keys and the record; with O(access_key), that key alone.
    type: str
    choices: [present, rotated, retired, absent]
    default: present
  path:
    description: The record. Its directory has to exist.
    type: path
    default: ''
  access_key:
    description:
      - Without O(path), the access key that the caller has recorded elsewhere; a new one is made where it does not exist.
      - With O(path), an existing key of this user to use from now on; the recorded one becomes C(previous). This also takes a rotation back.
    type: str
    default: ''
  foreign_access_keys:
    description: Keys that belong to others, for the case that a creation was interrupted and it is not clear which key came of it.
    type: list
    elements: str
    default: []
  return_secret:
    description: Return the secret, and not only write it to O(path). The task then needs C(no_log).
    type: bool
    default: false
  s3_endpoint:
    description: URL of the store, C(https://host[:port]); empty means the recorded one, then the one that the catalogue names.
    type: str
    default: ''
  s3_region:
    description: Region that requests to the store are signed for.
    type: str
    default: us-east-1
  s3_ca_file:
    description: PEM file with the CA of the store; empty means the system's CAs.
    type: path
    default: ''
  s3_ca_pem:
    description: The same as text; then O(s3_ca_file) is not read.
    type: str
    default: ''
  variable_names:
    description: What the options are called in the inventory; messages use these names.
    type: dict
    default: {}
attributes:
  check_mode:
    description: Predicts what would be done; asks Keystone and the store, and changes nothing.
    support: full
  diff_mode:
    description: Shows access keys, never secrets.
    support: full
"""

EXAMPLES = r"""
- name: Have a key
  labtrack.mlflow.ec2_credential:
    cloud: arbutus
    path: "{{ inventory_dir }}/s3_key.json"
    s3_endpoint: https://object-arbutus.alliancecan.ca
  delegate_to: localhost

# A rotation: a new key, written; the play that uses it; then the earlier one goes. Each step may be repeated.
- name: Make another key
  labtrack.mlflow.ec2_credential: {cloud: arbutus, path: "{{ inventory_dir }}/s3_key.json", state: rotated}
  delegate_to: localhost

- name: Delete the earlier key
  labtrack.mlflow.ec2_credential: {cloud: arbutus, path: "{{ inventory_dir }}/s3_key.json", state: retired}
  delegate_to: localhost

- name: Have a key, or find out that this login can make none
  labtrack.mlflow.ec2_credential:
    cloud: arbutus
    path: "{{ inventory_dir }}/s3_key.json"
  register: __key
  failed_when: __key is failed and __key.reason not in ['delegated', 'no_s3']
"""

RETURN = r"""
access_key:
  description: The key in use; V((new)) in check mode where one would be made.
  returned: success
  type: str
  sample: 5f3e9c1b7a2d4e608f1c2b3a4d5e6f70
secret_key:
  description: Its secret.
  returned: success and O(return_secret=true), not in check mode where there would be a change
  type: str
  sample: 0c9d8e7f6a5b4c3d2e1f0a9b8c7d6e5f
previous_access_key:
  description: The earlier key, while a rotation is not finished.
  returned: success
  type: str
  sample: ''
done:
  description: What was (or would be) done.
  returned: success
  type: list
  elements: str
  sample: [create]
s3_endpoint:
  description: The store at which the key was tried.
  returned: success
  type: str
  sample: https://object-arbutus.alliancecan.ca
s3_region:
  description: The region that was signed for.
  returned: success
  type: str
  sample: us-east-1
user_id:
  description: User of the login.
  returned: success
  type: str
  sample: 1f6e3c0b4d5a4c7e9a8b7c6d5e4f3a2b
project_id:
  description: Project of the login, to which the key belongs.
  returned: success
  type: str
  sample: 9c8b7a6f5e4d4c3b2a1908f7e6d5c4b3
project_name:
  description: Its name.
  returned: success
  type: str
  sample: def-someprof
reason:
  description:
    - Why there is no key, for a play that acts on it.
    - V(delegated) (an application credential, and the cloud lets none make keys), V(no_s3) (use another store), V(forbidden), V(quota);
      V(login), V(login_scope), V(login_expired), V(no_project), V(wrong_region), V(config), V(cloud_options), V(sdk), V(tls);
      V(unavailable) (try again later), V(verification) and V(store) (the store refuses the key, or cannot be used),
      V(create_unclear), V(rotating), V(adopt), V(other_user), V(wrong_project), V(record), V(arguments).
  returned: failure
  type: str
  sample: delegated
kind:
  description: With V(store), what is wrong with it, as in M(labtrack.mlflow.s3_doctor).
  returned: failure
  type: str
  sample: tls_ca
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.labtrack.mlflow.plugins.module_utils._ec2_site import failure, manage
from ansible_collections.labtrack.mlflow.plugins.module_utils._ec2_store import STORE
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_arguments import CLOUD, hide
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_messages import CloudError
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_arguments import file_from_text
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_http import StoreError

KEY = {
    "state": {"type": "str", "choices": ["present", "rotated", "retired", "absent"], "default": "present"},
    "path": {"type": "path", "default": ""},
    "access_key": {"type": "str", "default": "", "no_log": False},
    "foreign_access_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "return_secret": {"type": "bool", "default": False, "no_log": False},
}


def main():
    """Module entry point."""
    module = AnsibleModule(argument_spec={**CLOUD, **STORE, **KEY}, supports_check_mode=True, no_log=True)
    params = module.params
    hide(params, module.no_log_values)
    file_from_text(module, "s3_")
    try:
        result = manage(params, module.check_mode)
    except (CloudError, StoreError) as error:
        module.fail_json(**failure(error, params))
    for text in result.pop("warnings"):
        module.warn(text)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
