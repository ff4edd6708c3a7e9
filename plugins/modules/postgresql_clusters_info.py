#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: postgresql_clusters_info
short_description: List the PostgreSQL clusters of a Debian machine from their files
version_added: 0.1.0
description:
  - Reads what C(pg_lsclusters) reads, without needing PostgreSQL to be installed or running. Changes nothing.
author: labtrack contributors (@labtrack)
extends_documentation_fragment: [labtrack.mlflow.attributes.info]
options:
  data_dir:
    description: Data directory to look at and beside. Its path is expected to end in C(<version>/<name>).
    type: path
    required: true
"""

EXAMPLES = r"""
- name: See who uses which port
  labtrack.mlflow.postgresql_clusters_info:
    data_dir: /var/lib/labtrack/postgresql/17/labtrack
  register: found
"""

RETURN = r"""
clusters:
  description: Clusters below C(/etc/postgresql). C(untouched) tells that a cluster holds only the databases that initdb makes.
  returned: always
  type: list
  elements: dict
  sample:
    - {version: '17', name: main, config_dir: /etc/postgresql/17/main, data_directory: /var/lib/postgresql/17/main, port: 5432, start: auto, untouched: true}
data_versions:
  description: Versions whose data lies at O(data_dir), or beside it under another version.
  returned: always
  type: list
  elements: str
  sample: ['15']
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.labtrack.mlflow.plugins.module_utils import _postgresql_clusters


def main() -> None:
    """Module entry point."""
    module = AnsibleModule(argument_spec={"data_dir": {"type": "path", "required": True}}, supports_check_mode=True)
    module.exit_json(
        changed=False,
        clusters=_postgresql_clusters.clusters(),
        data_versions=_postgresql_clusters.data_versions(module.params["data_dir"]),
    )


if __name__ == "__main__":
    main()
