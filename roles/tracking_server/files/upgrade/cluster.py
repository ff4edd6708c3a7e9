# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL, asked as its administrator with its own programs."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

DISCONNECT_SECONDS = 60
TERMINATE = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = any(string_to_array(:'names', ',')) and backend_type = 'client backend'
"""
# one question for each table
ROWS = r"""
select format('select %L, count(*) from public.%I where %s', relname, relname,
              case when :'since' = '' then 'true' else format('age(xmin) < age(%L::xid)', :'since') end)
from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' order by relname
\gexec
"""


class ClusterError(Exception):
    """PostgreSQL refused; the message is its own."""


def name_of(identifier: str) -> str:
    """Quoted for SQL."""
    return '"' + identifier.replace('"', '""') + '"'


def text_of(value: str) -> str:
    """Quoted for SQL."""
    return "'" + value.replace("'", "''") + "'"


def identity(user: str) -> dict[str, Any]:
    """Arguments of subprocess for a system user."""
    account = pwd.getpwnam(user)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": [], "umask": 0o077}


class Cluster:
    """The server with an instance's databases. `admin` has the system user and libpq's environment variables of the administrator."""

    def __init__(self, admin: dict[str, Any], owner: str) -> None:
        self.user, self.owner = admin["system_user"], owner
        self.environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **admin["environment"]}

    def run(self, *command: str, text: str = "", output: int = subprocess.PIPE) -> str:
        """A program of PostgreSQL's; what it prints."""
        options = {"cwd": "/", "env": self.environment, **identity(self.user)}
        done = subprocess.run(command, input=text, stdout=output, stderr=subprocess.PIPE, text=True, check=False, **options)
        if done.returncode:
            raise ClusterError(f"{Path(command[0]).name} failed: {done.stderr.strip()[-1500:]}")
        return (done.stdout or "").strip()

    def sql(self, statements: str, database: str = "postgres", **variables: Any) -> str:
        """Run statements, each in a transaction of its own unless they say begin and commit. psql quotes the variables."""
        given = [word for name, value in {"ON_ERROR_STOP": 1, **variables}.items() for word in ("-v", f"{name}={value}")]
        return self.run("psql", "-X", "-q", "-At", *given, "-d", database, "-f", "-", text=statements)

    def wait(self, seconds: float) -> None:
        """Until it accepts connections; after a boot it may still recover."""
        end = time.monotonic() + seconds
        while True:
            try:
                self.sql("select 1")
                return
            except ClusterError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.5)

    def databases(self) -> set[str]:
        """Names of all databases."""
        return set(self.sql("select datname from pg_database").splitlines())

    def size(self, database: str) -> int:
        """Bytes."""
        return int(self.sql("select pg_database_size(:'name')", name=database))

    def data_dir(self) -> str:
        """Where the server keeps its data."""
        return self.sql("show data_directory")

    def create_like(self, source: str, target: str) -> None:
        """An empty database with the encoding and the order of another one."""
        question = "select pg_encoding_to_char(encoding), datcollate, datctype from pg_database where datname = :'name'"
        encoding, collate, ctype = self.sql(question, name=source).split("|")
        self.sql(
            f"create database {name_of(target)} owner {name_of(self.owner)} template template0 encoding {text_of(encoding)} "
            f"lc_collate {text_of(collate)} lc_ctype {text_of(ctype)}"
        )

    def copy(self, source: str, target: str) -> None:
        """A copy of the files: all of it would pass through the write-ahead log, and into the archive of backups, otherwise."""
        self.sql(f"create database {name_of(target)} owner {name_of(self.owner)} template {name_of(source)} strategy file_copy")

    def drop(self, *databases: str) -> None:
        """Remove databases, connections included, where they exist."""
        for database in databases:
            self.sql(f"drop database if exists {name_of(database)} with (force)")

    def close(self, *databases: str) -> None:
        """Let nobody in any more, and end the connections that there are."""
        names = ",".join(databases)
        self.sql("".join(f"alter database {name_of(database)} allow_connections false;\n" for database in databases))
        end = time.monotonic() + DISCONNECT_SECONDS
        while self.sql(TERMINATE, names=names):
            if time.monotonic() > end:
                raise ClusterError(f"connections to {names} do not end")
            time.sleep(0.1)

    def open(self, *databases: str) -> None:
        """Let people in again."""
        self.sql("".join(f"alter database {name_of(database)} allow_connections true;\n" for database in databases))

    def swap(self, swaps: list[dict[str, str]]) -> None:
        """All at once or not at all: each `name` becomes `outgoing`, closed, and `incoming` becomes `name`, open."""
        lines = ["begin;"]
        for swap in swaps:
            name, incoming, outgoing = (name_of(swap[key]) for key in ("name", "incoming", "outgoing"))
            lines += [f"alter database {name} rename to {outgoing};", f"alter database {outgoing} allow_connections false;"]
            lines += [f"alter database {incoming} rename to {name};", f"alter database {name} allow_connections true;"]
        self.sql("\n".join([*lines, "commit;"]))

    def dump(self, database: str, path: Path) -> dict[str, Any]:
        """A dump in PostgreSQL's own format, readable by the administrator; its name, size and checksum."""
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640), "wb") as file:
            os.fchown(file.fileno(), 0, pwd.getpwnam(self.user).pw_gid)
            self.run("pg_dump", "--format=custom", "-d", database, output=file.fileno())
            os.fsync(file.fileno())
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"database": database, "file": str(path), "bytes": path.stat().st_size, "sha256": digest}

    def restore(self, path: str, database: str) -> None:
        """Fill an empty database from a dump."""
        self.run("pg_restore", "--exit-on-error", "--jobs=2", "-d", database, path)

    def system(self) -> str:
        """What tells this server's data from that of every other one, copies by pg_upgrade included."""
        return self.sql("select system_identifier from pg_control_system()")

    def mark(self) -> int:
        """The number of a transaction: rows of later ones are recognised by it (32 bits, as rows keep it)."""
        return int(self.sql("select pg_current_xact_id()")) % 2**32

    def rows(self, database: str, since: int | None = None) -> dict[str, int]:
        """Rows by table; with a mark only those that were written later."""
        lines = self.sql(ROWS, database, since="" if since is None else since).splitlines()
        return {table: int(count) for table, count in (line.rsplit("|", 1) for line in lines)}


def free_bytes(path: str) -> int:
    """Free space where a path is, or will be."""
    place = Path(path)
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free
