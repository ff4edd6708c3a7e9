# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Key pair and server."""

from __future__ import annotations

import base64
import typing as t

from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_cloud import Json
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_found import MOVING
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_messages import ServerError
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_steps import Step, Work
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_volumes import detach, mark_used, ready_volume

RUNNING, STOPPED = "ACTIVE", "SHUTOFF"
STOP_SECONDS = 90


def fault(server: Json) -> str:
    """Why it is in ERROR."""
    return str((server.get("fault") or {}).get("message") or "no reason given")


def keypair_steps(work: Work) -> t.Iterator[Step]:
    """The key pair. A server that is there has its key; whoever runs the role then may be another user, who has no such pair and needs none."""
    if work.found.server:
        return
    name = work.wanted.keypair_name(work.cloud.access.project_id)

    def keypair(now: Work) -> None:
        def find() -> Json | None:
            return next((item for item in now.finder.keypairs() if item["name"] == name), None)

        now.cloud.create("compute", "/os-keypairs", {"keypair": {"name": name, "public_key": now.wanted.public_key}}, find)

    if name not in [item["name"] for item in work.found.keypairs]:
        yield Step("create", f"key pair {name}", keypair)
    for item in work.found.keypairs:
        if item["name"] != name:
            yield Step("delete", f"key pair {item['name']}", delete_keypair(item), "of an earlier key")


def delete_keypair(item: Json) -> t.Callable[[Work], None]:
    """Deletes one of ours."""
    return lambda work: work.cloud.delete("compute", f"/os-keypairs/{item['name']}")


def request(work: Work) -> Json:
    """What Nova is asked for."""
    wanted, found = work.wanted, work.found
    values: Json = {
        "name": wanted.name,
        "flavorRef": found.flavor["id"],
        "networks": [{"port": found.port["id"]}],
        "key_name": wanted.keypair_name(work.cloud.access.project_id),
        "metadata": wanted.marks,
        "config_drive": wanted.config_drive,
    }
    if wanted.availability_zone:
        values["availability_zone"] = wanted.availability_zone
    if wanted.user_data:
        values["user_data"] = base64.b64encode(wanted.user_data.encode()).decode()
    if wanted.boot_volume_gb:
        # made by Cinder first, with our marks: one that Nova makes would have neither name nor marks if the server failed
        boot = {"boot_index": 0, "uuid": found.boot["id"], "source_type": "volume", "destination_type": "volume", "delete_on_termination": False}
        values["block_device_mapping_v2"] = [boot]
    else:
        values["imageRef"] = found.image["id"]
    return {"server": values}


def look_at_server(work: Work) -> Json:
    """The server as it is now."""
    return (work.cloud.get("compute", f"/servers/{work.found.server['id']}") or {}).get("server") or {"status": "gone"}


def make_server(work: Work) -> None:
    """Make it, and wait until it runs."""
    if work.wanted.boot_volume_gb:
        mark_used(work, ready_volume(work, "boot"))
    made = work.cloud.create("compute", "/servers", request(work), work.finder.server)
    work.found.server = made
    await_running(work)


def await_running(work: Work) -> None:
    """Wait until it runs.

    Raises:
        ServerError: it came to nothing.
    """
    now = work.cloud.wait("the server", lambda: look_at_server(work), lambda item: item["status"] in (RUNNING, "ERROR", "gone"))
    if now["status"] != RUNNING:
        raise ServerError("failed", f"server {work.found.server['id']} is in state {now['status']}: {fault(now)}")
    work.found.server = now


def start_server(work: Work) -> None:
    """Start one that was shut down."""
    work.cloud.act("compute", f"/servers/{work.found.server['id']}/action", {"os-start": None})
    await_running(work)


def clear_steps(work: Work) -> t.Iterator[Step]:
    """A server that came to nothing goes first."""
    server, name = work.found.server, work.wanted.name
    if server and server["status"] == "ERROR":
        if server.get("OS-SRV-USG:launched_at"):
            raise ServerError("error_data", f"server {name} ({server['id']}) is in ERROR after it ran ({fault(server)}), so its root disk may hold data")
        yield Step("delete", f"server {name}", delete_server, f"in ERROR, never ran: {fault(server)}")


def server_steps(work: Work) -> t.Iterator[Step]:
    """The server."""
    server, name = work.found.server, work.wanted.name
    if not server:
        yield Step("create", f"server {name}", make_server)
    elif server["status"] == STOPPED:
        yield Step("start", f"server {name}", start_server)
    elif server["status"] not in (RUNNING, *MOVING):
        raise ServerError("state", f"server {name} is {server['status']}")


def stop_server(work: Work) -> None:
    """Shut it down, so that filesystems are in order; one that does not react is not waited for."""
    if work.found.server["status"] == RUNNING:
        work.cloud.act("compute", f"/servers/{work.found.server['id']}/action", {"os-stop": None})
        end = work.cloud.patience.now() + STOP_SECONDS
        ends = (STOPPED, "ERROR", "gone")
        work.cloud.wait("the server", lambda: look_at_server(work), lambda item: item["status"] in ends or work.cloud.patience.now() > end)


def delete_server(work: Work) -> None:
    """Delete it, and wait until it is gone; its volumes and its port stay."""
    server, volume = work.found.server, work.found.volume
    stop_server(work)
    if volume and server["id"] in [item["server_id"] for item in volume.get("attachments", [])]:
        detach(work)
    work.cloud.delete("compute", f"/servers/{server['id']}")
    work.cloud.wait(f"server {server['id']}", lambda: look_at_server(work), lambda item: item["status"] in ("gone", "DELETED", "SOFT_DELETED"))
    work.found.server = None
