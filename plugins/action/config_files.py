# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders the templates of config_files on the controller, then runs the module once."""

from __future__ import annotations

import base64

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import lookup_loader


class ActionModule(ActionBase):
    """See the module's DOCUMENTATION."""

    def run(self, tmp=None, task_vars=None):
        """Replace C(template) by its rendered content, mark secret content, and call the module."""
        result = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        arguments["files"] = [self._render(dict(item), task_vars) for item in arguments.get("files") or []]
        result.update(self._execute_module(module_name="labtrack.mlflow.config_files", module_args=arguments, task_vars=task_vars))
        return result

    def _render(self, item, task_vars):
        sources = [key for key in ("template", "content", "secret_content", "generate") if item.get(key) is not None]
        if len(sources) != 1:
            raise AnsibleActionFail(f"files: '{item.get('dest')}' wants one of template, content, secret_content, generate; it has {sources or 'none'}.")
        if "template" in sources:
            lookup = lookup_loader.get("ansible.builtin.template", loader=self._loader, templar=self._templar)
            item["content"] = lookup.run([item.pop("template")], variables=task_vars)[0].rstrip("\n") + "\n"
        if item.get("secret") and item.get("content") is not None:
            item["secret_content"] = item.pop("content")
        if item.get("secret_content") is not None:
            # one line: Ansible logs the arguments with line feeds escaped, and would not find a secret of several lines to hide it
            item["secret_content"] = base64.b64encode(item["secret_content"].encode()).decode()
        return item
