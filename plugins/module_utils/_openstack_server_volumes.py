# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes of a server: the one that holds the data, and the one to boot from."""

from __future__ import annotations

import typing as t

from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_cloud import Json
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_messages import ServerError
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_steps import Step, Work
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_wanted import ROLE, USED


def volume_steps(work: Work, part: str) -> t.Iterator[Step]:
    """The data volume (part `volume`), or the one to boot from (`boot`)."""
    role = "data" if part == "volume" else "boot"
    name, found = f"{work.wanted.name}-{role}", getattr(work.found, part)

    def volume(now: Work) -> None:
        wanted, data = now.wanted, role == "data"
        size, kind = (wanted.volume_gb, wanted.volume_type) if data else (wanted.boot_volume_gb, wanted.boot_volume_type)
        values: Json = {"name": name, "size": size, "metadata": {**wanted.marks, ROLE: role}, "description": wanted.description(wanted.marks)}
        if kind:
            values["volume_type"] = kind
        if data and wanted.volume_availability_zone:
            values["availability_zone"] = wanted.volume_availability_zone
        if not data:
            values["imageRef"] = now.found.image["id"]
        made = now.cloud.create("block_storage", "/volumes", {"volume": values}, lambda: now.finder.volume(role))
        setattr(now.found, part, made)

    if found and found["status"] == "error":
        if (found.get("metadata") or {}).get(USED):
            raise ServerError("error_data", f"volume {name} ({found['id']}) is in ERROR, and it was in use before, so it may hold data")
        yield Step("delete", f"volume {name}", lambda now: delete_volume(now, part), "in ERROR, never used")
        found = None
    if not found:
        yield Step("create", f"volume {name}", volume)


def leftover_steps(work: Work) -> t.Iterator[Step]:
    """A volume to boot from that came to nothing, and that is not wanted any more."""
    found = work.found.boot
    if found and found["status"] == "error" and not (found.get("metadata") or {}).get(USED):
        yield Step("delete", f"volume {found['name']}", lambda now: delete_volume(now, "boot"), "in ERROR, never used")


def delete_volume(work: Work, part: str) -> None:
    """Delete it."""
    discard(work, getattr(work.found, part))
    setattr(work.found, part, None)


def discard(work: Work, found: Json) -> None:
    """Delete a volume, and wait until its name and quota are free again."""

    def look() -> Json:
        return (work.cloud.get("block_storage", f"/volumes/{found['id']}") or {}).get("volume") or {"status": "gone"}

    ends = ("available", "error", "error_deleting", "gone")
    state = work.cloud.wait(f"volume {found['id']}", look, lambda now: now["status"] in ends)["status"]
    if state in ("available", "error"):
        work.cloud.delete("block_storage", f"/volumes/{found['id']}")
        state = work.cloud.wait(f"volume {found['id']}", look, lambda now: now["status"] in ends[1:])["status"]
    if state != "gone":
        raise ServerError("failed", f"volume {found['id']} cannot be deleted, it is {state}")


def ready_volume(work: Work, part: str, states: tuple[str, ...] = ("available",)) -> Json:
    """Wait until a volume is in one of the states."""
    found = getattr(work.found, part)

    def look() -> Json:
        return (work.cloud.get("block_storage", f"/volumes/{found['id']}") or {}).get("volume") or {"status": "error: gone"}

    now = work.cloud.wait(f"volume {found['id']}", look, lambda item: item["status"] in states or item["status"].startswith("error"))
    if now["status"].startswith("error"):
        raise ServerError("failed", f"volume {found['id']} is in state {now['status']}")
    setattr(work.found, part, now)
    return now


def attach_steps(work: Work) -> t.Iterator[Step]:
    """The data volume in the server."""
    volume, server = work.found.volume, work.found.server
    holders = [item["server_id"] for item in (volume or {}).get("attachments", [])]
    if server and server["id"] in holders:
        return
    if holders:
        raise ServerError("volume_used", f"volume {volume['id']} is attached to another server ({', '.join(holders)})")
    yield Step("attach", f"volume {work.wanted.name}-data", attach)


def mark_used(work: Work, volume: Json) -> None:
    """From here on it may hold something."""
    if not (volume.get("metadata") or {}).get(USED):
        work.cloud.act("block_storage", f"/volumes/{volume['id']}/metadata", {"metadata": {USED: "true"}})


def attach(work: Work) -> None:
    """Attach it. That it was used is written down first: what was never used may be thrown away when it breaks."""
    volume, server = ready_volume(work, "volume"), work.found.server
    mark_used(work, volume)
    path = f"/servers/{server['id']}/os-volume_attachments"

    def find() -> Json | None:
        there = (work.cloud.get("compute", path) or {}).get("volumeAttachments", [])
        return next((item for item in there if item["volumeId"] == volume["id"]), None)

    work.cloud.create("compute", path, {"volumeAttachment": {"volumeId": volume["id"]}}, find)
    ready_volume(work, "volume", ("in-use",))


def detach(work: Work) -> None:
    """Take the data volume out of the server."""
    volume, server = work.found.volume, work.found.server
    work.cloud.delete("compute", f"/servers/{server['id']}/os-volume_attachments/{volume['id']}")
    ready_volume(work, "volume")
