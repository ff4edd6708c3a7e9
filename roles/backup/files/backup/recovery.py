# SPDX-License-Identifier: GPL-3.0-or-later
"""Recover a cluster from the repository into a directory of its own, and run it there for as long as somebody looks at it."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shutil
import subprocess
import time
import typing as t
from pathlib import Path

import cluster
from settings import LOCALE, MIB, BackupError, free_bytes, run, say, wait

# what recovery refuses when it is lower than it was on the primary
AT_LEAST = ("max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions", "max_locks_per_transaction")
START_SECONDS = 6 * 3600
SPARE_MIB = 512


class Copy:
    """A copy of the cluster in base/data; socket only, in base/socket, where nobody but postgres and root can reach it."""

    def __init__(self, config: dict, base: Path, archive: bool) -> None:
        self.config, self.base, self.archive = config, base, archive
        self.data, self.socket = base / "data", base / "socket"
        self.server: subprocess.Popen | None = None

    def make_room(self, backup: dict) -> None:
        """Check the space and make the directories.

        Raises:
            BackupError: there is not enough.
        """
        wanted = int(backup["info"]["size"] * 1.1) + SPARE_MIB * MIB
        free = free_bytes(self.base)
        if free < wanted:
            raise BackupError(
                f"{self.base} has {free // MIB} MiB free, and the cluster needs {wanted // MIB}. Accepted: that much room. Grow the volume, or name "
                "a directory on another one (backup_scratch_dir); nothing was changed."
            )
        for path in (self.base, self.data, self.socket, self.base / "spool", self.base / "lock"):
            path.mkdir(parents=True, exist_ok=True)
            shutil.chown(path, cluster.USER, cluster.USER)
            path.chmod(0o700)

    def fetch(self, target: list[str], backup_set: str = "") -> None:
        """Restore the files of a backup; recovery follows when the copy starts.

        Raises:
            BackupError: pgBackRest failed.
        """
        get = f"pgbackrest --stanza={self.config['stanza']} --pg1-path={self.data} --archive-async --spool-path={self.base}/spool"
        get += f' --lock-path={self.base}/lock --process-max={self.config["processes"]} archive-get %f "%p"'
        options = [f"--pg1-path={self.data}", f"--lock-path={self.base}/lock", f"--recovery-option=restore_command={get}", *target]
        options += [f"--set={backup_set}"] if backup_set else []
        cluster.pgbackrest(self.config, "restore", *options)

    def settings(self) -> str:
        """Its postgresql.conf: small, quiet, and never of the site's archive unless it takes the cluster's place."""
        values = {
            "data_directory": self.data,
            "hba_file": self.base / "pg_hba.conf",
            "ident_file": self.base / "pg_ident.conf",
            "listen_addresses": "",
            "unix_socket_directories": self.socket,
            "unix_socket_permissions": "0700",
            "port": self.config["port"],
            "shared_buffers": "128MB",
            "hot_standby": "off",
            "autovacuum": "off",
            "logging_collector": "off",
            "log_min_error_statement": "panic",
            "fsync": "on" if self.archive else "off",
            "archive_mode": "on" if self.archive else "off",
            "archive_command": self.config["archive_command"] if self.archive else "",
            **self.controls(),
        }
        return "".join(f"{name} = '{value}'\n" for name, value in values.items())

    def controls(self) -> dict[str, str]:
        """What the primary had, read from the copy."""
        text = run([f"{self.config['program_dir']}/pg_controldata", str(self.data)], user=cluster.USER).stdout
        found = dict(line.split(" setting:", 1) for line in text.splitlines() if " setting:" in line)
        return {name: value.strip() for name, value in found.items() if name in AT_LEAST}

    def start(self) -> None:
        """Start it and wait until recovery has ended.

        Raises:
            BackupError: it does not come up, with the last lines of its log.
        """
        files = {"postgresql.conf": self.settings(), "pg_hba.conf": "local all postgres peer\n", "pg_ident.conf": ""}
        for name, content in files.items():
            (self.base / name).write_text(content, encoding="utf-8")
            shutil.chown(self.base / name, cluster.USER, cluster.USER)
        # of a run that was killed
        with contextlib.suppress(FileNotFoundError):
            if not self._alive():
                (self.data / "postmaster.pid").unlink()
        command = [f"{self.config['program_dir']}/postgres", "-D", str(self.data), "-c", f"config_file={self.base}/postgresql.conf"]
        with open(self.base / "log", "ab") as log:
            self.server = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                user=cluster.USER,
                group=cluster.USER,
                extra_groups=[],
                cwd="/",
                env={**os.environ, **LOCALE},
                start_new_session=True,
            )
        wait(self._recovered, START_SECONDS, f"the recovery in {self.base}")

    def _alive(self) -> bool:
        pid = int((self.data / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0])
        return Path(f"/proc/{pid}/cmdline").exists() and str(self.data).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()

    def _recovered(self) -> bool:
        if self.server is None or self.server.poll() is not None:
            tail = (self.base / "log").read_text(encoding="utf-8", errors="replace").splitlines()[-12:]
            raise BackupError("the recovered cluster does not run:\n" + "\n".join(tail))
        try:
            return cluster.psql(self.config, "select pg_is_in_recovery()", socket=str(self.socket)) == "f"
        except BackupError:
            return False

    def query(self, text: str, database: str = "postgres") -> str:
        """A value from the copy."""
        return cluster.psql(self.config, text, database, str(self.socket))

    def stop(self) -> None:
        """Stop it in good order; what it has to archive is archived first."""
        if self.server and self.server.poll() is None:
            run([f"{self.config['program_dir']}/pg_ctl", "stop", "-D", str(self.data), "-m", "fast", "-w", "-t", "600"], user=cluster.USER)
            self.server.wait(timeout=60)

    def remove(self) -> None:
        """Stop it, whatever state it is in, and delete it."""
        if self.server and self.server.poll() is None:
            self.server.terminate() if self.archive else self.server.send_signal(3)
            try:
                self.server.wait(timeout=120)
            except subprocess.TimeoutExpired:
                self.server.kill()
                self.server.wait()
        shutil.rmtree(self.base, ignore_errors=True)


def recovered_to(copy: Copy) -> str:
    """Time of the last transaction that recovery replayed; empty when there was none after the backup."""
    return copy.query("select coalesce(pg_last_xact_replay_timestamp()::text, '')")


def choose(config: dict, target_time: str) -> dict[str, t.Any]:
    """The backup to begin with: the newest, or the newest that ended before the target.

    Raises:
        BackupError: there is none.
    """
    backups = cluster.info(config).get("backup") or []
    if target_time:
        end = datetime.datetime.fromisoformat(target_time)
        if end.tzinfo is None:
            raise BackupError(f"the time is '{target_time}': it has no zone. Accepted: like '2026-11-30 14:00:00+00:00'. Give the zone; nothing was changed.")
        if end.timestamp() > time.time():
            raise BackupError(f"the time is '{target_time}': it is in the future. Accepted: a time in the past. Correct it; nothing was changed.")
        backups = [each for each in backups if each["timestamp"]["stop"] <= end.timestamp()]
    if not backups:
        before = f" that ended before {target_time}" if target_time else ""
        raise BackupError(f"the repository {config['repository']} holds no backup{before}. Accepted: a later time, or another repository; nothing was changed.")
    return backups[-1]


def report(copy_query: t.Callable[..., str], config: dict) -> dict[str, t.Any]:
    """What a person wants to know of the data: rows, runs, the newest run."""
    name = config["databases"][0]
    if copy_query("select to_regclass('public.runs') is not null", name) != "t":
        return {"runs": 0, "experiments": 0, "newest_run": ""}
    text = copy_query(
        "select json_build_object('runs', (select count(*) from runs), 'experiments', (select count(*) from experiments), 'newest_run', "
        "(select run_uuid || ' (' || coalesce(name, '') || '), ' || to_timestamp(start_time / 1000.0)::timestamptz(0) "
        "from runs order by start_time desc nulls last limit 1))",
        name,
    )
    return json.loads(text)


def log_rows(found: dict) -> int:
    """Rows of a snapshot in all tables of all databases."""
    rows = sum(count for tables in found["databases"].values() for count, _checksum in tables.values())
    say(f"{rows} rows in {sum(len(tables) for tables in found['databases'].values())} tables")
    return rows
