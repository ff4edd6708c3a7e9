# Kept by labtrack.mlflow.postgresql.
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a cluster holds, so that two can be compared: rows of every table, indexes, constraints, sequences, extensions, roles, owners."""

from __future__ import annotations

import json
import typing as t

Ask = t.Callable[[str, str], str]

CLUSTER = """
    select json_build_object(
        'databases', (select json_object_agg(datname, json_build_array(pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype))
                      from pg_database where datname <> 'template0'),
        'roles', (select json_object_agg(rolname, json_build_array(rolcanlogin, rolsuper)) from pg_authid where rolname !~ '^pg_'),
        'members', (select coalesce(json_agg(line order by line), '[]') from (
            select format('%s in %s', pg_get_userbyid(member), pg_get_userbyid(roleid)) as line from pg_auth_members) as found where line !~ '^pg_'),
        'settings', (select coalesce(json_agg(line order by line), '[]') from (
            select format('%s %s %s', setdatabase = 0, setrole = 0, setconfig) as line from pg_db_role_setting) as found))"""
DATABASE = """
    select json_build_object(
        'indexes', (select coalesce(json_object_agg(format('%s.%s', n.nspname, c.relname), json_build_array(i.indrelid::regclass::text, i.indisunique,
                    i.indisprimary, i.indisvalid, i.indnatts)), '{}') from pg_index i join pg_class c on c.oid = i.indexrelid
                    join pg_namespace n on n.oid = c.relnamespace where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'),
        'constraints', (select coalesce(json_object_agg(format('%s on %s', k.conname, k.conrelid::regclass), json_build_array(k.contype, k.convalidated)), '{}')
                        from pg_constraint k join pg_namespace n on n.oid = k.connamespace
                        where n.nspname !~ '^pg_' and n.nspname <> 'information_schema' and k.contype <> 'n'),
        'sequences', (select coalesce(json_object_agg(format('%s.%s', schemaname, sequencename), last_value), '{}') from pg_sequences),
        'extensions', (select coalesce(json_agg(extname order by extname), '[]') from pg_extension),
        'tables', (select coalesce(json_agg(format('%I.%I', n.nspname, c.relname) order by n.nspname, c.relname), '[]') from pg_class c
                   join pg_namespace n on n.oid = c.relnamespace
                   where c.relkind = 'r' and c.relpersistence <> 't' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'))"""
# the number of the transaction that wrote a row, as rows keep it: 32 bits; a frozen row, or one of before pg_upgrade, is older than any mark
WRITTEN = "select count(*) from {table} where xmin::text::bigint >= 3 and (xmin::text::bigint - {mark} + 4294967296) % 4294967296 < 2147483648"


def databases(ask: Ask) -> list[str]:
    """Those that can be connected to."""
    return ask("select datname from pg_database where datallowconn order by 1", "postgres").splitlines()


def rows(ask: Ask, database: str, tables: list[str], mark: int | None = None) -> dict[str, int]:
    """Rows by table; with a mark only those that were written since."""
    question = "select count(*) from {table}" if mark is None else WRITTEN
    if not tables:
        return {}
    found = ask(";\n".join(question.format(table=table, mark=mark) for table in tables), database).splitlines()
    return dict(zip(tables, map(int, found), strict=True))


def snapshot(ask: Ask) -> dict[str, t.Any]:
    """All of it, as it is now."""
    found: dict[str, t.Any] = {"cluster": json.loads(ask(CLUSTER, "postgres"))}
    for database in databases(ask):
        inner = json.loads(ask(DATABASE, database))
        found[database] = {**inner, "tables": rows(ask, database, inner["tables"])}
    return found


def differences(before: dict[str, t.Any], after: dict[str, t.Any]) -> list[str]:
    """One sentence for each thing that is not the same."""
    found = []
    for part in sorted({*before, *after}):
        for kind in sorted({*before.get(part, {}), *after.get(part, {})}):
            old, new = before.get(part, {}).get(kind), after.get(part, {}).get(kind)
            if isinstance(old, dict) and isinstance(new, dict):
                found += [f"{part}: {kind} '{name}' was {old.get(name)}, is {new.get(name)}" for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
            elif old != new:
                found.append(f"{part}: {kind} were {old}, are {new}")
    return found


def written_since(ask: Ask, before: dict[str, t.Any], mark: int) -> dict[str, dict[str, int]]:
    """By database and table what was written after the mark, and what is gone or was replaced of that time."""
    found = {}
    for database in databases(ask):
        tables = json.loads(ask(DATABASE, database))["tables"]
        new, total, old = rows(ask, database, tables, mark), rows(ask, database, tables), before.get(database, {}).get("tables", {})
        for table in tables:
            gone = old.get(table, 0) - (total[table] - new[table])
            if new[table] or gone > 0:
                found[f"{database}.{table}"] = {"written": new[table], "gone": max(gone, 0)}
    return found


def refresh_collations(ask: Ask) -> list[str]:
    """Rebuild the indexes of databases whose order of characters may have changed with the C library or ICU, and say that they fit it now."""
    stale = ask(
        "select datname from pg_database where datallowconn and datcollversion is distinct from pg_database_collation_actual_version(oid) order by 1",
        "postgres",
    ).splitlines()
    done = []
    for database in databases(ask):
        names = ask(
            "select format('%I.%I', n.nspname, c.collname) from pg_collation c join pg_namespace n on n.oid = c.collnamespace "
            "where c.collversion is not null and c.collversion is distinct from pg_collation_actual_version(c.oid)",
            database,
        ).splitlines()
        quoted = '"' + database.replace('"', '""') + '"'
        if database in stale or names:
            ask(f"reindex database {quoted}", database)
            done.append(database)
        if database in stale:
            ask(f"alter database {quoted} refresh collation version", database)
        for name in names:
            ask(f"alter collation {name} refresh version", database)
    return done
