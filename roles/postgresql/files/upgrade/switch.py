# Kept by labtrack.mlflow.postgresql.
# SPDX-License-Identifier: GPL-3.0-or-later
"""From one major version to the next: the new cluster is made and checked beside the old one, whose files stay as they are; then it takes its place."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
import typing as t
from pathlib import Path

import catalogue
from journal import Journal, now
from server import USER, Cluster, chown, rename, sync
from system import Clients, UpgradeError, run, say, state, systemctl, until

SPARE_BYTES = 1024**3
SERVER_SECONDS = 300
SAMPLES = ("postgresql.conf", "pg_hba.conf", "pg_ident.conf")


class Upgrade:
    """One upgrade, or its way back, as it was asked for."""

    def __init__(self, request: dict[str, t.Any], folder: Path) -> None:
        self.request, self.folder, self.journal = request, folder, Journal(folder)
        self.old = Cluster(request["from"], request["old_data"], request["port"])
        self.new = Cluster(request["to"], request["new_data"], request["port"])
        self.staged = Path(f"{request['new_data']}.upgrade")
        self.clients = Clients(request["clients"], request["lock"])
        self.work = folder / "work"

    # ---- before anything is stopped ----

    def check(self) -> None:
        """What must hold before the first change.

        Raises:
            UpgradeError: something does not.
        """
        for cluster in (self.old, self.new):
            if not (cluster.programs / "pg_upgrade").exists():
                raise UpgradeError(
                    f"the programs of PostgreSQL {cluster.version} are not installed ({cluster.programs}). Accepted: both versions on this machine. "
                    f"Install postgresql-{cluster.version}; where the release has it no more, restore a backup on a machine that has it, and upgrade that."
                )
        if not (self.old.data / "PG_VERSION").exists():
            raise UpgradeError(
                f"{self.old.data} holds no data of PostgreSQL {self.old.version}. Accepted: postgresql_data_dir with the version in its path, as "
                f"…/{self.new.version}/labtrack, and the data beside it under {self.old.version}. Correct the variable, or move the data there."
            )
        if self.new.data.exists() or self.new.config.exists():
            raise UpgradeError(
                f"{self.new.data} or {self.new.config} is there already. Accepted: nothing of version {self.new.version} yet. "
                "Look what it is, and move it away."
            )
        for database in catalogue.databases(self.old.ask):
            prepared = self.old.ask("select count(*) from pg_prepared_xacts where database = current_database()", database)
            if prepared != "0":
                raise UpgradeError(f"database {database} has {prepared} prepared transactions. Accepted: none. Commit them or roll them back.")
        place = self.new.data.parent
        while not place.exists():
            place = place.parent
        wanted, free = int(self.old.bytes() * 1.1) + SPARE_BYTES, shutil.disk_usage(place).free
        if free < wanted:
            raise UpgradeError(
                f"{place} has {free // 1024**2} MiB free, and a second copy of the data needs {wanted // 1024**2}. Accepted: that much room. Grow the volume."
            )

    def make_empty(self) -> None:
        """An empty cluster of the new version, and pg_upgrade's own checks against the server that runs."""
        shutil.rmtree(self.staged, ignore_errors=True)
        shutil.rmtree(self.work, ignore_errors=True)
        # postgres has to pass through, and to write in its own
        self.folder.chmod(0o711)
        chown(self.work, 0o700)
        self.staged.parent.mkdir(parents=True, exist_ok=True)
        chown(self.staged, 0o700)
        sums = ["--data-checksums"] if self.old.control().get("Data page checksum version", "0") != "0" else []
        options = ["--auth-local=peer", "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions", *sums]
        run([str(self.new.programs / "initdb"), f"--pgdata={self.staged}", *options], user=USER)
        # a setting that the new version does not know must not be found out while requests wait
        settings = self.work / "settings.conf"
        settings.write_text(self.request["config"]["conf.d/labtrack.conf"], encoding="utf-8")
        shutil.chown(settings, USER, USER)
        run([str(self.new.programs / "postgres"), "-D", str(self.staged), f"--config-file={settings}", "-C", "config_file"], user=USER)
        self.pg_upgrade("--check")

    def rehearse(self) -> dict[str, t.Any]:
        """All checks; what they needed is removed again."""
        if self.journal.step:
            raise UpgradeError(f"an upgrade was left at '{self.journal.step}'. Repeat the playbook, which takes it back or finishes it.")
        self.check()
        try:
            self.make_empty()
        finally:
            shutil.rmtree(self.staged, ignore_errors=True)
        return {"bytes": self.old.bytes()}

    def pg_upgrade(self, *options: str) -> None:
        """Files are copied, never linked: the old cluster can always be started again."""
        places = ["-b", str(self.old.programs), "-B", str(self.new.programs), "-d", str(self.old.config), "-D", str(self.staged)]
        more = ["-p", str(self.old.port), "-P", str(self.old.port + 1), "-s", str(self.work), "-j", str(self.request["jobs"]), "--copy"]
        run([str(self.new.programs / "pg_upgrade"), *places, *more, *options], user=USER, cwd=str(self.work))

    # ---- while requests wait ----

    @contextlib.contextmanager
    def quiet(self) -> t.Iterator[None]:
        """No job of the backups runs, and no client."""
        with contextlib.ExitStack() as held:
            for path in self.request["locks"]:
                if os.path.exists(path):
                    file = held.enter_context(open(path, "r+", encoding="utf-8"))
                    fcntl.flock(file, fcntl.LOCK_EX)
            held.enter_context(self.clients.held())
            yield

    def run(self) -> dict[str, t.Any]:
        """All of it; the record. Whatever is raised comes after everything was taken back."""
        self.check()
        self.make_empty()
        begun = time.monotonic()
        try:
            self.journal.enter("hold", request=self.request, kind="upgrade", begun=now())
            with self.quiet():
                try:
                    self.exchange()
                except BaseException:
                    self.revert()
                    raise
                self.finish()
        except BaseException:
            self.revert()
            raise
        self.clients.wait(self.request["start_seconds"])
        seconds = round(time.monotonic() - begun, 1)
        say(f"PostgreSQL {self.new.version} serves; requests waited {seconds} s")
        return self.journal.record(downtime_seconds=seconds)

    def finish(self) -> None:
        """The new version serves from here on."""
        found = {**self.journal.data["found"], "id": self.request["id"], "begun": self.journal.data["begun"], "state": "switched", "kept": ""}
        places = {"from": self.old.version, "to": self.new.version, "old_data": str(self.old.data), "new_data": str(self.new.data)}
        self.journal.record(**found, **places, backed_up=False, downtime_seconds=None)
        self.journal.end()

    def exchange(self) -> None:
        """Copy, check, and put in place."""
        before = catalogue.snapshot(self.old.ask)
        self.journal.enter("stop")
        systemctl("stop", self.old.unit)
        self.journal.enter("copy")
        self.pg_upgrade()
        self.journal.enter("check")
        found = self.examine(before)
        self.journal.enter("place", found=found)
        sync(self.staged)
        rename(self.staged, self.new.data)
        self.register()
        self.journal.enter("start")
        self.start_new()

    def examine(self, before: dict[str, t.Any]) -> dict[str, t.Any]:
        """Let the new server say what it has, before anybody else reaches it.

        Raises:
            UpgradeError: something is not as it was.
        """
        kept = self.old.data / "postgresql.auto.conf"
        with self.new.private(self.work, self.staged) as ask:
            extensions = self.work / "update_extensions.sql"
            if extensions.exists():
                run(
                    ["psql", "-Xq", "-h", str(self.work), "-p", str(self.new.port), "-d", "postgres", "--set=ON_ERROR_STOP=1", "-f", str(extensions)], user=USER
                )
            collations = catalogue.refresh_collations(ask)
            # the planner knows nothing of the new cluster
            run(["vacuumdb", "--all", "--analyze-only", "-h", str(self.work), "-p", str(self.new.port)], user=USER)
            after = catalogue.snapshot(ask)
            wrong = catalogue.differences(before, after)
            if wrong:
                raise UpgradeError(f"the copy is not what the cluster was: {'; '.join(wrong[:10])}")
            invalid = [f"{part}.{name}" for part, kinds in after.items() for name, index in kinds.get("indexes", {}).items() if not index[3]]
            mark = int(ask("select pg_current_xact_id()")) % 2**32
        if kept.exists():
            shutil.copy(kept, self.staged / kept.name)
            shutil.chown(self.staged / kept.name, USER, USER)
        rows = sum(sum(part.get("tables", {}).values()) for part in after.values())
        say(f"{rows} rows are the same; rebuilt for another order of characters: {', '.join(collations) or 'nothing'}")
        return {"snapshot": after, "mark": mark, "rows": rows, "collations": collations, "invalid_indexes": invalid}

    def register(self) -> None:
        """Debian's tools know the cluster; its settings are the role's. It does not start by itself yet."""
        for name in SAMPLES:
            shutil.copy(f"/usr/share/postgresql/{self.new.version}/{name}.sample", self.new.data / name)
            shutil.chown(self.new.data / name, USER, USER)
        create = ["pg_createcluster", f"--datadir={self.new.data}", f"--port={self.new.port}", "--start-conf=manual", str(self.new.version), "labtrack"]
        run(create)
        for name, text in self.request["config"].items():
            path = self.new.config / name
            path.parent.mkdir(mode=0o755, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            path.chmod(0o644 if name.startswith("conf.d/") else 0o640)
            for changed in (path, path.parent):
                shutil.chown(changed, USER, USER)
        systemctl("daemon-reload")

    def start_new(self) -> None:
        """Nobody is let in yet; and the next boot starts it, too."""
        self.old.start_at_boot(False)
        self.new.start_at_boot(True)
        systemctl("start", self.new.unit)
        until(self.new.answers, SERVER_SECONDS, f"{self.new.unit} does not answer:")

    # ---- back ----

    def revert(self) -> None:
        """The old version serves, and nothing of the new one is left."""
        if not self.journal.step:
            return
        say(f"taking back what was done since '{self.journal.step}'")
        self.old.start_at_boot(True)
        if self.new.config.exists():
            self.new.start_at_boot(False)
            systemctl("stop", self.new.unit)
            shutil.rmtree(self.new.config)
        # a server that pg_upgrade has left
        with contextlib.suppress(UpgradeError):
            if state(self.old.unit)["ActiveState"] != "active":
                run([str(self.old.programs / "pg_ctl"), "-D", str(self.old.data), "-m", "fast", "-w", "stop"], user=USER)
        systemctl("start", self.old.unit)
        until(self.old.answers, SERVER_SECONDS, f"{self.old.unit} does not answer:")
        shutil.rmtree(self.new.data, ignore_errors=True)
        shutil.rmtree(self.staged, ignore_errors=True)
        self.journal.end()
