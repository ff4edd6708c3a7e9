# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A data volume found by a name that does not change between boots: what is on it, and what may be done with it."""

from __future__ import annotations

import json
import os
from pathlib import Path

FIRST_BYTES = 1024 * 1024


class Volume:
    """One volume, named by exactly one of `id`, `label`, `uuid`.

    Args:
        wanted: the name, e.g. {"id": "virtio-0123"}.
        mount_dir: where it belongs.
        run: runs a command; returns return code and output.
        root: for tests: the directory that stands for `/`.
    """

    def __init__(self, wanted, mount_dir, run, root="/"):
        self.kind, self.name = next((k, v) for k, v in wanted.items() if v)
        self.mount_dir = mount_dir
        self.run = run
        self.root = Path(root)
        self.links = self.root / "dev/disk" / f"by-{self.kind}"

    def candidates(self) -> list[str]:
        """Return link names to look for; an OpenStack volume id is found under the names that KVM gives it."""
        name = self.name.rsplit("/", 1)[-1]
        names = [name]
        if self.kind == "id":
            names += [f"virtio-{name[:20]}", f"scsi-0QEMU_QEMU_HARDDISK_{name}", f"scsi-SQEMU_QEMU_HARDDISK_{name}"]
        elif self.kind == "label":
            names.append(name.replace(" ", "\\x20"))
        return names

    def device(self) -> str:
        """Return the device behind the name; an empty string when there is none."""
        for name in self.candidates():
            if (self.links / name).exists():
                return os.path.realpath(self.links / name)
        return ""

    def available(self) -> list[str]:
        """Return the names that would have been accepted."""
        return sorted(entry.name for entry in self.links.iterdir()) if self.links.is_dir() else []

    def content(self, device: str) -> dict[str, str]:
        """Return what is on the device: `filesystem` and `uuid`, or `other` (a partition table, LVM, …), or nothing."""
        _rc, listing = self.run(["lsblk", "--json", "--output", "NAME,MOUNTPOINTS", device])
        tree = (json.loads(listing or "{}").get("blockdevices") or [{}])[0]
        mounts = [mount for mount in tree.get("mountpoints") or [] if mount]
        found = {"mounted_on": self.mount_dir if self.mount_dir in mounts else next(iter(mounts), "")}
        code, probe = self.run(["blkid", "--probe", "--output", "export", device])
        tags = dict(line.partition("=")[::2] for line in probe.splitlines())
        if tags.get("USAGE", "filesystem") == "filesystem" and tags.get("TYPE"):
            return {**found, "filesystem": tags["TYPE"], "uuid": tags.get("UUID", "")}
        other = tags.get("TYPE") or tags.get("PTTYPE") or ("several signatures" if code == 8 else "")
        if tree.get("children") and not other:
            other = "partitions"
        if not other:
            other = self._unknown(device)
        return {**found, "other": other}

    @staticmethod
    def _unknown(device: str) -> str:
        """Return what keeps a device without a signature from being blank; blkid says the same of one that it cannot read."""
        try:
            with open(device, "rb") as stream:
                return "data without a known signature" if stream.read(FIRST_BYTES).strip(b"\0") else ""
        except OSError as error:
            return f"something that cannot be read ({error.strerror})"

    def in_fstab(self, uuid: str) -> bool:
        """Tell whether the volume is mounted at boot by its UUID."""
        table = self.root / "etc/fstab"
        lines = table.read_text(encoding="utf-8").splitlines() if table.exists() else []
        return any(line.split()[:2] == [f"UUID={uuid}", self.mount_dir] for line in lines)

    def state(self) -> dict[str, str]:
        """Return `state` (mounted, mountable, blank, refused), `device`, `filesystem`, `uuid` and, when refused, `problem`."""
        device = self.device()
        if not device:
            return self._refuse("no such volume is attached", f"one of {', '.join(self.available()) or 'none here'}", "Attach the volume, or correct the name")
        found = {"device": device, "filesystem": "", "uuid": "", **self.content(device)}
        here = found["mounted_on"] == self.mount_dir
        if found["mounted_on"] and not here:
            return self._refuse(f"{device} is mounted on {found['mounted_on']}", f"a free volume, or one on {self.mount_dir}", "Unmount it, or name another")
        if found.get("other"):
            accepted = "an empty volume, or one with a filesystem"
            return self._refuse(f"{device} holds {found['other']}", accepted, "Name another volume, or empty this one yourself (wipefs)")
        under = self.root / self.mount_dir.lstrip("/")
        if not here and under.is_dir() and any(under.iterdir()):
            accepted = f"an empty or missing {self.mount_dir}"
            return self._refuse(f"{self.mount_dir} is not empty and would be hidden", accepted, "Move its content away, then run again")
        if here and self.in_fstab(found["uuid"]):
            return {**found, "state": "mounted", "problem": ""}
        return {**found, "state": "mountable" if found["filesystem"] else "blank", "problem": ""}

    def _refuse(self, wrong: str, accepted: str, action: str) -> dict[str, str]:
        problem = f"host_base_volume is '{self.kind}={self.name}': {wrong}. Accepted: {accepted}. {action}."
        return {"state": "refused", "device": "", "filesystem": "", "uuid": "", "problem": problem}
