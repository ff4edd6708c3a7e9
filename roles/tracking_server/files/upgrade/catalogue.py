# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables, columns, indexes and constraints of a database, compared with those of one that the release has made itself."""

from __future__ import annotations

import re
from typing import Any, Protocol

# One line each. Names of indexes and constraints are left out: what they do counts. NOT NULL belongs to the columns.
QUERY = r"""
with tables as (select oid, relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p'))
select 'table ' || relname from tables
union all
select format('column %s.%s %s%s%s', relname, attname, format_type(atttypid, atttypmod), case when attnotnull then ' not null' else '' end,
              ' default ' || pg_get_expr(adbin, adrelid))
  from tables join pg_attribute on attrelid = tables.oid and attnum > 0 and not attisdropped
  left join pg_attrdef on adrelid = attrelid and adnum = attnum
union all
select format('%sindex %s %s', case when indisunique then 'unique ' else '' end, relname,
              regexp_replace(pg_get_indexdef(indexrelid), '^CREATE (UNIQUE )?INDEX .* ON \S+ (?=USING)', ''))
  from tables join pg_index on indrelid = tables.oid
  where indisvalid and not exists (select from pg_constraint where conindid = indexrelid and contype in ('p', 'u', 'x'))
union all
select format('constraint %s %s', relname, pg_get_constraintdef(pg_constraint.oid))
  from tables join pg_constraint on conrelid = tables.oid where contype <> 'n' and convalidated
"""
# What people would miss; other tables a migration may rearrange.
PRECIOUS = (
    "experiments", "experiment_tags", "runs", "metrics", "latest_metrics", "params", "tags", "datasets", "inputs", "logged_models", "logged_model_metrics",
    "registered_models", "registered_model_aliases", "model_versions", "model_version_tags", "trace_info", "spans", "assessments", "users",
)  # fmt: skip


class SchemaError(Exception):
    """A migrated database is not what it should be."""


class Database(Protocol):
    """What is asked."""

    def sql(self, statements: str, database: str) -> str: ...


def catalogue(cluster: Database, database: str) -> list[str]:
    """The lines of a database."""
    return sorted(plain(line) for line in cluster.sql(QUERY, database).splitlines())


def plain(line: str) -> str:
    """Without casts of texts and parentheses: a restored dump has them at other places of the same expression."""
    return re.sub(r"::(character varying|text)(\[\])?|[()]", "", line)


def compare(wanted: list[str], found: list[str]) -> list[str]:
    """Lines that are there and not wanted; a site may have indexes of its own.

    Raises:
        SchemaError: lines are missing.
    """
    if missing := sorted(set(wanted) - set(found)):
        raise SchemaError(f"{len(missing)} parts of the schema are missing after the migration: {'; '.join(missing[:10])}.")
    return sorted(set(found) - set(wanted))


def compare_rows(before: dict[str, int], after: dict[str, int]) -> dict[str, Any]:
    """Tables whose number of rows a migration has changed, as [before, after].

    Raises:
        SchemaError: runs, metrics or other precious rows are missing.
    """
    changed = {table: [before.get(table, 0), after.get(table, 0)] for table in sorted(before.keys() | after.keys())}
    changed = {table: pair for table, pair in changed.items() if pair[0] != pair[1]}
    if lost := [f"{table} {old} -> {new}" for table, (old, new) in changed.items() if table in PRECIOUS and new < old]:
        raise SchemaError(f"rows are missing after the migration: {', '.join(lost)}.")
    return changed
