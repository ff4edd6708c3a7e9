# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine holds of a Ceph object store, and the store's S3 users.

Plain Python without AnsibleModule, so that unit tests need no Ansible.
"""

from __future__ import annotations

import copy
import errno
import json
import os
import shutil
import socket
import stat
import typing as t

MARKER = "# Managed by labtrack.mlflow.object_store_server"

# returns code, stdout and stderr of a command that gets a text on its standard input
Run = t.Callable[[list[str], str], tuple[int, str, str]]


class ServerError(Exception):
    """The message says what failed; it holds no secret."""


def configuration(path: str) -> str:
    """Whose Ceph configuration is at the path: V(absent), V(ours) or V(foreign)."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return "ours" if MARKER in file.read(4096) else "foreign"
    except FileNotFoundError:
        return "absent"


def foreign_daemons(root: str, data_dir: str) -> list[str]:
    """Data directories of Ceph daemons below the root (C(/var/lib/ceph)) that are no links into ours."""
    found = []
    for kind in ("mon", "mgr", "osd", "mds", "radosgw"):
        directory = os.path.join(root, kind)
        for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else []:
            path = os.path.join(directory, name)
            if not (os.path.islink(path) and os.readlink(path).startswith(data_dir.rstrip("/") + "/")):
                found.append(path)
    return found


def free_mb(path: str) -> int:
    """Free space of the filesystem where the path is, or will be."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return shutil.disk_usage(path).free // 2**20


def port_state(address: str, port: int) -> str:
    """Whether a service could listen there: V(free), V(used), V(no_address) or V(denied)."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except (OSError, OverflowError) as error:
            states = {errno.EADDRINUSE: "used", errno.EADDRNOTAVAIL: "no_address", errno.EACCES: "denied"}
            return states.get(getattr(error, "errno", 0), "no_address")
    return "free"


def device(path: str, run: Run) -> dict[str, t.Any]:
    """What is on a block device: nothing, a signature (filesystem, partition table, LVM), an OSD."""
    state: dict[str, t.Any] = {"path": path, "exists": os.path.exists(path), "block": False, "size_gb": 0, "content": ""}
    if not state["exists"]:
        return state
    state["block"] = stat.S_ISBLK(os.stat(path).st_mode)
    if state["block"]:
        with open(path, "rb") as file:
            state["size_gb"] = file.seek(0, os.SEEK_END) // 2**30
            file.seek(0)
            label = file.read(22)
        fields = dict(line.split("=", 1) for line in run(["blkid", "-p", "-o", "export", path], "")[1].splitlines() if "=" in line)
        bluestore = "ceph_bluestore" if label == b"bluestore block device" else ""
        state["content"] = bluestore or fields.get("TYPE") or fields.get("PTTYPE") or ""
    return state


def units(text: str) -> dict[str, dict[str, str]]:
    """Units by name from C(systemctl show --property=Id,ActiveState,UnitFileState)."""
    result = {}
    for block in text.strip().split("\n\n"):
        fields = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if fields.get("Id"):
            result[fields["Id"]] = {"active": fields.get("ActiveState", ""), "enabled": fields.get("UnitFileState", "")}
    return result


class Users:
    """S3 users of a RADOS gateway, through C(radosgw-admin metadata): secrets pass on standard input, never in an argument."""

    NEW: t.ClassVar[dict[str, t.Any]] = {"max_buckets": 1000, "op_mask": "read, write, delete", "type": "rgw"}

    def __init__(self, run: Run) -> None:
        self.run = run

    def get(self, uid: str) -> dict[str, t.Any] | None:
        """The stored entry, or None."""
        code, out, err = self.run(["radosgw-admin", "metadata", "get", f"user:{uid}"], "")
        if code == errno.ENOENT:
            return None
        if code:
            raise ServerError(f"radosgw-admin cannot read the user '{uid}': {err.strip() or code}")
        return json.loads(out)

    def put(self, uid: str, entry: dict[str, t.Any]) -> None:
        """Store the entry."""
        code, _out, err = self.run(["radosgw-admin", "metadata", "put", f"user:{uid}"], json.dumps(entry))
        if code:
            raise ServerError(f"radosgw-admin cannot write the user '{uid}': {err.strip() or code}")

    @classmethod
    def plan(cls, found: dict[str, t.Any] | None, wanted: dict[str, str], keep_other_keys: bool = False) -> dict[str, t.Any] | None:
        """The entry to store, or None when the user is as wanted. Exactly the wanted key is kept, or the others, too, while a key is replaced.

        Raises:
            ServerError: both keys would have the same name.
        """
        uid = wanted["uid"]
        key = {"user": uid, "access_key": wanted["access_key"], "secret_key": wanted["secret_key"]}
        change = {"display_name": wanted.get("display_name") or uid, "keys": [key], "suspended": 0}
        if found is None:
            # Ceph parses all three; an empty tag, version 0 or an empty time is refused
            entry = {"key": f"user:{uid}", "ver": {"tag": "labtrack", "ver": 1}, "mtime": "1970-01-01T00:00:01.000000Z"}
            return {**entry, "data": {"user_id": uid, **cls.NEW, **change}}
        data = found["data"]
        keys = [{name: item.get(name) for name in key} for item in data.get("keys", [])]
        if keep_other_keys:
            others = [item for item in keys if item != key]
            if any(item["access_key"] == key["access_key"] for item in others):
                raise ServerError(
                    f"site_s3_access_key is '{key['access_key']}': the key in use has the same name, and a store keeps one secret for a name. Accepted: "
                    "another name for the new key. Change both site_s3_access_key and its secret; nothing was changed."
                )
            change["keys"] = [*others, key]
        if sorted(keys, key=str) == sorted(change["keys"], key=str) and data.get("display_name") == change["display_name"] and not data.get("suspended"):
            return None
        entry = copy.deepcopy(found)
        entry["data"].update(change)
        return entry
