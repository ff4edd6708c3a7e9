# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare what MLflow's database names with what is in the store. Reads only; needs memory for one page, not for all objects.

References and objects come in the order of their keys and are merged like two sorted lists.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import manifest
import references
from places import Root
from references import Found, Reference
from stores import Item, Totals, open_store

KINDS_OF_FOLDERS = ("models", "traces")  # MLflow keeps these one level deeper than runs
SITE_MARK = ".labtrack/"  # the collection's own objects, such as the mark of whose bucket it is
SAMPLE = 50
KNOWLEDGE = """\
MLflow's database lists no single files of a run. A run without objects may be complete: it may never have had any.
Expected, and missing where absent: the MLmodel of each logged model that is ready; something below each model version that is ready.
Expected, too: the data of each trace whose spans are not in the database; models of MLflow 2, tables and images that clients have noted in tags.
A file that vanished from inside a run is seen only by comparison with the manifest of an earlier audit.
Orphaned: below no run, logged model, model version or trace of this database, and older than the grace time: a run may be writing what is younger.
References to other stores are counted and not examined.""".splitlines()


@dataclass
class Sums:
    """Objects and bytes by some name."""

    objects: Counter = field(default_factory=Counter)
    bytes: Counter = field(default_factory=Counter)

    def add(self, name: Any, item: Item) -> None:
        """Count one object."""
        self.objects[name] += 1
        self.bytes[name] += item.size

    def of(self, name: str) -> dict[str, int]:
        """Both sums."""
        return {"objects": self.objects[name], "bytes": self.bytes[name]}

    def all(self) -> dict[str, dict[str, int]]:
        """Every name, the largest first."""
        return {name: self.of(name) for name, _size in self.bytes.most_common()}


class Audit:
    """One comparison. `folder` receives the lists; without it there are only numbers and samples."""

    def __init__(
        self,
        root: Root,
        found: Found,
        *,
        began: float,
        grace_seconds: float,
        excluded: list[str],
        folder: Path | None,
        on_orphan: Callable[[Item], None] | None = None,
    ) -> None:
        self.on_orphan = on_orphan
        self.root, self.found, self.began, self.grace = root, found, began, grace_seconds
        self.excluded = (*excluded, SITE_MARK) if root.bucket else tuple(excluded)
        self.open: list[list[Any]] = []  # references that may cover the next key, each with the number of its objects
        self.classes, self.experiments = Sums(), Sums()
        self.owners = Sums()  # by experiment and user of what an object belongs to
        self.with_objects, self.empty, self.missing = Counter(), Counter(), Counter()
        self.changes = Sums()
        self.samples: dict[str, list] = {"missing": [], "orphans": [], "vanished": []}
        self.group: dict[str, Any] = {}
        self.stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(began))
        names = ("orphans", "missing", "vanished")
        self.lists = {name: manifest.Lines(folder / f"{name}.jsonl.gz") for name in names} if folder else {}

    def run(self, items: Iterable[Item], before: Iterable[Item] = (), kept: manifest.Lines | None = None) -> None:
        """Go through everything once."""
        waiting = iter(self.found)
        next_reference = next(waiting, None)
        for key, item, earlier in manifest.together(items, before):
            while next_reference and next_reference.key <= key:
                self._close(lambda entry, new=next_reference.key: not entry[0].covers(new))
                self._enter(next_reference, key)
                next_reference = next(waiting, None)
            self._close(lambda entry, now=key: not entry[0].covers(now))
            if kept and item and not key.startswith(self.excluded):
                kept.write([item.key, item.size, item.tag, item.modified])
            self._judge(key, item, earlier)
        self._close(lambda _entry: True)
        while next_reference:
            self._finish(next_reference, 0)
            next_reference = next(waiting, None)
        self._end_group()
        for lines in self.lists.values():
            lines.close()

    def _enter(self, reference: Reference, key: str) -> None:
        if reference.covers(key):
            self.open.append([reference, 0])
        else:
            self._finish(reference, 0)

    def _close(self, ended: Any) -> None:
        """Finish the references that no further key can belong to."""
        if self.open and any(ended(entry) for entry in self.open):
            for entry in self.open:
                if ended(entry):
                    self._finish(*entry)
            self.open = [entry for entry in self.open if not ended(entry)]

    def _finish(self, reference: Reference, objects: int) -> None:
        if reference.kind != "logged_model" or reference.key.endswith("/"):
            (self.with_objects if objects else self.empty)[reference.kind] += 1
        if reference.expected and not objects:
            self.missing[reference.kind] += 1
            self._note("missing", {"kind": reference.kind, "id": reference.id, "experiment": reference.experiment, "key": reference.key})

    def _note(self, name: str, entry: dict[str, Any]) -> None:
        if self.lists:
            self.lists[name].write(entry)
        if len(self.samples[name]) < SAMPLE:
            self.samples[name].append(entry)

    def _judge(self, key: str, item: Item | None, earlier: Item | None) -> None:
        owner = max((entry[0] for entry in self.open if entry[0].kind != "experiment"), key=lambda reference: len(reference.key), default=None)
        experiment = next((entry[0] for entry in reversed(self.open) if entry[0].experiment), None)
        if item is None:
            self.changes.add("vanished", earlier)
            if owner:
                self.changes.add("vanished_referenced", earlier)
            self._note("vanished", {"key": key, "size": earlier.size, "owner": f"{owner.kind} {owner.id}" if owner else ""})
            return
        if earlier and (earlier.tag, earlier.size) != (item.tag, item.size):
            self.changes.add("changed", item)
        for entry in self.open:
            entry[1] += 1
        if owner:
            self.classes.add("referenced", item)
            self.owners.add((owner.experiment, owner.user), item)
        if experiment:
            self.experiments.add(experiment.experiment, item)
        if owner is None:
            self._unowned(key, item, experiment)

    def _unowned(self, key: str, item: Item, experiment: Reference | None) -> None:
        if key.startswith(self.excluded):
            self.classes.add("excluded", item)
        elif not key.startswith(self.root.base):
            self.classes.add("outside", item)
        elif item.modified > self.began - self.grace:
            self.classes.add("young", item)
        else:
            self.classes.add("orphaned", item)
            if self.on_orphan:
                self.on_orphan(item)
            prefix = group_of(key, experiment.key if experiment else self.root.base)
            if self.group.get("prefix") != prefix:
                self._end_group()
                self.group = {"prefix": prefix, "objects": 0, "bytes": 0, "newest": 0}
            self.group["objects"] += 1
            self.group["bytes"] += item.size
            self.group["newest"] = max(self.group["newest"], int(item.modified))

    def _end_group(self) -> None:
        if self.group:
            self.classes.objects["orphaned_prefixes"] += 1
            self._note("orphans", self.group)
        self.group = {}

    def _users(self) -> Sums:
        """The owners without their experiments."""
        found = Sums()
        for (experiment, user), size in self.owners.bytes.items():
            found.objects[user] += self.owners.objects[experiment, user]
            found.bytes[user] += size
        return found

    def report(self, totals: Totals) -> dict[str, Any]:
        """What was found, for a program to read."""
        stored = ("referenced", "orphaned", "young", "excluded", "outside")
        counts = self.found.counts
        kinds = {
            kind: {
                "rows": counts[kind],
                "with_objects": self.with_objects[kind],
                "empty": self.empty[kind],
                "missing": self.missing[kind],
                "elsewhere": dict(self.found.elsewhere.get(kind, {})),
            }
            for kind in counts
        }
        return {
            "root": self.root.uri,
            "examined": self.stamp,
            "seconds": round(time.time() - self.began, 1),
            "references": kinds,
            "missing": sum(self.missing.values()),
            "bucket": {
                "objects": sum(self.classes.objects[name] for name in stored),
                "bytes": sum(self.classes.bytes[name] for name in stored),
                **{name: self.classes.of(name) for name in stored},
                **{name: value for name, value in vars(totals).items() if name != "failed"},
            },
            "orphaned_prefixes": self.classes.objects["orphaned_prefixes"],
            "since_last": {name: self.changes.of(name) for name in ("vanished", "vanished_referenced", "changed")},
            "experiments": self.experiments.all(),
            "users": self._users().all(),
            "samples": self.samples,
            "knowledge": KNOWLEDGE,
        }


def group_of(key: str, base: str) -> str:
    """The folder that an orphan is listed under: a run's, model's or trace's below its experiment's."""
    rest = key[len(base) :].split("/")
    depth = 2 if rest[0] in KINDS_OF_FOLDERS else 1
    return base + "/".join(rest[:depth]) + ("/" if len(rest) > depth else "")


def audit(request: dict[str, Any]) -> dict[str, Any]:
    """The whole of it. `request`: tracking_uri, database, root, excluded_prefixes, grace_hours, folder, manifests_keep, manifest.

    The manifest that is compared is the newest in the folder, or the file that `manifest` names.
    """
    root, began = Root.parse(request["root"]), time.time()
    folder = Path(request["folder"]) if request.get("folder") else None
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(references.scratch_folder()))
        with references.snapshot(request["tracking_uri"], request.get("database", "")) as connection:
            found = references.gather(connection, root, scratch)
        earlier = Path(request["manifest"]) if request.get("manifest") else manifest.newest(folder) if folder else None
        totals, excluded = Totals(), list(request.get("excluded_prefixes", []))
        work = Audit(root, found, began=began, grace_seconds=3600 * request.get("grace_hours", 24), excluded=excluded, folder=folder)
        keep = request.get("manifests_keep", 0)
        kept = manifest.Lines(folder / f"manifest-{work.stamp}.jsonl.gz") if folder and keep else None
        work.run(open_store(root).items("", totals), manifest.read(earlier) if earlier else (), kept)
        if kept:
            kept.close()
            manifest.prune(folder, keep)
    report = work.report(totals)
    report["compared_with"] = earlier.name if earlier else ""
    return report


def probe(request: dict[str, Any]) -> dict[str, Any]:
    """Whether database and store answer."""
    root = Root.parse(request["root"])
    with references.snapshot(request["tracking_uri"]) as connection:
        tables = len(references.tables(connection))
    return {"root": root.uri, "tables": tables, "empty": next(iter(open_store(root).items("", Totals())), None) is None}
