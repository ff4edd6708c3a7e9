# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that an upgrade does, on copies, while the old version serves: it finds most of what can fail without any downtime."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import catalogue
from cluster import Cluster, free_bytes
from journal import now, write_json
from release import Release

NEXT = "_next"  # pg_hba.conf admits the service's user to these names
SPARE_BYTES = 512 << 20


class RefusedError(Exception):
    """Something is missing; nothing was changed."""


def next_names(request: dict[str, Any]) -> dict[str, str]:
    """Names of the copies."""
    return {key: name + NEXT for key, name in request["databases"].items()}


def check_space(request: dict[str, Any], cluster: Cluster) -> dict[str, int]:
    """Sizes of the databases, when there is space for a copy that is rewritten, and for the dumps."""
    sizes = {name: cluster.size(name) for name in request["databases"].values()}
    places = {cluster.data_dir(): 2 * sum(sizes.values()), request["state_dir"]: sum(sizes.values())}
    devices: dict[int, int] = {}
    for path, wanted in places.items():
        devices[os.stat(path).st_dev] = devices.get(os.stat(path).st_dev, SPARE_BYTES) + wanted
    for path in places:
        if (free := free_bytes(path)) < (wanted := devices[os.stat(path).st_dev]):
            raise RefusedError(
                f"{path} has {free >> 20} MB free: too little for a dump and a copy of the databases ({sum(sizes.values()) >> 20} MB). "
                f"Accepted: {wanted >> 20} MB. Free some space, or enlarge the volume. Nothing was changed."
            )
    return sizes


class Rehearsal:
    """Dumps, restores them, migrates, compares, and lets the new release serve the result."""

    def __init__(self, request: dict[str, Any], say: Any) -> None:
        self.request, self.say = request, say
        self.cluster = Cluster(request["admin"], request["owner"])
        self.release = Release(request, request["release"])
        self.names, self.next = request["databases"], next_names(request)
        self.folder = Path(request["state_dir"], "upgrade", request["id"])
        self.seconds: dict[str, float] = {}

    def run(self) -> dict[str, Any]:
        """What was found; kept in the upgrade's folder."""
        result = {"id": self.request["id"], "release": self.request["release"], "at": now(), "sizes": check_space(self.request, self.cluster)}
        result["schema"] = self.step("inspect", lambda: self.release.database("inspect", self.names))
        for key, found in result["schema"].items():
            if key in self.names and found["state"] in ("new", "damaged"):
                raise RefusedError(f"The {key} database is {found['state']}: it has schema '{found['current']}', MLflow {self.release.version} "
                                   f"wants '{found['wanted']}'. Accepted: a database of this version or an earlier one. Nothing was changed.")  # fmt: skip
        result["schema_changes"] = any(result["schema"][key]["state"] != "ready" for key in self.names)
        self.clean()
        try:
            result["dumps"] = self.step("dump", self.dump)
            result["catalogues"] = self.step("initialise", self.initialise)
            self.step("restore", lambda: self.restore(result["dumps"]))
            result |= self.step("migrate", lambda: self.migrate(result["catalogues"]))
            self.check_administrator(result["makes_administrator"])
            result["smoke"] = self.step("smoke", lambda: self.release.smoke(f"{self.request['unit']}-rehearsal", self.next))
        finally:
            self.clean()
        result["seconds"] = self.seconds
        write_json(self.folder / "rehearsal.json", result)
        return result

    def step(self, name: str, work: Any) -> Any:
        """One step with its time."""
        self.say(f"rehearsal: {name}")
        begun = time.monotonic()
        found = work()
        self.seconds[name] = round(time.monotonic() - begun, 1)
        return found

    def clean(self) -> None:
        """No copies are left."""
        self.cluster.drop(*self.next.values())

    def dump(self) -> list[dict[str, Any]]:
        """Both databases, kept."""
        parent = self.folder.parent
        for folder in (parent, self.folder):
            folder.mkdir(exist_ok=True)
            os.chmod(folder, 0o701)  # the server's administrator reads the dumps by name
        return [self.cluster.dump(name, self.folder / f"{name}.dump") for name in self.names.values()]

    def initialise(self) -> dict[str, list[str]]:
        """What the new release makes of empty databases."""
        for key, name in self.next.items():
            self.cluster.create_like(self.names[key], name)
        self.release.database("initialise", self.next)
        found = {key: catalogue.catalogue(self.cluster, name) for key, name in self.next.items()}
        self.clean()
        return found

    def restore(self, dumps: list[dict[str, Any]]) -> None:
        """The dumps into new databases: that they can be restored is proven here."""
        for (key, name), dump in zip(self.next.items(), dumps, strict=True):
            self.cluster.create_like(self.names[key], name)
            self.cluster.restore(dump["file"], name)

    def check_administrator(self, made: bool) -> None:
        """Where people log in already, the check at the end has to do so, too."""
        if not made and not Path(self.request["credentials_file"]).exists():
            raise RefusedError(
                f"There are logins in {self.names['auth']}, but there is no {self.request['credentials_file']} with the one of an administrator. Accepted: "
                "tracking_server_admin_username and tracking_server_admin_password, which write it, or the file itself. Nothing was changed."
            )

    def migrate(self, wanted: dict[str, list[str]]) -> dict[str, Any]:
        """The copies become databases of the new release, with all that belongs to them."""
        return migrate(self.cluster, self.release, self.next, wanted)


def migrate(cluster: Cluster, release: Release, names: dict[str, str], wanted: dict[str, list[str]]) -> dict[str, Any]:
    """Migrate databases and compare them with what the release makes itself, and with their own rows before."""
    before = {key: cluster.rows(name) for key, name in names.items()}
    done = release.database("migrate", names)["done"]
    extra = {key: catalogue.compare(wanted[key], catalogue.catalogue(cluster, name)) for key, name in names.items()}
    rows = {key: catalogue.compare_rows(before[key], cluster.rows(name)) for key, name in names.items()}
    return {"schema_extra": extra, "rows_changed": rows, "makes_administrator": "admin" in done}
