# SPDX-License-Identifier: GPL-3.0-or-later
"""Cinder driver whose volumes are sparse files in one directory; nova-compute, on the same machine, opens them."""

from __future__ import annotations

import os
import subprocess
from typing import Any

from cinder import interface
from cinder.volume import driver
from oslo_config import cfg

OPTIONS = [cfg.StrOpt("labtrack_directory", default="/var/lib/cinder/volumes", help="Directory of the files.")]
GIB = 1 << 30


@interface.volumedriver
class FileDriver(driver.VolumeDriver):
    """One file a volume, one file a snapshot."""

    VERSION = "1.0"
    CI_WIKI_NAME = "none"

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.configuration.append_config_values(OPTIONS)

    def _path(self, thing: Any) -> str:
        return os.path.join(self.configuration.labtrack_directory, thing["name"])

    def do_setup(self, _context: Any) -> None:
        """Nothing to prepare."""

    def check_for_setup_error(self) -> None:
        """The directory must be there."""
        os.stat(self.configuration.labtrack_directory)

    def create_volume(self, volume: Any) -> None:
        """An empty volume."""
        with open(self._path(volume), "xb") as file:
            file.truncate(volume["size"] * GIB)

    def delete_volume(self, volume: Any) -> None:
        """The volume; no error when it is gone already."""
        if os.path.exists(self._path(volume)):
            os.unlink(self._path(volume))

    delete_snapshot = delete_volume

    def _copy(self, source: Any, target: Any) -> None:
        subprocess.run(["cp", "--sparse=always", self._path(source), self._path(target)], check=True)

    def create_snapshot(self, snapshot: Any) -> None:
        """A copy."""
        self._copy(snapshot["volume"], snapshot)

    def create_volume_from_snapshot(self, volume: Any, snapshot: Any) -> None:
        """A copy, perhaps larger."""
        self._copy(snapshot, volume)
        self.extend_volume(volume, volume["size"])

    def create_cloned_volume(self, volume: Any, source: Any) -> None:
        """A copy, perhaps larger."""
        self._copy(source, volume)
        self.extend_volume(volume, volume["size"])

    def extend_volume(self, volume: Any, size: int) -> None:
        """More space at the end."""
        os.truncate(self._path(volume), size * GIB)

    def create_export(self, _context: Any, _volume: Any, _connector: Any) -> None:
        """Nothing: the file is in reach."""

    def ensure_export(self, _context: Any, _volume: Any) -> None:
        """Nothing."""

    def remove_export(self, _context: Any, _volume: Any) -> None:
        """Nothing."""

    def initialize_connection(self, volume: Any, _connector: Any, **_options: Any) -> dict[str, Any]:
        """What nova-compute needs to open the volume."""
        return {"driver_volume_type": "labtrack_file", "data": {"path": self._path(volume)}}

    def terminate_connection(self, _volume: Any, _connector: Any, **_options: Any) -> None:
        """Nothing: nova-compute has closed it."""

    def _update_volume_stats(self) -> None:
        state = os.statvfs(self.configuration.labtrack_directory)
        self._stats = {
            "volume_backend_name": self.configuration.safe_get("volume_backend_name"),
            "vendor_name": "labtrack",
            "driver_version": self.VERSION,
            "storage_protocol": "file",
            "total_capacity_gb": 2000,  # the files are sparse
            "free_capacity_gb": min(2000, state.f_bavail * state.f_frsize // GIB * 100),
            "thin_provisioning_support": True,
            "max_over_subscription_ratio": 100,
            "provisioned_capacity_gb": 0,
            "reserved_percentage": 0,
            "multiattach": False,
        }
