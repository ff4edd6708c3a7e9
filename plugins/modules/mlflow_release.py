#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_release
short_description: Install a release of MLflow from a lock file
version_added: 0.1.0
description:
  - Installs the packages of a lock file with C(uv) into an environment of its own, beside the earlier releases. It is built under a
    temporary name and renamed when it is complete, so an interrupted installation never counts as done.
  - C(uv) itself is installed by C(pip) from a lock file, too. Only wheels whose hash is in the lock files are accepted.
  - A release whose Python has left the machine (an upgrade of the distribution) is installed again.
  - Does not start, stop or switch anything.
author: labtrack contributors (@labtrack)
options:
  name:
    description: Name of the release, its directory below O(releases_dir).
    type: str
    required: true
  releases_dir:
    description: Where the releases are.
    type: path
    required: true
  requirements_file:
    description: Lock file with hashes, on the machine.
    type: path
    required: true
  uv_dir:
    description: Where C(uv) is installed. Its parent holds the cache of packages, from which releases share files by hard links.
    type: path
    default: /opt/labtrack/uv/environment
  uv_requirements_file:
    description: Lock file of C(uv), on the machine.
    type: path
    required: true
  server_dir:
    description: Directory on the machine whose files become C(server) in the release.
    type: path
    default: ''
  index_url:
    description: Package index instead of PyPI.
    type: str
    default: ''
  wheelhouse_dir:
    description: Directory on the machine that holds all wheels; no network is used then.
    type: path
    default: ''
  proxy:
    description: Proxy for the downloads.
    type: str
    default: ''
  keep:
    description: How many complete releases to keep, this one included. More are kept when they are in use.
    type: int
    default: 2
  used:
    description: Releases that must not be removed.
    type: list
    elements: str
    default: []
attributes:
  check_mode: {description: Predicts whether something would be installed., support: full}
  diff_mode: {description: There is no difference to show., support: none}
"""

EXAMPLES = r"""
- name: Install MLflow
  labtrack.mlflow.mlflow_release:
    name: 3.17.2-1a2b3c4d
    releases_dir: /opt/labtrack/mlflow/main/releases
    requirements_file: /opt/labtrack/mlflow/main/requirements.txt
    uv_requirements_file: /opt/labtrack/mlflow/main/uv.txt
"""

RETURN = r"""
path:
  description: Directory of the release.
  returned: success
  type: str
  sample: /opt/labtrack/mlflow/main/releases/3.17.2-1a2b3c4d
removed:
  description: Earlier releases that were removed.
  returned: success
  type: list
  elements: str
  sample: [3.16.0-5e6f7a8b]
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_release import Installer, ReleaseError, is_complete


def main() -> None:
    """Install, then remove what is no longer kept."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "releases_dir": {"type": "path", "required": True},
            "requirements_file": {"type": "path", "required": True},
            "uv_dir": {"type": "path", "default": "/opt/labtrack/uv/environment"},
            "uv_requirements_file": {"type": "path", "required": True},
            "server_dir": {"type": "path", "default": ""},
            "index_url": {"type": "str", "default": ""},
            "wheelhouse_dir": {"type": "path", "default": ""},
            "proxy": {"type": "str", "default": ""},
            "keep": {"type": "int", "default": 2},
            "used": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    params = module.params
    release = Path(params["releases_dir"]) / params["name"]
    if module.check_mode or is_complete(release):
        module.exit_json(changed=not is_complete(release), path=str(release), removed=[])

    def run(command, environment):
        code, out, err = module.run_command(command, environ_update=environment)
        if code != 0:
            raise ReleaseError(f"'{' '.join(command)}' failed: {(err or out).strip()[-2000:]}")

    installer = Installer(
        run,
        params["releases_dir"],
        uv_dir=params["uv_dir"],
        index_url=params["index_url"],
        wheelhouse_dir=params["wheelhouse_dir"],
        proxy=params["proxy"],
    )
    try:
        with installer.alone():
            installer.install_uv(params["uv_requirements_file"])
            installed = installer.install(params["name"], params["requirements_file"], params["server_dir"])
            removed = installer.prune(params["keep"], {params["name"], *params["used"]})
    except (ReleaseError, OSError) as error:
        module.fail_json(msg=f"MLflow {params['name']} was not installed; what is running has not been touched. {error}")
    module.exit_json(changed=installed or bool(removed), path=str(release), removed=removed)


if __name__ == "__main__":
    main()
