# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be done with a volume, decided by its name and by what is on it."""

from __future__ import annotations

import json

import pytest
from ansible_collections.labtrack.mlflow.plugins.module_utils._host_volume import Volume

MOUNT = "/var/lib/labtrack"
UUID = "3e6be9de-8139-4a6d-9106-a43f08d823a6"
EXT4 = f"DEVNAME=/dev/vdb\nUUID={UUID}\nTYPE=ext4\nUSAGE=filesystem\n"


class Machine:
    """A directory that stands for `/`, with one disk, and what blkid and lsblk say about it."""

    def __init__(self, root):
        self.root, self.blkid, self.mounted, self.children = root, (2, ""), [None], None
        (root / "dev/disk/by-id").mkdir(parents=True)
        (root / "dev/disk/by-label").mkdir()
        self.disk = root / "dev/vdb"
        self.disk.write_bytes(bytes(4096))
        (root / "dev/disk/by-id/virtio-6f3c1c9a-58e2-4a0e-9").symlink_to(self.disk)

    def run(self, command):
        """Answer as the programs do."""
        if command[0] == "blkid":
            return self.blkid
        device = {"name": "vdb", "mountpoints": self.mounted}
        return 0, json.dumps({"blockdevices": [{**device, "children": self.children} if self.children else device]})

    def state(self, **wanted):
        """State of a volume."""
        return Volume(wanted or {"id": "virtio-6f3c1c9a-58e2-4a0e-9"}, MOUNT, self.run, self.root).state()


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_an_empty_volume_may_get_a_filesystem(machine):
    found = machine.state()
    assert (found["state"], found["device"]) == ("blank", str(machine.disk))


def test_an_openstack_volume_is_found_by_its_id(machine):
    assert machine.state(id="6f3c1c9a-58e2-4a0e-9a67-2d1f0f9b7a11")["device"] == str(machine.disk)


def test_a_whole_path_is_accepted(machine):
    assert machine.state(id="/dev/disk/by-id/virtio-6f3c1c9a-58e2-4a0e-9")["device"] == str(machine.disk)


def test_a_label_is_found(machine):
    (machine.root / "dev/disk/by-label/lab\\x20data").symlink_to(machine.disk)
    machine.blkid = (0, EXT4)
    assert machine.state(label="lab data")["state"] == "mountable"


def test_a_filesystem_is_mounted_not_made(machine):
    machine.blkid = (0, EXT4)
    found = machine.state()
    assert (found["state"], found["filesystem"], found["uuid"]) == ("mountable", "ext4", UUID)


def test_a_volume_that_is_mounted_and_in_fstab_is_left_alone(machine):
    machine.blkid, machine.mounted = (0, EXT4), [MOUNT]
    assert machine.state()["state"] == "mountable"
    (machine.root / "etc").mkdir()
    (machine.root / "etc/fstab").write_text(f"# x\nUUID={UUID} {MOUNT} ext4 defaults,nofail 0 0\n", encoding="utf-8")
    assert machine.state()["state"] == "mounted"


def test_a_missing_volume_says_which_there_are(machine):
    found = machine.state(id="nowhere")
    assert found["state"] == "refused"
    assert found["problem"] == (
        "host_base_volume is 'id=nowhere': no such volume is attached. Accepted: one of virtio-6f3c1c9a-58e2-4a0e-9. Attach the volume, or correct the name."
    )


@pytest.mark.parametrize(
    ("blkid", "words"),
    [
        ((0, "TYPE=LVM2_member\nUSAGE=raid\n"), "holds LVM2_member"),
        ((0, "TYPE=crypto_LUKS\nUSAGE=crypto\n"), "holds crypto_LUKS"),
        ((0, "PTTYPE=gpt\n"), "holds gpt"),
        ((8, ""), "holds several signatures"),
    ],
)
def test_a_volume_that_holds_something_else_is_refused(machine, blkid, words):
    machine.blkid = blkid
    assert words in machine.state()["problem"]


def test_data_that_nothing_recognises_is_refused(machine):
    machine.disk.write_bytes(bytes(1000) + b"a database without a filesystem")
    assert "holds data without a known signature" in machine.state()["problem"]


def test_a_device_that_cannot_be_read_is_no_blank_one(machine):
    machine.disk.unlink()
    machine.disk.mkdir()
    assert "holds something that cannot be read" in machine.state()["problem"]


def test_partitions_are_refused(machine):
    machine.children = [{"name": "vdb1"}]
    assert "holds partitions" in machine.state()["problem"]


def test_a_volume_in_use_elsewhere_is_refused(machine):
    machine.blkid, machine.mounted = (0, EXT4), ["/srv"]
    assert "is mounted on /srv" in machine.state()["problem"]


def test_a_second_mount_of_the_same_volume_does_not_matter(machine):
    machine.blkid, machine.mounted = (0, EXT4), ["/srv", MOUNT]
    assert machine.state()["state"] == "mountable"


def test_files_are_not_hidden_below_a_mount(machine):
    machine.blkid = (0, EXT4)
    (machine.root / "var/lib/labtrack/postgresql").mkdir(parents=True)
    assert "/var/lib/labtrack is not empty and would be hidden" in machine.state()["problem"]
