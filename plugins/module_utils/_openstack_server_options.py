# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that describe a server, as in the doc fragment C(openstack_server)."""

from __future__ import annotations

import typing as t

SERVER: dict[str, dict[str, t.Any]] = {
    "name": {"type": "str", "required": True},
    "site": {"type": "str", "required": True},
    "host": {"type": "str", "required": True},
    "profile": {"type": "str", "default": "generic"},
    "public_key_file": {"type": "path", "default": "~/.ssh/id_ed25519.pub", "no_log": False},
    "image": {"type": "str", "required": True},
    "flavor": {"type": "str", "required": True},
    "availability_zone": {"type": "str", "default": ""},
    "config_drive_enabled": {"type": "bool", "default": True},
    "user_data": {"type": "str", "default": ""},
    "boot_volume_gb": {"type": "int", "default": 0},
    "boot_volume_type": {"type": "str", "default": ""},
    "network": {"type": "str", "default": "*"},
    "network_create": {"type": "bool", "default": False},
    "network_cidr": {"type": "str", "default": "10.76.0.0/24"},
    "dns_servers": {"type": "list", "elements": "str", "default": []},
    "external_network": {"type": "str", "default": "*"},
    "floating_ip_enabled": {"type": "bool", "default": True},
    "floating_ip_address": {"type": "str", "default": ""},
    "rules": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"port": {"type": "int", "required": True}, "cidrs": {"type": "list", "elements": "str", "required": True}},
    },
    "extra_security_groups": {"type": "list", "elements": "str", "default": []},
    "volume_gb": {"type": "int", "default": 0},
    "volume_type": {"type": "str", "default": ""},
    "volume_availability_zone": {"type": "str", "default": ""},
    "variable_names": {"type": "dict", "default": {}},
}
