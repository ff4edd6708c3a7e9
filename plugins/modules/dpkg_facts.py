#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: dpkg_facts
short_description: Read which Debian packages are installed
version_added: 0.1.0
description:
  - Sets the fact C(packages) with the names and versions of what is installed, and nothing else. P(ansible.builtin.package_facts#module) sets
    the same keys, but opens all of apt's lists for it (0.7 CPU seconds on the host, here 0.2), and Ansible copies what it returns for every later task.
author: labtrack contributors (@labtrack)
extends_documentation_fragment: [labtrack.mlflow.attributes.info]
options: {}
attributes:
  facts:
    description: Returns facts.
    support: full
"""

EXAMPLES = r"""
- name: Read which packages are installed
  labtrack.mlflow.dpkg_facts:

- name: Say which nginx that is
  ansible.builtin.debug:
    var: ansible_facts.packages.nginx
"""

RETURN = r"""
ansible_facts:
  description: The fact.
  returned: success
  type: dict
  contains:
    packages:
      description: Version by name of the package.
      returned: success
      type: dict
      sample: {nginx: 1.26.3-3+deb13u1}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.labtrack.mlflow.plugins.module_utils._host import DPKG_FORMAT, packages


def main():
    """Ask dpkg, and return the answer."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    _code, output, _error = module.run_command(["dpkg-query", "--show", f"--showformat={DPKG_FORMAT}"], check_rc=True)
    module.exit_json(changed=False, ansible_facts={"packages": packages(output)})


if __name__ == "__main__":
    main()
