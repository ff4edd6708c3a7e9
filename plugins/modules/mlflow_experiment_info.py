#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_experiment_info
short_description: Experiments of MLflow
version_added: 0.1.0
description: Changes nothing, and does not fail where there is none.
author: labtrack contributors (@labtrack)
extends_documentation_fragment: [labtrack.mlflow.mlflow, labtrack.mlflow.attributes.info]
options:
  name:
    description: Only the one of that name.
    type: str
    default: ''
"""

EXAMPLES = r"""
- name: Look
  labtrack.mlflow.mlflow_experiment_info:
    tracking_uri: https://mlflow.lab.example
    credentials_file: ~/.mlflow/credentials
    name: cells
  register: __found
"""

RETURN = r"""
experiments:
  description: The experiments, deleted ones included.
  returned: success
  type: list
  elements: dict
  sample: [{experiment_id: "42", name: cells, active: true, tags: {group: imaging}, artifact_location: mlflow-artifacts:/42}]
"""

from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_state import experiment_of, read_experiment
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_arguments import run


def work(module, api):
    """Read them."""
    if module.params["name"]:
        found = [one for one in [read_experiment(api, module.params["name"])] if one]
    else:
        found = [experiment_of(row) for row in api.pages("POST", "experiments/search", "experiments", view_type="ALL")]
    rows = [{"experiment_id": one.id, "name": one.name, "active": one.active, "tags": one.tags, "artifact_location": one.artifact_location} for one in found]
    return {"changed": False, "experiments": rows}


def main():
    """Module entry point."""
    run(work, {"name": {"type": "str", "default": ""}})


if __name__ == "__main__":
    main()
