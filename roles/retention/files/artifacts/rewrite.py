# SPDX-License-Identifier: GPL-3.0-or-later
"""Let MLflow's database name another place of the same artifacts: one transaction, with a file of the old values that undoes it.

Every place where MLflow 3.17 keeps a location is in COLUMNS; an earlier schema has fewer of them. The file MLmodel of a logged model names its location, too.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import references
from places import Root
from stores import S3Store, Totals, open_store

# table, key, column, what it holds at most, further condition
COLUMNS = [
    ("experiments", ["experiment_id"], "artifact_location", 256, ""),
    ("runs", ["run_uuid"], "artifact_uri", 200, ""),
    ("logged_models", ["model_id"], "artifact_location", 1000, ""),
    ("model_versions", ["name", "version"], "source", 500, ""),
    ("model_versions", ["name", "version"], "storage_location", 500, ""),
    ("trace_tags", ["request_id", "key"], "value", 8000, "key in ('mlflow.artifactLocation', 'mlflow.trace.archiveLocation')"),
    ("workspaces", ["name"], "default_artifact_root", 0, ""),
    ("workspaces", ["name"], "trace_archival_location", 0, ""),
]
# free text that may mention a location; it is counted, because only a person knows what is meant
MENTIONS = [("datasets", "dataset_source"), ("tags", "value"), ("experiment_tags", "value"), ("params", "value"), ("logged_model_tags", "tag_value")]
BATCH = 1000
LIST = 50
MLMODEL = re.compile(rb"^(artifact_path: ['\"]?)([^\s'\"]+)", re.MULTILINE)


class RewriteError(Exception):
    """Nothing was changed; the message says why."""


def forms(root: Root, proxied: bool, hosts: list[str]) -> list[str]:
    """How the database may write the root, each with a slash at the end; the longest first."""
    found = [f"{root.uri}/"] if root.bucket else [f"{root.prefix}/", f"file://{root.prefix}/"]
    if proxied:
        found += ["mlflow-artifacts:/", *(f"mlflow-artifacts://{host}/" for host in hosts)]
    return sorted(found, key=len, reverse=True)


def target_form(root: Root, proxied: bool) -> str:
    """How new rows write it."""
    return "mlflow-artifacts:/" if proxied else f"{root.uri}/"


def changed(value: str, old: list[str], new: str) -> str | None:
    """The new value, None where it does not begin with an old form."""
    for form in old:
        if value.startswith(form) and not (form == "mlflow-artifacts:/" and value.startswith("mlflow-artifacts://")):
            return new + value[len(form) :]
        if value == form.rstrip("/"):
            return new.rstrip("/")
    return None


class Rewriter:
    """One transaction on a connection of psycopg2."""

    def __init__(self, connection: Any, old: list[str], new: str) -> None:
        from psycopg2 import sql

        self.connection, self.old, self.new, self.sql = connection, old, new, sql
        self.known = references.tables(connection)

    def rows(self, table: str, keys: list[str], column: str, condition: str) -> Iterator[tuple[list, str, str]]:
        """(key, old value, new value) of what changes."""
        query = self.sql.SQL("select {keys}, {column} from {table} where {column} is not null and {condition}").format(
            keys=self.sql.SQL(", ").join(map(self.sql.Identifier, keys)),
            column=self.sql.Identifier(column),
            table=self.sql.Identifier(table),
            condition=self.sql.SQL(condition or "true"),
        )
        with self.connection.cursor(name=f"labtrack_{table}_{column}") as cursor:
            cursor.itersize = BATCH
            cursor.execute(query)
            for row in cursor:
                if (value := changed(row[-1], self.old, self.new)) not in (None, row[-1]):
                    yield list(row[:-1]), row[-1], value

    def plan(self, file: Any) -> Counter:
        """Write what changes; how many by column.

        Raises:
            RewriteError: a new value is longer than its column.
        """
        counts: Counter = Counter()
        for table, keys, column, most, condition in COLUMNS:
            if table not in self.known:
                continue
            for key, before, after in self.rows(table, keys, column, condition):
                if most and len(after) > most:
                    raise RewriteError(f"{table}.{column} of {key} would be {len(after)} characters long, and holds {most}: choose a shorter prefix.")
                counts[f"{table}.{column}"] += 1
                file.write(f"{json.dumps([table, keys, column, key, before, after])}\n".encode())
        return counts

    def update(self, lines: Iterator[list], *, back: bool = False) -> Counter:
        """Set the values that the lines name, where the present one is as they say; how many rows by column."""
        counts: Counter = Counter()
        batch: list[list] = []
        for line in lines:
            if batch and (line[:3] != batch[0][:3] or len(batch) == BATCH):
                self._set(batch, back, counts)
                batch = []
            batch.append(line)
        if batch:
            self._set(batch, back, counts)
        return counts

    def _set(self, batch: list[list], back: bool, counts: Counter) -> None:
        from psycopg2.extras import execute_values

        table, keys, column = batch[0][:3]
        name, names = self.sql.Identifier, [f"k{number}" for number in range(len(keys))]
        query = self.sql.SQL("update {table} t set {column} = v.wanted from (values %s) as v({names}, present, wanted) where {same} and t.{column} = v.present")
        same = self.sql.SQL(" and ").join(self.sql.SQL("t.{} = v.{}").format(name(key), name(alias)) for key, alias in zip(keys, names, strict=True))
        query = query.format(table=name(table), column=name(column), names=self.sql.SQL(", ").join(map(name, names)), same=same)
        values = [(*line[3], *(reversed(line[4:]) if back else line[4:])) for line in batch]
        with self.connection.cursor() as cursor:
            execute_values(cursor, query.as_string(cursor), values, page_size=BATCH)
            counts[f"{table}.{column}"] += cursor.rowcount

    def mentions(self) -> dict[str, int]:
        """How often free text names an old place."""
        found = {}
        texts = [form for form in self.old if form != "mlflow-artifacts:/"]
        for table, column in MENTIONS:
            if table not in self.known or not texts:
                continue
            condition = self.sql.SQL(" or ").join(
                self.sql.SQL("position({} in {}) > 0").format(self.sql.Literal(text), self.sql.Identifier(column)) for text in texts
            )
            query = self.sql.SQL("select count(*) from {} where {}").format(self.sql.Identifier(table), condition)
            with self.connection.cursor() as cursor:
                cursor.execute(query)
                if count := cursor.fetchone()[0]:
                    found[f"{table}.{column}"] = count
        return found


def lines_of(path: Path) -> Iterator[list]:
    """What a file of old values holds."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def hosts_of(connection: Any) -> list[str]:
    """Servers that proxied locations name; MLflow writes none itself."""
    with connection.cursor() as cursor:
        cursor.execute("select distinct split_part(artifact_location, '/', 3) from experiments where artifact_location like 'mlflow-artifacts://%'")
        return [row[0] for row in cursor.fetchall()]


def connect(uri: str) -> Any:
    """A connection that sees one state of the database, and fails rather than overwrite what somebody changes meanwhile."""
    import sqlalchemy

    pooled = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.pool.NullPool).raw_connection()
    connection = pooled.driver_connection
    pooled.detach()  # or it would be closed with what is not used any more
    connection.set_session(isolation_level="REPEATABLE READ")
    return connection


def rewrite_models(request: dict[str, Any], old: list[str], new: str) -> int:
    """Name the new place in MLmodel files of the new store; how many."""
    root = Root.parse(request["target_root"])
    store, count = open_store(root), 0
    for item in store.items(root.base, Totals()):
        if not item.key.endswith("/MLmodel"):
            continue
        if isinstance(store, S3Store):
            text = store.client.get_object(Bucket=root.bucket, Key=item.key)["Body"].read()
        else:
            text = Path(root.prefix, item.key).read_bytes()
        found = MLMODEL.search(text)
        after = changed(found[2].decode(), old, new) if found else None
        if after is None or after == found[2].decode():
            continue
        count += 1
        if request.get("apply"):
            wanted = text[: found.start()] + found[1] + after.encode() + text[found.end() :]
            if isinstance(store, S3Store):
                store.client.put_object(Bucket=root.bucket, Key=item.key, Body=wanted)
            else:
                Path(root.prefix, item.key).write_bytes(wanted)
    return count


def rewrite(request: dict[str, Any]) -> dict[str, Any]:
    """`request`: source_root, source_proxied, target_root, target_proxied, apply, folder; or undo, a file of old values.

    Without `apply` it says what would change.
    """
    folder = Path(request["folder"])
    began, stamp = time.time(), time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    connection = connect(request["tracking_uri"])
    try:
        if request.get("undo"):
            counts = Rewriter(connection, [], "").update(lines_of(Path(request["undo"])), back=True)
            connection.commit()
            return {"undone": dict(counts), "apply": True, "seconds": round(time.time() - began, 1)}
        source = Root.parse(request["source_root"])
        old = forms(source, request["source_proxied"], hosts_of(connection))
        new = target_form(Root.parse(request["target_root"]), request["target_proxied"])
        work = Rewriter(connection, old, new)
        partial, path = folder / f".undo-{stamp}.partial", folder / f"undo-{stamp}.jsonl.gz"
        with partial.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb") as file:
            counts = work.plan(file)
        mentions = work.mentions()
        if request.get("apply") and counts:
            with partial.open("rb+") as raw:
                os.fsync(raw.fileno())
            partial.replace(path)
            if (done := work.update(lines_of(path))) != counts:
                raise RewriteError(f"{sum(done.values())} of {sum(counts.values())} rows could be changed.")
        else:
            partial.unlink()
        connection.commit()
    except RewriteError as error:
        connection.rollback()
        raise SystemExit(f"{error} Nothing was changed.") from error
    finally:
        connection.close()
    return {
        "apply": bool(request.get("apply")),
        "old": old,
        "new": new,
        "rows": dict(counts),
        "models": rewrite_models(request, old, new) if request.get("models", True) else 0,
        "mentions": mentions,
        "undo": str(path) if path.exists() else "",
        "seconds": round(time.time() - began, 1),
    }
