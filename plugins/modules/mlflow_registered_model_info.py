#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_registered_model_info
short_description: Registered models of MLflow
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
  labtrack.mlflow.mlflow_registered_model_info:
    tracking_uri: https://mlflow.lab.example
    credentials_file: ~/.mlflow/credentials
    name: segmenter
  register: __found
"""

RETURN = r"""
registered_models:
  description: The models; C(versions) has the newest of each stage.
  returned: success
  type: list
  elements: dict
  sample: [{name: segmenter, description: '', tags: {}, aliases: {champion: "7"}, versions: ["7"]}]
"""

import dataclasses

from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_state import model_of, read_model
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_arguments import run


def work(module, api):
    """Read them."""
    if module.params["name"]:
        found = [one for one in [read_model(api, module.params["name"])] if one]
    else:
        found = [model_of(row) for row in api.pages("GET", "registered-models/search", "registered_models")]
    return {"changed": False, "registered_models": [dataclasses.asdict(one) for one in found]}


def main():
    """Module entry point."""
    run(work, {"name": {"type": "str", "default": ""}})


if __name__ == "__main__":
    main()
