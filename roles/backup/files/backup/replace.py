# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring the database back: in the place of the cluster, or beside it. The data that were there are renamed, never deleted.

A run that was killed is repeated with the same arguments and goes on: base/request.json says how far it came, state_dir/last_restore.json what was
finished, and whether the site was opened afterwards.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
import typing as t
from pathlib import Path

import cluster
from recovery import Copy, choose, log_rows, recovered_to, report
from settings import BackupError, run, say, write

RECOVERY_SETTINGS = ("restore_command", "recovery_target_time", "recovery_target_action", "recovery_target_timeline", "recovery_target_name", "recovery_target")
BESIDE = "beside"


class Restore:
    """One restore, as it was asked for."""

    def __init__(self, config: dict, mode: str, target_time: str, timeline: str) -> None:
        self.config, self.mode = config, mode
        self.request = {"mode": mode, "target_time": target_time, "timeline": timeline}
        self.data = Path(config["data_dir"]) if mode == "replace" else Path(config["data_dir"]).with_name(BESIDE)
        self.base = self.data.with_name(f"{self.data.name}.restore")
        self.copy = Copy({**config, "archive_command": self._archive_command()}, self.base, archive=mode == "replace")
        self.marker, self.record = self.base / "request.json", Path(config["state_dir"], "last_restore.json")

    def _archive_command(self) -> str:
        return f"pgbackrest --stanza={self.config['stanza']} --pg1-path={self.base}/data archive-push %p"

    def _read(self, path: Path) -> dict[str, t.Any]:
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def _stage(self, stage: str, **more: t.Any) -> None:
        write(self.marker, json.dumps({**self._read(self.marker), "request": self.request, "stage": stage, **more}), 0o600)

    def finished_before(self) -> dict[str, t.Any]:
        """The result of a run that had put the data in place and was stopped before the site was opened; empty otherwise."""
        found = self._read(self.record)
        return found if found.get("request") == self.request and not found.get("opened") and self.data.joinpath("PG_VERSION").exists() else {}

    def check(self, confirmed: bool) -> None:
        """What must hold before the first change.

        Raises:
            BackupError: data would be replaced without the second switch, or there is a cluster beside already.
        """
        choose(self.config, self.request["target_time"])
        version = str(cluster.info(self.config)["db"][-1]["version"])
        if version != str(self.config["version"]):
            raise BackupError(
                f"the backups in {self.config['repository']} are of PostgreSQL {version}, and this machine has {self.config['version']}. Accepted: the same "
                "version. Take the Debian release that has it, restore there, and upgrade afterwards; nothing was changed."
            )
        going_on = self._read(self.marker).get("request") == self.request
        if self.data.joinpath("PG_VERSION").exists() and self.mode == "beside" and not going_on:
            raise BackupError(
                f"{self.data} holds a cluster that an earlier restore put beside. Accepted: none. Look at it, then remove it with "
                f"'pg_dropcluster --stop {self.config['version']} {BESIDE}'; nothing was changed."
            )
        if self.data.joinpath("PG_VERSION").exists() and self.mode == "replace" and not confirmed:
            raise BackupError(
                f"{self.data} holds data ({self._what_is_there()}), and they may be newer than the backup. Accepted: restore_confirm with the name of "
                "the site, to replace them (they are kept, renamed), or restore_mode=beside. Nothing was changed."
            )

    def _what_is_there(self) -> str:
        try:
            found = report(lambda query, name="postgres": cluster.psql(self.config, query, name), self.config)
        except BackupError:
            return "the server does not run"
        return f"{found['runs']} runs, the newest {found['newest_run'] or 'none'}"

    def recover(self) -> dict[str, t.Any]:
        """The copy in base/data, recovered and stopped; goes on where an earlier run ended."""
        found = self._read(self.marker)
        if found.get("request") != self.request or found.get("stage") == "fetching":
            shutil.rmtree(self.base, ignore_errors=True)
            found = {}
        if found.get("stage") == "recovered":
            return found["result"]
        began = time.monotonic()
        if not found:
            backup = choose(self.config, self.request["target_time"])
            self.copy.make_room(backup)
            self._stage("fetching")
            time_target = ["--type=time", f"--target={self.request['target_time']}", "--target-action=promote"]
            target = (time_target if self.request["target_time"] else ["--type=default"]) + (
                [f"--target-timeline={self.request['timeline']}"] if self.request["timeline"] else []
            )
            target += [] if self.mode == "replace" else ["--archive-mode=off"]
            self.copy.fetch(target, backup["label"])
            self._stage("recovering", backup=backup["label"])
            say(f"fetched backup {backup['label']} in {time.monotonic() - began:.1f} s")
        try:
            result = self._look(began)
            self.copy.stop()
        finally:
            if self.copy.server and self.copy.server.poll() is None:
                self.copy.server.terminate()
                self.copy.server.wait(timeout=600)
        self._stage("recovered", result=result)
        return result

    def _look(self, began: float) -> dict[str, t.Any]:
        self.copy.start()
        reached = recovered_to(self.copy)
        for name in RECOVERY_SETTINGS:
            self.copy.query(f"alter system reset {name}")
        tables = cluster.snapshot(self.config, socket=str(self.copy.socket))
        seconds = time.monotonic() - began
        say(f"recovered to {reached or 'the end of the backup'} in {seconds:.1f} s")
        return {
            "backup": self._read(self.marker).get("backup", ""),
            "restored_to": reached,
            "seconds": round(seconds, 1),
            "rows": log_rows(tables),
            "databases": tables["databases"],
            **report(self.copy.query, self.config),
        }

    def put_in_place(self, result: dict[str, t.Any]) -> dict[str, t.Any]:
        """Swap the directories; the earlier data keep a name with the time."""
        kept = ""
        if self.data.exists() and self.copy.data.exists():
            kept = f"{self.data}.before_{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
            os.rename(self.data, kept)
        if self.copy.data.exists():
            os.rename(self.copy.data, self.data)
        found = {"request": self.request, "kept": kept or self._read(self.record).get("kept", ""), "opened": False, **result}
        write(self.record, json.dumps(found, indent=2) + "\n", 0o600)
        shutil.rmtree(self.base, ignore_errors=True)
        return found

    def run(self, confirmed: bool) -> dict[str, t.Any]:
        """All of it.

        Raises:
            BackupError: it was refused, or failed; then the earlier data are in place, unless the message says otherwise.
        """
        before = self.finished_before()
        if before:
            say("an earlier run has put these data in place")
            return before
        self.check(confirmed)
        if self.mode == "replace":
            run(["systemctl", "stop", self.config["unit"]])
        result = self.put_in_place(self.recover())
        return {**result, **self.register_beside()} if self.mode == "beside" else result

    def register_beside(self) -> dict[str, t.Any]:
        """Make a cluster of Debian's tools of it: on the socket only, with a port of its own, not started at boot, without an archive."""
        version, port = self.config["version"], free_port(self.config["port"])
        for name in ("postgresql.conf", "pg_hba.conf", "pg_ident.conf"):
            shutil.copy(f"/usr/share/postgresql/{version}/{name}.sample", self.data / name)
            shutil.chown(self.data / name, cluster.USER, cluster.USER)
        run(["pg_createcluster", f"--datadir={self.data}", f"--port={port}", "--start-conf=manual", str(version), BESIDE])
        there, here = Path(f"/etc/postgresql/{version}/{BESIDE}"), Path(f"/etc/postgresql/{version}/labtrack")
        write(there / "conf.d/labtrack.conf", "listen_addresses = ''\narchive_mode = off\nshared_buffers = '128MB'\nautovacuum = off\n")
        for name in ("pg_hba.conf", "pg_ident.conf"):
            shutil.copy(here / name, there / name)
            shutil.chown(there / name, cluster.USER, cluster.USER)
        run(["systemctl", "start", f"postgresql@{version}-{BESIDE}.service"])
        found = {**self._read(self.record), "opened": True, "port": port}
        write(self.record, json.dumps(found, indent=2) + "\n", 0o600)
        return found


def free_port(above: int) -> int:
    """The first port above another that nobody has; PostgreSQL names its socket after it even without TCP."""
    for port in range(above + 1, above + 100):
        with socket.socket() as probe:
            if not Path(f"/var/run/postgresql/.s.PGSQL.{port}").exists() and probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise BackupError(f"no port between {above + 1} and {above + 99} is free. Stop what has them.")


def opened(config: dict) -> None:
    """Remember that the site runs on what was restored, so that the same restore begins anew when it is asked for again."""
    record = Path(config["state_dir"], "last_restore.json")
    found = json.loads(record.read_text(encoding="utf-8"))
    write(record, json.dumps({**found, "opened": True}, indent=2) + "\n", 0o600)
