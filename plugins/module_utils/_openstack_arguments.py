# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the connection to an OpenStack cloud: names and behaviour of the collection openstack.cloud, as in the doc fragment C(openstack)."""

from __future__ import annotations

import typing as t

from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_messages import CloudError

# O(auth) is hidden as a whole until hide() knows better
CLOUD: dict[str, dict[str, t.Any]] = {
    "cloud": {"type": "raw"},
    "auth": {"type": "dict", "no_log": True},
    "auth_type": {"type": "str"},
    "region_name": {"type": "str"},
    "timeout": {"type": "int", "default": 180},
    "api_timeout": {"type": "int"},
    "validate_certs": {"type": "bool", "aliases": ["verify"]},
    "ca_cert": {"type": "str", "aliases": ["cacert"]},
    "client_cert": {"type": "str", "aliases": ["cert"]},
    "client_key": {"type": "str", "no_log": True, "aliases": ["key"]},
    "interface": {"type": "str", "choices": ["admin", "internal", "public"], "default": "public", "aliases": ["endpoint_type"]},
    "sdk_log_path": {"type": "str"},
    "sdk_log_level": {"type": "str", "choices": ["INFO", "DEBUG"], "default": "INFO"},
}
# option: what openstacksdk calls it
SDK_NAMES = {
    "auth_type": "auth_type",
    "auth": "auth",
    "region_name": "region_name",
    "validate_certs": "verify",
    "ca_cert": "cacert",
    "client_key": "key",
    "client_cert": "cert",
    "api_timeout": "api_timeout",
}


def connect_arguments(params: dict[str, t.Any]) -> dict[str, t.Any]:
    """What openstacksdk is told. Options that are not set are left to clouds.yaml and the environment.

    Raises:
        CloudError: a whole configuration is given, and options beside it.
    """
    if not isinstance(params["cloud"], dict):
        return {"cloud": params["cloud"], "interface": params["interface"], **{name: params[option] for option, name in SDK_NAMES.items()}}
    beside = [option for option in SDK_NAMES if params[option] is not None] + (["interface"] if params["interface"] != "public" else [])
    if beside:
        raise CloudError("cloud_options", ", ".join(beside))
    return dict(params["cloud"])


SECRET = ("password", "secret", "token", "passcode")


def hide(params: dict[str, t.Any], hidden: set[str]) -> None:
    """Hide the secrets of the login in all output, and only them: with the whole of O(auth) hidden, a project's name would be missing from every result."""
    whole = params["cloud"].get("auth") if isinstance(params["cloud"], dict) else None
    found = {**(whole if isinstance(whole, dict) else {}), **(params["auth"] or {})}
    secrets = {str(value) for name, value in found.items() if value and any(word in name for word in SECRET)}
    hidden -= {str(value) for value in found.values()} - secrets
    hidden |= secrets
