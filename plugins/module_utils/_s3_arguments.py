# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options shared by the modules for S3 stores, as in the doc fragment C(s3)."""

from __future__ import annotations

import typing as t

CONNECTION: dict[str, dict[str, t.Any]] = {
    "endpoint": {"type": "str", "required": True},
    "access_key": {"type": "str", "required": True, "no_log": False},
    "secret_key": {"type": "str", "required": True, "no_log": True},
    "region": {"type": "str", "default": "us-east-1"},
    "ca_file": {"type": "path", "default": ""},
    "bucket": {"type": "str", "required": True},
    "variable_names": {"type": "dict", "default": {}},
}
PYTHON: dict[str, dict[str, t.Any]] = {
    "python": {"type": "path", "required": True},
    "timeout_seconds": {"type": "int", "default": 300},
}


def visible(params: dict[str, t.Any]) -> dict[str, str]:
    """Values that may appear in a message."""
    return {name: str(params[name]) for name in ("endpoint", "access_key", "region", "ca_file", "bucket", "python") if name in params}


def connection(params: dict[str, t.Any]) -> dict[str, t.Any]:
    """Parameters of a script that uses boto3."""
    return {name: params[name] for name in CONNECTION if name != "variable_names"}
