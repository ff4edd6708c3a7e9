# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change of the cloud: what it is, for check mode and reports, and how it is made."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import os
import tempfile
import typing as t

from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_cloud import Cloud
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_found import Finder, Found
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_server_wanted import Wanted


@dataclasses.dataclass
class Work:
    """What a step needs: the cloud, what shall be, and what is there so far."""

    cloud: Cloud
    wanted: Wanted
    found: Found

    @property
    def finder(self) -> Finder:
        """Looks again."""
        return Finder(self.cloud, self.wanted)


@dataclasses.dataclass(frozen=True)
class Step:
    """`act` answers false where another host of the site has done it meanwhile."""

    verb: str
    what: str
    act: t.Callable[[Work], bool | None]
    why: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.what}" + (f" ({self.why})" if self.why else "")


@contextlib.contextmanager
def lock(cloud: Cloud, *names: str) -> t.Iterator[None]:
    """One run at a time on this control machine: hosts of a site share something of the cloud, and a run that was killed may leave a module at work."""
    text = " ".join([cloud.access.identity_url, cloud.access.project_id, *names])
    path = os.path.join(tempfile.gettempdir(), f"labtrack-openstack-{os.getuid()}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.lock")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def taken() -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    try:
        cloud.wait(f"another run for {' '.join(names)}", taken, bool)
        yield
    finally:
        os.close(descriptor)
