# Kept by labtrack.mlflow.postgresql.
# SPDX-License-Identifier: GPL-3.0-or-later
"""One cluster: its programs, its data, and a server that nobody but this program can reach."""

from __future__ import annotations

import contextlib
import os
import shutil
import typing as t
from pathlib import Path

from system import UpgradeError, run, systemctl

USER = "postgres"
PUBLIC = "/var/run/postgresql"


def chown(path: Path, mode: int) -> Path:
    """A directory of postgres."""
    path.mkdir(parents=True, exist_ok=True)
    shutil.chown(path, USER, USER)
    path.chmod(mode)
    return path


class Cluster:
    """A version of the cluster `labtrack`: `data` where its data are now."""

    def __init__(self, version: int, data: str, port: int) -> None:
        self.version, self.data, self.port = version, Path(data), port
        self.programs = Path(f"/usr/lib/postgresql/{version}/bin")
        self.config = Path(f"/etc/postgresql/{version}/labtrack")
        self.unit = f"postgresql@{version}-labtrack.service"

    def ask(self, query: str, database: str = "postgres", socket: str = PUBLIC) -> str:
        """Lines of values; each statement in a transaction of its own."""
        command = ["psql", "-XAtq", "--no-password", "-h", socket, "-p", str(self.port), "-d", database, "--set=ON_ERROR_STOP=1", "-f", "-"]
        return run(command, user=USER, data=query)

    def answers(self) -> bool:
        """Whether the server that everybody reaches is this cluster's, and runs."""
        try:
            return self.ask("show data_directory") == str(self.data)
        except UpgradeError:
            return False

    def control(self, data: Path | None = None) -> dict[str, str]:
        """What pg_controldata says."""
        text = run([str(self.programs / "pg_controldata"), str(data or self.data)], user=USER)
        return {name.strip(): value.strip() for name, _colon, value in (line.partition(":") for line in text.splitlines())}

    def bytes(self) -> int:
        """Size of its data."""
        return int(run(["du", "-sxb", str(self.data)]).split()[0])

    def start_at_boot(self, wanted: bool) -> None:
        """Debian starts a cluster whose start.conf says so; systemd one that is enabled."""
        (self.config / "start.conf").write_text("auto\n" if wanted else "manual\n", encoding="utf-8")
        systemctl("enable" if wanted else "disable", self.unit)

    @contextlib.contextmanager
    def private(self, folder: Path, data: Path) -> t.Iterator[t.Callable[[str, str], str]]:
        """Run it on a socket in a folder of postgres; it always stops. What asks it."""
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(folder),
            "unix_socket_permissions": "0700",
            "port": str(self.port),
            "shared_preload_libraries": "pg_stat_statements",
            "archive_mode": "off",
            "autovacuum": "off",
            "log_min_error_statement": "panic",
        }
        words = " ".join(f"-c {name}='{value}'" for name, value in options.items())
        control = [str(self.programs / "pg_ctl"), "-D", str(data), "-w", "-t", "600", "-s"]
        log = folder / "server.log"
        with contextlib.suppress(FileNotFoundError):
            log.unlink()
        # its output goes to the log: a pipe that the server keeps open would never end
        run([*control, "-l", str(log), "-o", words, "start"], user=USER, cwd=str(folder))
        try:
            yield lambda query, database="postgres": self.ask(query, database, str(folder))
        finally:
            run([*control, "-m", "fast", "stop"], user=USER, cwd=str(folder))


def sync(path: Path) -> None:
    """All of a filesystem is on its disk."""
    run(["sync", "-f", str(path)])


def rename(source: Path, target: Path) -> None:
    """A new name, that is on the disk."""
    os.rename(source, target)
    sync(target.parent)
