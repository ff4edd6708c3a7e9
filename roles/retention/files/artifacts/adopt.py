# SPDX-License-Identifier: GPL-3.0-or-later
"""Take the rows of MLflow's SQLite database into the site's PostgreSQL: table by table, in one transaction, with ids and dates as they are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

BATCH = 2000
COUNTED = ("experiments", "runs", "metrics", "latest_metrics", "params", "tags", "logged_models", "registered_models", "model_versions", "trace_info", "spans")
VERSIONS = "alembic_version"
LARGEST = 2**31 - 1  # of an id in PostgreSQL; directories of MLflow have ids of 18 digits


def engine_of(uri: str) -> Any:
    """An engine without a pool."""
    import sqlalchemy

    return sqlalchemy.create_engine(uri, poolclass=sqlalchemy.pool.NullPool)


def counted(connection: Any, names: Iterator[str]) -> dict[str, int]:
    """Rows by table."""
    import sqlalchemy

    return {name: connection.execute(sqlalchemy.select(sqlalchemy.func.count()).select_from(sqlalchemy.table(name))).scalar() for name in names}


def counts(request: dict[str, Any]) -> dict[str, Any]:
    """How much is in the site's database, and when its newest run began."""
    import sqlalchemy

    with engine_of(request["tracking_uri"]).connect() as connection:
        known = set(sqlalchemy.inspect(connection).get_table_names())
        found = counted(connection, [name for name in COUNTED if name in known])
        newest = connection.execute(sqlalchemy.text("select max(start_time) from runs")).scalar() if "runs" in known else None
    return {"rows": found, "newest_run": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(newest / 1000)) if newest else ""}


def adopt(request: dict[str, Any]) -> dict[str, Any]:
    """`request`: sqlite, the path of a database with the schema of this release.

    Raises:
        SystemExit: the schemas differ, the site has runs, or a table did not arrive as it was.
    """
    import sqlalchemy

    began = time.time()
    source, target = engine_of(f"sqlite:///file:{request['sqlite']}?mode=ro&uri=true"), engine_of(request["tracking_uri"])
    metadata = sqlalchemy.MetaData()
    metadata.reflect(target)
    with source.connect() as reading, target.begin() as writing:
        reading.execute(sqlalchemy.text("begin"))
        version = sqlalchemy.text("select version_num from alembic_version")
        versions = [connection.execute(version).scalar() for connection in (reading, writing)]
        if versions[0] != versions[1]:
            raise SystemExit(f"The SQLite database has schema '{versions[0]}', the site '{versions[1]}'. Nothing was changed.")
        if writing.execute(sqlalchemy.text("select count(*) from runs")).scalar():
            raise SystemExit("The site has runs. Nothing was changed.")
        present = set(sqlalchemy.inspect(source).get_table_names())
        tables = [table for table in metadata.sorted_tables if table.name in present and table.name != VERSIONS]
        for table in reversed(tables):
            writing.execute(table.delete())  # MLflow makes a default experiment
        numbers = new_numbers(reading)
        for table in tables:
            copy_table(reading, writing, table, numbers)
        names = [table.name for table in tables]
        before, after = counted(reading, names), counted(writing, names)
        if before != after:
            raise SystemExit(f"Not all rows have arrived: {[name for name in names if before[name] != after[name]]}. Nothing was changed.")
        for table in tables:
            continue_sequences(writing, table)
    renamed = {str(old): str(new) for old, new in numbers.items()}
    return {"rows": {name: count for name, count in after.items() if count}, "renumbered": renamed, "seconds": round(time.time() - began, 1)}


def new_numbers(reading: Any) -> dict[int, int]:
    """Ids of experiments that PostgreSQL cannot hold, and what they become: the next ones that are free."""
    import sqlalchemy

    found = [row[0] for row in reading.execute(sqlalchemy.text("select experiment_id from experiments order by creation_time, experiment_id"))]
    highest = max((number for number in found if number <= LARGEST), default=0)
    return {number: highest + place for place, number in enumerate((number for number in found if number > LARGEST), 1)}


def copy_table(reading: Any, writing: Any, table: Any, numbers: dict[int, int]) -> None:
    """All rows, a few thousand at a time."""
    rows = reading.execution_options(stream_results=True, yield_per=BATCH).execute(table.select())
    for part in rows.mappings().partitions(BATCH):
        found = [dict(row) for row in part]
        for row in found if "experiment_id" in table.columns and numbers else ():
            row["experiment_id"] = numbers.get(row["experiment_id"], row["experiment_id"])
        writing.execute(table.insert(), found)


def continue_sequences(connection: Any, table: Any) -> None:
    """New rows get numbers behind the old ones."""
    import sqlalchemy

    for column in table.primary_key.columns:
        sequence = connection.execute(sqlalchemy.func.pg_get_serial_sequence(table.name, column.name).select()).scalar()
        if sequence:
            highest = connection.execute(sqlalchemy.select(sqlalchemy.func.max(column))).scalar()
            connection.execute(sqlalchemy.func.setval(sequence, max(highest or 0, 1)).select())
