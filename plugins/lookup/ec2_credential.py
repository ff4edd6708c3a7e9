# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lookup of a recorded S3 key."""

from __future__ import annotations

DOCUMENTATION = r"""
name: ec2_credential
author:
  - labtrack contributors (@labtrack)
version_added: 0.1.0
short_description: The S3 key that M(labtrack.mlflow.ec2_credential) recorded
description:
  - Reads the record, on the controller. The file may be encrypted with ansible-vault; then the module cannot change it.
options:
  _terms:
    description: Paths of records; a relative one is looked for as those of other lookups are.
    required: true
  field:
    description: Which part to return. V(all) returns a dictionary of them.
    type: str
    choices: [all, access_key, secret_key, previous_access_key, s3_endpoint, s3_region, project_id, user_id, created_at]
    default: all
"""

EXAMPLES = r"""
# inventories/<site>/group_vars/all/secrets.yml
site_s3_access_key: "{{ lookup('labtrack.mlflow.ec2_credential', inventory_dir ~ '/s3_key.json', field='access_key') }}"
site_s3_secret_key: "{{ lookup('labtrack.mlflow.ec2_credential', inventory_dir ~ '/s3_key.json', field='secret_key') }}"
"""

RETURN = r"""
_raw:
  description: The part that was asked for, one for each path.
  type: list
  elements: raw
  sample: [5f3e9c1b7a2d4e608f1c2b3a4d5e6f70]
"""

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible_collections.labtrack.mlflow.plugins.module_utils._ec2_record import fields


class LookupModule(LookupBase):
    """See DOCUMENTATION."""

    def run(self, terms, variables=None, **kwargs):
        """One part, or all, of each record."""
        self.set_options(var_options=variables, direct=kwargs)
        found = []
        for term in terms:
            path = self.find_file_in_search_path(variables, "files", term, ignore_missing=True)
            if not path:
                raise AnsibleError(
                    f"ec2_credential: '{term}' is no file on this machine. Accepted: the record that the module labtrack.mlflow.ec2_credential wrote. "
                    "Run that module first with this path, or set the variables for the S3 key to a key of your own."
                )
            try:
                parts = fields(self._loader.get_text_file_contents(path))
            except ValueError as error:
                raise AnsibleError(
                    f"ec2_credential: '{term}' cannot be used: {error}. Accepted: the record that the module labtrack.mlflow.ec2_credential wrote. "
                    "Run that module again with this path."
                ) from error
            name = self.get_option("field")
            found.append(parts if name == "all" else parts[name])
        return found
