# SPDX-License-Identifier: GPL-3.0-or-later
"""The short part, while requests wait: exchange databases and release; and the way back from any point of it."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from cluster import Cluster
from journal import FINAL, START, Journal, Lock
from rehearsal import migrate
from release import Release
from units import Service

DATABASE_SECONDS = 300  # after a boot PostgreSQL may still recover


def point(program_dir: str, release: str) -> None:
    """The link `current` names the release, from one moment to the next."""
    link = Path(program_dir, "current")
    partial = link.with_name(".current.partial")
    partial.unlink(missing_ok=True)
    partial.symlink_to(f"releases/{release}")
    os.rename(partial, link)


class Switch:
    """From `journal.data`: releases, databases to swap, services before and after. Works in both directions."""

    def __init__(self, request: dict[str, Any], journal: Journal, lock: Lock, say: Any) -> None:
        self.request, self.journal, self.lock, self.say = request, journal, lock, say
        self.cluster = Cluster(request["admin"], request["owner"])

    def service(self, which: str) -> Service:
        """The one `before` or `after` the switch."""
        return Service(self.journal.data[which], self.request["gate"])

    def enter(self, step: str, **more: Any) -> None:
        """Journal and log."""
        self.say(f"switch: {step}")
        self.journal.enter(step, **more)

    def run(self, copies: dict[str, str], rehearsed: dict[str, Any]) -> float:
        """All steps; the downtime in seconds. `copies` are to be made of the databases and migrated; none where incoming ones exist.

        Whatever is raised comes after everything was taken back.
        """
        data, begun = self.journal.data, time.monotonic()
        names = [swap["name"] for swap in data["swaps"]]
        try:
            self.enter("stop")
            self.service("before").hold(self.request["stop_seconds"])
            if names:
                self.enter("close")
                self.cluster.close(*names)
            if copies:
                self.enter("copy")
                for swap in data["swaps"]:
                    self.cluster.drop(swap["incoming"])
                    self.cluster.copy(swap["name"], swap["incoming"])
                self.enter("migrate")
                release = Release(self.request, data["to"])
                if rehearsed["makes_administrator"]:
                    release.administrator(write=True)
                self.enter("check", **migrate(self.cluster, release, copies, rehearsed["catalogues"]))
            if names:
                self.enter("swap", **self.count())
                self.cluster.close(*(swap["incoming"] for swap in data["swaps"]))
                self.cluster.swap(data["swaps"])
            self.enter("link")
            if data["to"]:
                point(self.request["program_dir"], data["to"])
            self.enter(START)
            self.start()
            seconds = time.monotonic() - begun
            self.enter("done", downtime_seconds=round(seconds, 1))
        except BaseException:
            self.recover(hold=True)
            raise
        self.tidy()
        return seconds

    def count(self) -> dict[str, Any]:
        """How to tell later what was written after the swap: the number of a transaction before it, and the rows of each table."""
        incoming = {swap["name"]: swap["incoming"] for swap in self.journal.data["swaps"]}
        self.cluster.open(*incoming.values())
        return {"mark": self.cluster.mark(), "rows": {name: self.cluster.rows(database) for name, database in incoming.items()}}

    def start(self) -> None:
        """The service waits for the step that the journal has just entered; another one than before is started here."""
        before, after = self.service("before"), self.service("after")
        if before.unit != after.unit:
            before.stop()
            after.start()
        after.wait(self.request["start_seconds"])

    def tidy(self) -> None:
        """Starts are no longer held up."""
        for which in sorted({self.journal.data["before"], self.journal.data["after"]}):
            Service(which, self.request["gate"]).forget()

    def recover(self, hold: bool) -> str:
        """Back to what was before; forward only when the new version has already acknowledged writes. The step that was reached.

        `hold`: the service may run, so it is held first; the gate of the service itself has no need to.
        """
        if self.journal.step in FINAL:
            return self.journal.step
        data = self.journal.data
        self.enter("recover", reached=self.journal.step)
        if hold:
            if data["before"] != data["after"]:
                self.service("after").stop()
            self.service("before").hold(self.request["stop_seconds"])
        self.cluster.wait(DATABASE_SECONDS)
        existing = self.cluster.databases()
        swapped = bool(data["swaps"]) and all(swap["outgoing"] in existing for swap in data["swaps"])
        written = swapped and bool(written_since(self.cluster, data))
        if swapped and not written:
            back = [{"name": swap["name"], "incoming": swap["outgoing"], "outgoing": swap["incoming"]} for swap in data["swaps"]]
            self.cluster.close(*(swap["name"] for swap in data["swaps"]))
            self.cluster.swap(back)
        if not written:
            self.cluster.open(*(swap["name"] for swap in data["swaps"] if swap["name"] in existing))
        if release := data["to"] if written else data["from"]:
            point(self.request["program_dir"], release)
        self.enter("done" if written else "reverted")
        return self.journal.step


def written_since(cluster: Cluster, data: dict[str, Any]) -> dict[str, dict[str, int]]:
    """By database and table the rows that were written, and those that are gone or were replaced, since the databases were swapped."""
    found: dict[str, dict[str, int]] = {}
    for name, rows in data["rows"].items():
        new, total = cluster.rows(name, data["mark"]), cluster.rows(name)
        for table, count in new.items():
            gone = rows.get(table, 0) - (total[table] - count)
            if count or gone:
                found[f"{name}.{table}"] = {"written": count, "gone": gone}
    return found
