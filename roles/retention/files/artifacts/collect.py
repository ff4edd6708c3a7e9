# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove for good what was deleted in MLflow long ago: runs, logged models, experiments, with their artifacts.

`mlflow gc` asks a running server with an administrator's login, wants deletions of many objects at once, and stops at the first failure. This works on
database and store itself, with MLflow's own functions for the rows:

* The row is locked while its artifacts go, and is removed in the same transaction. Nobody can restore a run whose artifacts are half gone.
* A note of what is begun lies on disk first. After a crash the next pass ends it, or says whose artifacts are incomplete.
* What a registered model version or another run uses stays. What fails is reported, and the rest goes on.
"""

from __future__ import annotations

import bisect
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from places import Root
from stores import BATCH, Totals, open_store

DAY_MS = 86400 * 1000
LIST = 100  # entries of a list in the report
COLUMNS = {
    "run": ("runs", "run_uuid", "artifact_uri", "deleted_time"),
    "logged_model": ("logged_models", "model_id", "artifact_location", "last_updated_timestamp_ms"),
    "experiment": ("experiments", "experiment_id", "artifact_location", "last_update_time"),
}


class KeptError(Exception):
    """It stays, for the reason that the message says."""


class SlowError(Exception):
    """The time is over."""


def failures() -> tuple[type[Exception], ...]:
    """What database, store and network raise."""
    from botocore.exceptions import BotoCoreError, ClientError
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    return (MlflowException, SQLAlchemyError, BotoCoreError, ClientError, OSError)


class Rows:
    """The table of a kind, as far as this is about it."""

    def __init__(self, kind: str) -> None:
        import sqlalchemy

        name, identity, place, deleted = COLUMNS[kind]
        self.number = kind == "experiment"
        table = sqlalchemy.table(name, *map(sqlalchemy.column, {identity, place, deleted, "lifecycle_stage", "experiment_id"}))
        self.select = sqlalchemy.select
        self.id, self.place, self.deleted = table.c[identity], table.c[place], table.c[deleted]
        self.stage, self.experiment = table.c["lifecycle_stage"], table.c["experiment_id"]

    def is_one(self, identity: str) -> Any:
        """The condition for one row."""
        return self.id == (int(identity) if self.number else identity)

    def is_old(self, cutoff: int) -> Any:
        """The condition for rows that were deleted before a moment, in milliseconds."""
        from sqlalchemy import and_

        return and_(self.stage == "deleted", self.deleted <= cutoff)


@dataclass
class Journal:
    """What was begun, on disk before anything is removed."""

    path: Path | None
    entries: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path | None) -> Journal:
        """As an earlier pass has left it."""
        path = folder / "begun.json" if folder else None
        return cls(path, json.loads(path.read_text()) if path and path.exists() else {})

    def begin(self, name: str, key: str) -> None:
        """Note what is about to go."""
        self.entries.setdefault(name, {"key": key, "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())})
        self._save()

    def end(self, name: str) -> None:
        """It is done, or nothing of it was removed."""
        if self.entries.pop(name, None):
            self._save()

    def _save(self) -> None:
        if self.path is None:
            raise ValueError("nothing is removed without a folder for the journal")
        partial = self.path.with_suffix(".partial")
        with partial.open("w") as file:
            json.dump(self.entries, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path)


class Users:
    """Places that something uses which is not deleted."""

    def __init__(self, session: Any, root: Root) -> None:
        from sqlalchemy import text

        query = """select name || '/' || version, coalesce(storage_location, source) from model_versions
            where current_stage is distinct from 'Deleted_Internal'"""
        rows = session.execute(text(query))
        self.versions = sorted((f"{key}/", name) for name, key in ((name, root.key(place or "")) for name, place in rows) if key)
        rows = session.execute(text("select artifact_uri from runs group by artifact_uri having count(*) > 1"))
        self.shared = {root.key(row[0] or "") for row in rows}

    def check(self, key: str) -> None:
        """Raises KeptError where a model version lies at or below the key, or several runs share it."""
        at = bisect.bisect_left(self.versions, (f"{key}/", ""))
        if at < len(self.versions) and self.versions[at][0].startswith(f"{key}/"):
            raise KeptError(f"the registered model version {self.versions[at][1]} uses its artifacts")
        if key in self.shared:
            raise KeptError("another run has the same place of artifacts")


class Collector:
    """One pass. `store` is MLflow's tracking store, `place` the store of artifacts."""

    def __init__(self, store: Any, place: Any, root: Root, request: dict[str, Any]) -> None:
        self.store, self.place, self.root = store, place, root
        self.delete, self.began = bool(request["delete"]), time.time()
        self.cutoff = int(self.began * 1000) - int(request["age_days"] * DAY_MS)
        self.deadline = self.began + request.get("max_seconds", 3600)
        self.only = set(request.get("only", []))
        self.journal = Journal.load(Path(request["folder"]) if request.get("folder") else None)
        self.done: list[dict[str, Any]] = []
        self.kept: list[dict[str, Any]] = []
        self.failed: list[dict[str, Any]] = []
        self.sums = {"objects": 0, "bytes": 0}
        self.unfinished = False

    def run(self) -> dict[str, Any]:
        """Runs and models first, so that an experiment is empty when its turn comes."""
        with self.store.ManagedSessionMaker() as session:
            self.users = Users(session, self.root)
        incomplete = self._incomplete()
        for kind in COLUMNS:
            for identity, location in self._candidates(kind):
                if time.time() > self.deadline:
                    self.unfinished = True
                    break
                if not self.only or f"{kind} {identity}" in self.only:
                    self._one(kind, identity, location)
        return {
            "root": self.root.uri,
            "delete": self.delete,
            "older_than": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.cutoff / 1000)),
            "seconds": round(time.time() - self.began, 1),
            "removed": {kind: sum(1 for entry in self.done if entry["kind"] == kind) for kind in COLUMNS},
            **self.sums,
            "unfinished": self.unfinished,
            "incomplete": incomplete,
            "failed": self.failed[:LIST],
            "failures": len(self.failed),
            "kept": self.kept[:LIST],
            "kept_count": len(self.kept),
            "list": self.done[:LIST],
        }

    def _candidates(self, kind: str) -> list[tuple[str, str]]:
        rows = Rows(kind)
        with self.store.ManagedSessionMaker() as session:
            found = session.execute(rows.select(rows.id, rows.place).where(rows.is_old(self.cutoff)).order_by(rows.deleted))
            return [(str(identity), location or "") for identity, location in found]

    def _incomplete(self) -> list[dict[str, Any]]:
        """What an earlier pass has begun, and a person has restored since: part of its artifacts is gone."""
        found = []
        for name, entry in list(self.journal.entries.items()):
            kind, _space, identity = name.partition(" ")
            rows = Rows(kind)
            with self.store.ManagedSessionMaker() as session:
                stage = session.execute(rows.select(rows.stage).where(rows.is_one(identity))).scalar()
            if stage is None:
                self.journal.end(name)
            elif stage != "deleted":
                found.append({"kind": kind, "id": identity, **entry})
        return found

    def _one(self, kind: str, identity: str, location: str) -> None:
        entry = {"kind": kind, "id": identity, "objects": 0, "bytes": 0}
        self.inside: set[tuple[str, str]] = set()  # runs and models of this experiment, that are counted already
        try:
            keys = self._places(kind, identity, location)
            if self.delete:
                self._remove(kind, identity, keys, entry)
            else:
                self._count(keys, entry)
                for part in [done for done in self.done if (done["kind"], done["id"]) in self.inside]:
                    for name in self.sums:
                        entry[name] -= part[name]
        except KeptError as reason:
            self.kept.append({**entry, "reason": str(reason)})
            return
        except SlowError:
            self.unfinished = True
            return
        except failures() as error:  # the rest must go on
            self.failed.append({**entry, "reason": str(error).splitlines()[0][:500] if str(error) else type(error).__name__})
            return
        self.done.append(entry)
        for name in self.sums:
            self.sums[name] += entry[name]

    def _places(self, kind: str, identity: str, location: str) -> list[str]:
        """Keys whose objects go with it. Raises KeptError."""
        from sqlalchemy import text

        key = self.root.key(location)
        if kind != "experiment":
            if key is None:
                raise KeptError(f"its artifacts are elsewhere: {location or '(nowhere)'}")
            if key.strip("/") == self.root.prefix.strip("/") or not key:
                raise KeptError("its artifacts are the whole store")
            self.users.check(key)
            return [key]
        with self.store.ManagedSessionMaker() as session:
            number = {"id": int(identity)}
            for part in ("run", "logged_model"):
                rows = Rows(part)
                going = set() if self.delete else {entry["id"] for entry in self.done if entry["kind"] == part}
                inside = [row[0] for row in session.execute(rows.select(rows.id).where(rows.experiment == int(identity)))]
                self.inside.update((part, found) for found in inside)
                if staying := [found for found in inside if found not in going]:
                    raise KeptError(f"{len(staying)} of its {COLUMNS[part][0].replace('_', ' ')} are not old enough, or stay")
            tags = text("""select value from trace_tags t join trace_info i on i.request_id = t.request_id
                where i.experiment_id = :id and t.key in ('mlflow.artifactLocation', 'mlflow.trace.archiveLocation')""")
            traces = [self.root.key(row[0] or "") for row in session.execute(tags, number)]
        own = key == f"{self.root.base}{identity}"  # a folder that MLflow has named; another one may hold other things
        if own:
            self.users.check(key)
        return [found for found in traces if found and not (own and found.startswith(f"{key}/"))] + ([key] if own else [])

    def _listed(self, key: str) -> Iterator[list[Any]]:
        """Objects below the key, in batches."""
        batch = []
        for item in self.place.items(f"{key}/", Totals()):
            batch.append(item)
            if len(batch) == BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    def _count(self, keys: list[str], entry: dict[str, Any]) -> None:
        for key in keys:
            for batch in self._listed(key):
                entry["objects"] += len(batch)
                entry["bytes"] += sum(item.size for item in batch)
                if time.time() > self.deadline:
                    raise SlowError

    def _remove(self, kind: str, identity: str, keys: list[str], entry: dict[str, Any]) -> None:
        from sqlalchemy import text

        rows, name = Rows(kind), f"{kind} {identity}"
        lock = rows.select(rows.id).where(rows.is_one(identity), rows.is_old(self.cutoff)).with_for_update(skip_locked=True)
        # MLflow's session turns every exception into its own, so the two that are no failures are raised behind it
        locked, in_time = False, True
        with self.store.ManagedSessionMaker(read_only=False) as session:
            session.execute(text("set local lock_timeout = '10s'"))
            locked = session.execute(lock).first() is not None
            if locked:
                self.journal.begin(name, keys[-1] if keys else "")
                in_time = all(self._empty(key, entry, lambda: session.execute(text("select 1"))) for key in keys)
                if in_time:
                    with self._same(session):
                        getattr(self.store, f"_hard_delete_{kind}")(identity)
        if not locked:
            raise KeptError("it was restored, or somebody is working on it")
        if not in_time:
            raise SlowError
        self.journal.end(name)

    def _empty(self, key: str, entry: dict[str, Any], keep_alive: Callable[[], Any]) -> bool:
        """Delete all objects below the key; whether there was time."""
        for batch in self._listed(key):
            if time.time() > self.deadline:
                return False
            failed = self.place.delete([item.key for item in batch])
            if failed:
                first, reason = next(iter(failed.items()))
                raise OSError(f"{len(failed)} objects cannot be deleted, the first is {first}: {reason}")
            entry["objects"] += len(batch)
            entry["bytes"] += sum(item.size for item in batch)
            keep_alive()
        return True

    @contextmanager
    def _same(self, session: Any) -> Iterator[None]:
        """MLflow's functions then work in the transaction that holds the lock."""
        before = self.store.ManagedSessionMaker
        self.store.ManagedSessionMaker = lambda **_options: nullcontext(session)
        try:
            yield
        finally:
            self.store.ManagedSessionMaker = before


def tracking_store(request: dict[str, Any]) -> Any:
    """MLflow's store on the site's database.

    Raises:
        SystemExit: the database has the schema of another release; MLflow would migrate it.
    """
    import mlflow_private
    from mlflow.store.db.utils import create_sqlalchemy_engine_with_retry
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    engine = create_sqlalchemy_engine_with_retry(request["tracking_uri"])
    found = mlflow_private.tracking_schema(engine)
    engine.dispose()
    if found["state"] != "ready":
        raise SystemExit(f"The database is '{found['state']}': it has the schema of another release of MLflow. Nothing was changed. Run site.yml.")
    return SqlAlchemyStore(request["tracking_uri"], request["root"])


def collect(request: dict[str, Any]) -> dict[str, Any]:
    """One pass. `request`: age_days, delete, max_seconds, batch_delete, folder, only ("run ID", "logged_model ID", "experiment ID")."""
    root = Root.parse(request["root"])
    return Collector(tracking_store(request), open_store(root, batch_delete=request.get("batch_delete", True)), root, request).run()
