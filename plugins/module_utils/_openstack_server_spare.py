# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Things that were made twice.

Where the answer to a request is lost, the request is made again, unless its thing is there. A cloud may still carry out the first one after that. What
came of it was never used, and can be told from the other one by that.
"""

from __future__ import annotations

import typing as t

from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_cloud import Json
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_wanted import USED, as_tags


def is_spare_volume(item: Json) -> bool:
    """Made by the role, as its description says, and never attached; a volume that a person has marked is none."""
    made = set(as_tags({name: str(value) for name, value in (item.get("metadata") or {}).items()})) >= set(str(item.get("description") or "-").split())
    return made and not item.get("attachments") and not (item.get("metadata") or {}).get(USED)


# whether one of several is of no use; of other kinds nothing proves it
SPARE: dict[str, t.Callable[[Json], bool]] = {
    "server": lambda item: item["status"] == "ERROR" and not item.get("OS-SRV-USG:launched_at"),
    "volume": is_spare_volume,
    "port": lambda item: not item.get("device_id"),
    "floating IP": lambda item: not item.get("port_id"),
    "network": lambda item: not item.get("subnets"),
}


def without_spare(kind: str, items: list[Json], holders: t.Collection[str] = ()) -> tuple[list[Json], list[Json]]:
    """(those to keep, the spare ones) of several. Where all are spare, the oldest one is kept, the same in each run.

    Args:
        holders: ids of security groups that the host's port is in; they cannot be told from the others by themselves.
    """
    is_spare = SPARE.get(kind) or (lambda item: kind == "security group" and item["id"] not in holders)
    keep = [item for item in items if not is_spare(item)]
    if not keep and kind in (*SPARE, "security group"):
        keep = [min(items, key=lambda item: (str(item.get("created_at") or item.get("created") or ""), item["id"]))]
    return keep, [item for item in items if item not in keep]
