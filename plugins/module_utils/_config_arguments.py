# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the module config_files, and what they mean in its plan."""

from __future__ import annotations

import base64

from ansible_collections.labtrack.mlflow.plugins.module_utils._config_files import Attributes, ConfigFilesError, File

_MODE = {"mode": {"type": "str", "default": "0644"}, "owner": {"type": "str", "default": "root"}, "group": {"type": "str", "default": "root"}}
_FILE = {
    "dest": {"type": "path", "required": True},
    "template": {"type": "str"},
    "content": {"type": "str"},
    "secret": {"type": "bool", "default": False, "no_log": False},
    "secret_content": {"type": "str", "no_log": True},
    "generate": {"type": "int"},
    "force": {"type": "bool", "default": True},
    "validate": {"type": "str"},
    **_MODE,
}
_DIRECTORY = {"path": {"type": "path", "required": True}, **_MODE, "mode": {"type": "str", "default": "0755"}}
_LINK = {"path": {"type": "path", "required": True}, "target": {"type": "str", "required": True}}
OPTIONS = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "applied"], "default": "present"},
    "directories": {"type": "list", "elements": "dict", "default": [], "options": _DIRECTORY},
    "files": {"type": "list", "elements": "dict", "default": [], "options": _FILE},
    "links": {"type": "list", "elements": "dict", "default": [], "options": _LINK},
    "absent": {"type": "list", "elements": "path", "default": []},
    "watch": {"type": "list", "elements": "path", "default": []},
    "units": {"type": "list", "elements": "str", "default": []},
    "validate": {"type": "str"},
    "record_dir": {"type": "path", "default": "/var/lib/labtrack-config"},
}


def attributes(item: dict) -> Attributes:
    """Attributes of a directory or file option."""
    return Attributes(item["owner"], item["group"], int(item["mode"], 8))


def file(item: dict) -> File:
    """File from its option."""
    content = item["content"]
    if item["secret_content"] is not None:
        content = base64.b64decode(item["secret_content"]).decode()
    if content is None and item["generate"] is None:
        raise ConfigFilesError(f"files: '{item['dest']}' has neither template, content nor generate.")
    secret = item["secret"] or item["secret_content"] is not None
    return File(item["dest"], attributes(item), content, item["generate"], secret, item["validate"], item["force"])
