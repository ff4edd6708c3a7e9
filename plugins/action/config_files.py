# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders the templates of config_files on the controller, then runs the module once."""

from __future__ import annotations

import base64
import os

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template


class ActionModule(ActionBase):
    """See the module's DOCUMENTATION."""

    def run(self, tmp=None, task_vars=None):
        """Replace C(template) by its rendered content, mark secret content, and call the module."""
        result = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        arguments["files"] = [self._content(dict(item), task_vars) for item in arguments.get("files") or []]
        result.update(self._execute_module(module_name="labtrack.mlflow.config_files", module_args=arguments, task_vars=task_vars))
        return result

    def _render(self, name, task_vars):
        """Content of a template. The lookup of that name copies all variables for each file, which is most of its CPU time."""
        path = self._find_needle("templates", name)
        roots = [os.path.dirname(path), *task_vars.get("ansible_search_path", [])]
        templar = self._templar.copy_with_new_env(searchpath=roots, available_variables=task_vars)
        text = templar.template(trust_as_template(self._loader.get_text_file_contents(path)), escape_backslashes=False, overrides={"trim_blocks": True})
        return str(text).rstrip("\n") + "\n"

    def _content(self, item, task_vars):
        sources = [key for key in ("template", "content", "secret_content", "generate") if item.get(key) is not None]
        if len(sources) != 1:
            raise AnsibleActionFail(f"files: '{item.get('dest')}' wants one of template, content, secret_content, generate; it has {sources or 'none'}.")
        if "template" in sources:
            item["content"] = self._render(item.pop("template"), task_vars)
        if item.get("secret") and item.get("content") is not None:
            item["secret_content"] = item.pop("content")
        if item.get("secret_content") is not None:
            # one line: Ansible logs the arguments with line feeds escaped, and would not find a secret of several lines to hide it
            item["secret_content"] = base64.b64encode(item["secret_content"].encode()).decode()
        return item
