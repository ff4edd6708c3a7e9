#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_registered_model
short_description: A registered model of MLflow
version_added: 0.1.0
description:
  - Makes a registered model, sets description, tags and aliases, and removes it. MLflow keeps nothing of a removed model, so one that has versions is
    removed only with O(versions_removed).
author: labtrack contributors (@labtrack)
extends_documentation_fragment: [labtrack.mlflow.mlflow]
options:
  name:
    description: Name of the model.
    type: str
    required: true
  description:
    description: Description; without it the one that is there stays.
    type: str
  tags:
    description: Tags to set; others stay.
    type: dict
    default: {}
  aliases:
    description: Versions by alias; an empty version takes the alias away. Others stay.
    type: dict
    default: {}
  versions_removed:
    description: Let O(state=absent) remove a model that has versions, for good.
    type: bool
    default: false
  state:
    description: Whether the model is there.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Serve another version
  labtrack.mlflow.mlflow_registered_model:
    tracking_uri: https://mlflow.lab.example
    credentials_file: ~/.mlflow/credentials
    name: segmenter
    aliases: {champion: "7"}
"""

RETURN = r"""
done:
  description: What was done, or would be.
  returned: success
  type: list
  elements: str
  sample: ["change segmenter@champion: version 6 to segmenter@champion: version 7"]
"""

from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_apply import Applier
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_plan import Step, model_steps
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_state import read_model
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_wanted import refuse, wished_tags
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_arguments import STATE, run, told


def alias_steps(found, name, aliases):
    """What is missing of the aliases."""
    steps, known = [], found.aliases if found else {}
    for alias, version in aliases.items():
        before = f"{name}@{alias}: version {known[alias]}" if alias in known else ""
        if version and str(version) != known.get(alias):
            steps.append(Step("set_alias", (name, alias, str(version)), before, f"{name}@{alias}: version {version}"))
        if not version and alias in known:
            steps.append(Step("delete_alias", (name, alias), before))
    return steps


def work(module, api):
    """Compare, and do what is missing."""
    params, name = module.params, module.params["name"]
    found = read_model(api, name)
    if params["state"] == "absent":
        if found and found.versions and not params["versions_removed"]:
            refuse("name", name, f"the model has versions (the newest: {', '.join(found.versions)}), which would be lost", "a model without versions",
                   "Set versions_removed to remove them for good")  # fmt: skip
        steps = [Step("delete_model", (name,), f"registered model {name}")] if found else []
    else:
        steps = model_steps(found, name, {"description": params["description"], "tags": wished_tags(params)}) + alias_steps(found, name, params["aliases"])
    if not module.check_mode:
        Applier(api).do(steps)
    return told(steps)


def main():
    """Module entry point."""
    options = {
        "name": {"type": "str", "required": True},
        "description": {"type": "str"},
        "tags": {"type": "dict", "default": {}},
        "aliases": {"type": "dict", "default": {}},
        "versions_removed": {"type": "bool", "default": False},
        "state": STATE,
    }
    run(work, options)


if __name__ == "__main__":
    main()
