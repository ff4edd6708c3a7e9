#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: config_files
short_description: Write all configuration files of a service in one module run
version_added: 0.1.0
description:
  - Makes directories, files, links and absences of one service, in that order, in one run on the host. P(ansible.builtin.template#module)
    needs two module runs a file (about 0.4 CPU seconds each); this one needs one for all of them.
  - Remembers which configuration the service was last started with. The task is C(changed) when something changed, or when the
    service was not restarted after an earlier change, for instance because the play was interrupted. So a handler that was lost is not lost.
  - All files are checked before the first one is replaced; what a common check refuses is put back.
author:
  - labtrack contributors (@labtrack)
options:
  name:
    description: Key of the record, one for each service.
    type: str
    required: true
  state:
    description:
      - V(present) writes the files.
      - V(applied) records that the service now runs with what was written last; the last handler of a role does this.
    type: str
    choices: [present, applied]
    default: present
  directories:
    description: Directories to make, parents included.
    type: list
    elements: dict
    default: []
    suboptions:
      path: {description: Absolute path., type: path, required: true}
      mode: {description: Octal mode., type: str, default: "0755"}
      owner: {description: User., type: str, default: root}
      group: {description: Group., type: str, default: root}
  files:
    description: Files to write. Each has one of O(files[].template), O(files[].content), O(files[].secret_content), O(files[].generate).
    type: list
    elements: dict
    default: []
    suboptions:
      dest: {description: Absolute path., type: path, required: true}
      template: {description: Template in the role's C(templates/); rendered on the controller., type: str}
      content: {description: The content., type: str}
      secret: {description: The content is secret and appears in no diff and no result., type: bool, default: false}
      secret_content: {description: "The same as O(files[].content) with O(files[].secret=true). The action sends it to the host in base64.", type: str}
      generate: {description: Write that many random URL-safe characters (6 bits each) once; never replace them., type: int}
      force: {description: Replace a file that exists., type: bool, default: true}
      validate: {description: Check command for this file alone; C(%s) is the candidate's path., type: str}
      mode: {description: Octal mode., type: str, default: "0644"}
      owner: {description: User., type: str, default: root}
      group: {description: Group., type: str, default: root}
  links:
    description: Symbolic links to make. A directory for them that is missing is made, too.
    type: list
    elements: dict
    default: []
    suboptions:
      path: {description: The link., type: path, required: true}
      target: {description: Where it points., type: str, required: true}
  absent:
    description: Files and links to remove. Directories are refused.
    type: list
    elements: path
    default: []
  watch:
    description: Files of others whose content the service reads at start, for instance a certificate. A change counts as pending.
    type: list
    elements: path
    default: []
  units:
    description: Units to look at, so that a role need not ask in a module run of its own whether its service runs.
    type: list
    elements: str
    default: []
  validate:
    description: Check command for all files together, run after they are in place; when it fails, the earlier content is put back.
    type: str
  record_dir:
    description: Where the records are.
    type: path
    default: /var/lib/labtrack-config
attributes:
  check_mode: {description: Predicts what would change. Checks are not run., support: full}
  diff_mode: {description: Shows contents except secret ones., support: full}
"""

EXAMPLES = r"""
- name: configure | Write the configuration
  labtrack.mlflow.config_files:
    name: reverse_proxy
    files:
      - {dest: /etc/nginx/conf.d/labtrack.conf, template: site.conf.j2}
      - {dest: /etc/labtrack/cookie, generate: 43, mode: "0600"}
    watch: [/etc/labtrack/tls/fullchain.pem]
    validate: nginx -t
  notify: Reload nginx

- name: Record the applied configuration (last handler)
  labtrack.mlflow.config_files:
    name: reverse_proxy
    state: applied
"""

RETURN = r"""
changed_paths:
  description: Paths that were (or would be) made, written, linked or removed.
  returned: always
  type: list
  elements: str
  sample: [/etc/nginx/conf.d/labtrack.conf]
pending:
  description: Whether the service still has to be restarted or reloaded.
  returned: always
  type: bool
  sample: true
units_down:
  description: Those of O(units) that do not run, or are not enabled at boot.
  returned: when O(state=present)
  type: list
  elements: str
  sample: [nginx.service]
"""

import base64

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.labtrack.mlflow.plugins.module_utils._config_arguments import OPTIONS, attributes, file
from ansible_collections.labtrack.mlflow.plugins.module_utils._config_files import ConfigFilesError, Record, read
from ansible_collections.labtrack.mlflow.plugins.module_utils._config_plan import Plan
from ansible_collections.labtrack.mlflow.plugins.module_utils._host import UNIT_PROPERTIES, units


def present(params: dict, check: bool) -> dict:
    """Compare and write; the module's result."""
    plan = Plan(Record(params["record_dir"], params["name"]), check)
    files = [file(item) for item in params["files"]]
    plan.directories((item["path"], attributes(item)) for item in params["directories"])
    contents = plan.files(files, params["validate"])
    contents.update(plan.links([(item["path"], item["target"]) for item in params["links"]]))
    plan.absent(params["absent"])
    contents.update({path: read(path) for path in params["watch"]})
    pending = plan.finish(contents)
    return {"changed": bool(plan.changed) or pending, "changed_paths": plan.changed, "pending": pending, "diff": plan.diff}


def applied(params: dict, check: bool) -> dict:
    """Record that the service runs with what was written."""
    return {"changed": Record(params["record_dir"], params["name"]).apply(check), "changed_paths": [], "pending": False}


def down(module: AnsibleModule, names: list) -> list:
    """The units that do not run, or are not enabled."""
    show = ["systemctl", "show", "--property", ",".join(["Id", *UNIT_PROPERTIES]), *names]
    found = units(module.run_command(show, environ_update={"LC_ALL": "C"})[1], names) if names else {}
    return [name for name in names if (found.get(name, {}).get("active"), found.get(name, {}).get("enabled")) != ("active", "enabled")]


def main() -> None:
    """Module entry point."""
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    try:
        if module.params["state"] == "applied":
            module.exit_json(**applied(module.params, module.check_mode))
        module.exit_json(**present(module.params, module.check_mode), units_down=down(module, module.params["units"]))
    except (ConfigFilesError, OSError) as error:
        secrets = [base64.b64decode(item["secret_content"]).decode() for item in module.params["files"] if item["secret_content"]]
        module.no_log_values.update(line for content in secrets for line in content.splitlines() if line)  # a check command may print them
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
