# SPDX-License-Identifier: GPL-3.0-or-later
"""Count the rows of every table and make a checksum of each, of one moment; runs as the user postgres.

Reads from stdin {"socket", "port", "databases", "restore_point"} and prints {"time", "lsn", "restore_point", "databases": {name: {table: [rows, checksum]}}}.

With the name of a restore point, the moment is exactly that point in the WAL: a lock on all tables, held for some milliseconds, keeps writers out
while the point is written and the snapshots begin; readers are never kept out. What is counted afterwards is what a recovery to the point must show.
"""

from __future__ import annotations

import json
import sys
import time

import psycopg2
from psycopg2 import errors, sql

# a checksum is made of the text of rows, so text must not depend on a server's settings
SETTINGS = "-c timezone=UTC -c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=1 -c bytea_output=hex -c search_path=pg_catalog -c jit=off"
TABLES = """
    select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind = 'r' and c.relpersistence = 'p' and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_' order by 1, 2"""
# the sum does not depend on the order of the rows
CHECKSUM = "select count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0)::text from {} t"
# how long writers may queue behind a lock that is not granted, and how long to go on trying
LOCK_TIMEOUT_MS, PATIENCE_SECONDS = 300, 120


def connect(asked, database):
    """A session; nothing is written in it."""
    found = psycopg2.connect(host=asked["socket"], port=asked["port"], dbname=database, options=SETTINGS, application_name="labtrack-backup")
    found.set_session(isolation_level="REPEATABLE READ" if database else None)
    return found


def tables(session):
    """Every table as (schema, name)."""
    with session.cursor() as cursor:
        cursor.execute(TABLES)
        return cursor.fetchall()


def lock(asked, database):
    """A session that keeps writers out of every table of a database."""
    session = psycopg2.connect(host=asked["socket"], port=asked["port"], dbname=database, options=SETTINGS, application_name="labtrack-backup")
    try:
        names = tables(session)
        session.rollback()
        with session.cursor() as cursor:
            cursor.execute(f"set local lock_timeout = {LOCK_TIMEOUT_MS}")
            if names:
                cursor.execute(sql.SQL("lock table {} in share mode").format(sql.SQL(", ").join(sql.Identifier(*name) for name in names)))
    except BaseException:
        session.close()
        raise
    return session


def begin(asked, database):
    """A session whose snapshot has begun."""
    session = connect(asked, database)
    with session.cursor() as cursor:
        cursor.execute("select 1")
    return session


def moment(asked):
    """Sessions that see one moment, and the moment: (time, LSN)."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        locks, readers = [], {}
        try:
            if asked["restore_point"]:
                for database in asked["databases"]:
                    locks.append(lock(asked, database))
            for database in asked["databases"]:
                readers[database] = begin(asked, database)
            with (locks[0] if locks else next(iter(readers.values()))).cursor() as cursor:
                point = "pg_create_restore_point(%s)" if asked["restore_point"] else "case when pg_is_in_recovery() then null else pg_current_wal_lsn() end"
                cursor.execute(f"select {point}::text, clock_timestamp()::text", [asked["restore_point"]] if asked["restore_point"] else [])
                lsn, now = cursor.fetchone()
            return readers, lsn, now
        except errors.LockNotAvailable:
            # somebody writes for long: the queue is given up, so that others can write, and tried again
            for session in readers.values():
                session.close()
            if time.monotonic() > end:
                raise
        finally:
            for session in locks:
                session.close()


def main():
    """Entry point."""
    asked = json.load(sys.stdin)
    readers, lsn, now = moment(asked)
    found = {}
    for database, session in readers.items():
        found[database] = {}
        with session.cursor() as cursor:
            for name in tables(session):
                cursor.execute(sql.SQL(CHECKSUM).format(sql.Identifier(*name)))
                found[database][".".join(name)] = list(cursor.fetchone())
        session.close()
    json.dump({"time": now, "lsn": lsn, "restore_point": asked["restore_point"], "databases": found}, sys.stdout)


if __name__ == "__main__":
    main()
