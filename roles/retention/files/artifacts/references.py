# SPDX-License-Identifier: GPL-3.0-or-later
"""What MLflow's database says about places of artifacts, row by row, and in the order of the keys."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from places import Root

ROWS = 2000

# kind, tables that it needs, query: id, experiment, user, location, whether something must be there; 2 is MLflow's LoggedModelStatus.READY
QUERIES = [
    ("experiment", ["experiments"], "select experiment_id::text, experiment_id::text, '', artifact_location, false from experiments"),
    ("run", ["runs"], "select run_uuid, experiment_id::text, coalesce(user_id, ''), artifact_uri, false from runs"),
    (
        "logged_model",
        ["logged_models"],
        """select m.model_id, m.experiment_id::text, coalesce(r.user_id, ''), m.artifact_location,
            m.status = 2 and not exists (select from logged_model_tags t where t.model_id = m.model_id
                and t.tag_key = 'mlflow.model.isExternal' and lower(t.tag_value) = 'true')
        from logged_models m left join runs r on r.run_uuid = m.source_run_id""",
    ),
    (
        "model_version",
        ["model_versions"],
        """select v.name || '/' || v.version, coalesce(r.experiment_id::text, ''), coalesce(v.user_id, r.user_id, ''),
            coalesce(v.storage_location, v.source), coalesce(v.status, 'READY') = 'READY'
        from model_versions v left join runs r on r.run_uuid = v.run_id
        where v.current_stage is distinct from 'Deleted_Internal' and coalesce(v.storage_location, v.source, '') <> ''
            and not exists (select from model_version_tags t where t.name = v.name and t.version = v.version and t.key = 'mlflow.prompt.is_prompt')
            and not exists (select from registered_model_tags t where t.name = v.name and t.key = 'mlflow.prompt.is_prompt')""",
    ),
    (
        "trace",
        ["trace_info", "trace_tags"],
        """select i.request_id, i.experiment_id::text, '', l.value, coalesce(s.value, '') not in ('TRACKING_STORE', 'ARCHIVE_REPO')
        from trace_info i join trace_tags l on l.request_id = i.request_id and l.key = 'mlflow.artifactLocation'
            left join trace_tags s on s.request_id = i.request_id and s.key = 'mlflow.trace.spansLocation'""",
    ),
    (
        "archived_trace",
        ["trace_info", "trace_tags"],
        """select i.request_id, i.experiment_id::text, '', a.value, true
        from trace_info i join trace_tags s on s.request_id = i.request_id and s.key = 'mlflow.trace.spansLocation' and s.value = 'ARCHIVE_REPO'
            join trace_tags a on a.request_id = i.request_id and a.key = 'mlflow.trace.archiveLocation'""",
    ),
    (
        "noted_artifact",
        ["runs", "tags"],
        """select r.run_uuid, r.experiment_id::text, coalesce(r.user_id, ''), r.artifact_uri, t.key || ' ' || t.value
        from tags t join runs r on r.run_uuid = t.run_uuid
        where t.key in ('mlflow.log-model.history', 'mlflow.loggedArtifacts', 'mlflow.loggedImages')""",
    ),
]


class Reference(NamedTuple):
    """A place that the database names. A key that ends in a slash means all below it, another one a single object."""

    key: str
    kind: str
    id: str
    experiment: str
    user: str
    expected: bool

    def covers(self, key: str) -> bool:
        """Whether the object belongs to it."""
        return key.startswith(self.key) if self.key.endswith("/") or not self.key else key == self.key


@dataclass
class Found:
    """The references in a sorted file, and what was no use."""

    path: Path
    counts: Counter
    elsewhere: dict[str, Counter]

    def __iter__(self) -> Iterator[Reference]:
        with self.path.open(encoding="utf-8") as lines:
            for line in lines:
                key, rest = line.rstrip("\n").split("\t", 1)
                yield Reference(key, *json.loads(rest))


def noted_places(location: str, note: str) -> Iterator[str]:
    """Places inside a run that a tag of MLflow's client says it has written: models of MLflow 2, tables, images."""
    name, _space, value = note.partition(" ")
    if name == "mlflow.loggedImages":
        yield f"{location}/images/"
        return
    with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
        for entry in json.loads(value):
            if name == "mlflow.loggedArtifacts":
                yield f"{location}/{entry['path']}"
            elif entry.get("artifact_path"):
                yield f"{location}/{entry['artifact_path']}/MLmodel"


def expand(kind: str, location: str, root: Root, expected: Any) -> Iterator[tuple[str | None, bool]]:
    """(key, whether something must be there) of one row; None as the key where the place is not in this store."""
    if kind == "noted_artifact":
        for place in noted_places(location, expected):
            key = root.key(place)
            yield (f"{key}/" if key and place.endswith("/") else key, True)
        return
    key = root.key(location)
    # of a model, the file that describes it is asked for; of a version, something
    yield (f"{key.rstrip('/')}/".lstrip("/") if key is not None else None, bool(expected) and kind != "logged_model")
    if kind == "logged_model" and expected:
        yield (f"{key}/MLmodel" if key else None, True)


def tables(connection: Any) -> set[str]:
    """Names of the tables; an earlier MLflow has fewer."""
    with connection.cursor() as cursor:
        cursor.execute("select table_name from information_schema.tables where table_schema = any(current_schemas(false))")
        return {row[0] for row in cursor.fetchall()}


def gather(connection: Any, root: Root, folder: Path) -> Found:
    """Read every place in one snapshot of the database, and sort them on disk.

    Raises:
        subprocess.CalledProcessError: the disk is full.
    """
    unsorted, path = folder / "references", folder / "references.sorted"
    counts: Counter = Counter()
    elsewhere: dict[str, Counter] = {}
    known = tables(connection)
    with unsorted.open("w", encoding="utf-8") as file:
        for kind, needed, query in QUERIES:
            if not set(needed) <= known:
                continue
            with connection.cursor(name=f"labtrack_{kind}") as cursor:
                cursor.itersize = ROWS
                cursor.execute(query)
                for identity, experiment, user, location, expected in cursor:
                    counts[kind] += 1
                    for key, must in expand(kind, location or "", root, expected):
                        if key is None:
                            elsewhere.setdefault(kind, Counter())[_where(location)] += 1
                            break
                        file.write(f"{key}\t{json.dumps([kind, identity, experiment, user, must])}\n")
    command = ["sort", "-s", "-t", "\t", "-k", "1,1", "-T", str(folder), "-o", str(path), str(unsorted)]
    subprocess.run(command, env={**os.environ, "LC_ALL": "C"}, check=True)
    unsorted.unlink()
    return Found(path, counts, elsewhere)


def _where(location: str | None) -> str:
    """The store that a foreign location names, without its path."""
    if not location:
        return "(none)"
    scheme, separator, rest = location.partition(":")
    return f"{scheme}://{rest.lstrip('/').partition('/')[0]}" if separator and rest.startswith("//") else scheme + separator


@contextlib.contextmanager
def snapshot(uri: str, database: str = "") -> Iterator[Any]:
    """A connection that reads one state of the database and changes nothing. `database`: another one on the same server."""
    import sqlalchemy

    url = sqlalchemy.engine.make_url(uri)
    engine = sqlalchemy.create_engine(url.set(database=database) if database else url, poolclass=sqlalchemy.pool.NullPool)
    connection = engine.raw_connection()
    try:
        connection.driver_connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        yield connection.driver_connection
    finally:
        connection.close()
        engine.dispose()


def scratch_folder() -> tempfile.TemporaryDirectory:
    """A folder on disk, not in memory, that goes away."""
    return tempfile.TemporaryDirectory(prefix="labtrack-artifacts-", dir="/var/tmp")
