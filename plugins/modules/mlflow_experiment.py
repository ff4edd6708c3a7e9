#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mlflow_experiment
short_description: An experiment of MLflow
version_added: 0.1.0
description:
  - Makes an experiment, sets tags, deletes it as MLflow's pages do (it can be restored until C(playbooks/gc.yml) removes it), and restores it.
author: labtrack contributors (@labtrack)
extends_documentation_fragment: [labtrack.mlflow.mlflow]
options:
  name:
    description: Name of the experiment.
    type: str
    required: true
  artifact_location:
    description: Where its artifacts are, for a new experiment. Servers of this collection take none, and choose the folder themselves.
    type: str
    default: ''
  tags:
    description: Tags to set; others stay.
    type: dict
    default: {}
  state:
    description: V(absent) deletes it, in a way that V(present) takes back.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Have an experiment
  labtrack.mlflow.mlflow_experiment:
    tracking_uri: https://mlflow.lab.example
    credentials_file: ~/.mlflow/credentials
    name: cells
    tags: {group: imaging}
"""

RETURN = r"""
done:
  description: What was done, or would be.
  returned: success
  type: list
  elements: str
  sample: [add experiment cells]
experiment_id:
  description: Its id; empty in check mode where it would be made.
  returned: success
  type: str
  sample: "42"
"""

from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_apply import Applier
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_plan import Step, experiment_steps
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_state import read_experiment
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_access_wanted import refuse, wished_tags
from ansible_collections.labtrack.mlflow.plugins.module_utils._mlflow_arguments import STATE, run, told


def work(module, api):
    """Compare, and do what is missing."""
    params, name = module.params, module.params["name"]
    found = read_experiment(api, name)
    if params["state"] == "absent":
        steps = [Step("delete_experiment", (found.id,), f"experiment {name}")] if found and found.active else []
    else:
        if found and params["artifact_location"] and params["artifact_location"].rstrip("/") != found.artifact_location.rstrip("/"):
            refuse("artifact_location", params["artifact_location"], f"the artifacts of {name} are in {found.artifact_location}", "that, or nothing",
                   "Leave it out; MLflow does not move artifacts")  # fmt: skip
        steps = experiment_steps(found, name, wished_tags(params), params["artifact_location"])
    applier = Applier(api)
    if not module.check_mode:
        applier.do(steps)
    return {**told(steps), "experiment_id": found.id if found else applier.experiments.get(name, "")}


def main():
    """Module entry point."""
    options = {
        "name": {"type": "str", "required": True},
        "artifact_location": {"type": "str", "default": ""},
        "tags": {"type": "dict", "default": {}},
        "state": STATE,
    }
    run(work, options)


if __name__ == "__main__":
    main()
