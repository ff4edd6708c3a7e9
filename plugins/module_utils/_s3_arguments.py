# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options shared by the modules for S3 stores, as in the doc fragment C(s3)."""

from __future__ import annotations

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

CONNECTION: dict[str, dict[str, t.Any]] = {
    "endpoint": {"type": "str", "required": True},
    "access_key": {"type": "str", "required": True, "no_log": False},
    "secret_key": {"type": "str", "required": True, "no_log": True},
    "region": {"type": "str", "default": "us-east-1"},
    "ca_file": {"type": "path", "default": ""},
    "ca_pem": {"type": "str", "default": ""},
    "bucket": {"type": "str", "required": True},
    "variable_names": {"type": "dict", "default": {}},
}
VISIBLE = ("endpoint", "access_key", "region", "ca_file", "bucket", "python")
PYTHON: dict[str, dict[str, t.Any]] = {
    "python": {"type": "path", "required": True},
    "timeout_seconds": {"type": "int", "default": 300},
}


def module_for(spec: dict[str, dict[str, t.Any]], **options: t.Any) -> AnsibleModule:
    """A module whose CA is a file in any case: one that was given as text lies in the module's temporary directory."""
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True, **options)
    file_from_text(module, "")
    return module


def file_from_text(module: AnsibleModule, prefix: str) -> None:
    """Write the option C(ca_pem) to a file, and let C(ca_file) name it."""
    params = module.params
    if not params[f"{prefix}ca_pem"]:
        return
    params[f"{prefix}ca_file"] = os.path.join(module.tmpdir, "ca.pem")
    with open(params[f"{prefix}ca_file"], "w", encoding="utf-8") as file:
        file.write(params[f"{prefix}ca_pem"])
    names = params["variable_names"]
    params["variable_names"] = {**names, f"{prefix}ca_file": names.get(f"{prefix}ca_pem", f"{prefix}ca_pem")}


def visible(params: dict[str, t.Any]) -> dict[str, str]:
    """Values that may appear in a message."""
    return {name: str(params[name]) for name in VISIBLE if name in params and not (name == "ca_file" and params["ca_pem"])}


def connection(params: dict[str, t.Any]) -> dict[str, t.Any]:
    """Parameters of a script that uses boto3."""
    return {name: params[name] for name in CONNECTION if name not in ("variable_names", "ca_pem")}
