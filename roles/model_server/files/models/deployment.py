# Kept by labtrack.mlflow.model_server.
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions that run: start one beside the other, ask it, switch the traffic, let the other one end what it has begun."""

from __future__ import annotations

import hashlib
import http.client
import re
import subprocess
import time
from pathlib import Path

from registry import UnixConnection
from settings import Model, ModelError, Settings

UNITS_DIR = Path("/etc/systemd/system")
RUN_DIR = Path("/run/labtrack-models")
SOCKETS = Path("/proc/net/unix")
LISTENS = 0x10000
KINDS = ("service", "socket")
POLL_SECONDS = 0.1
PING_SECONDS = 30


def systemctl(*arguments: str) -> str:
    """What it prints; raises ModelError."""
    done = subprocess.run(["systemctl", *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        raise ModelError(f"'systemctl {' '.join(arguments)}' failed: {done.stderr.strip()[-500:]}")
    return done.stdout


def connections(path: str, table: str) -> int:
    """How many connections lead to the socket, those included that nobody has accepted yet; `table` is the content of /proc/net/unix."""
    found = [line.split() for line in table.splitlines()[1:]]
    return sum(1 for row in found if len(row) > 7 and row[7] == path and not int(row[3], 16) & LISTENS)


class Deployment:
    """The versions of one model that run."""

    def __init__(self, settings: Settings, model: Model):
        self.settings = settings
        self.model = model

    def socket(self, version: int) -> str:
        """Where a version listens."""
        return str(RUN_DIR / self.model.name / f"{version}.sock")

    def digest(self) -> str:
        """Of what a version is started with, beside its own files."""
        files = [*(UNITS_DIR / self.model.unit(0, kind).replace("@0", "@") for kind in KINDS), self.settings.code_dir / "serve.py"]
        return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()[:16]

    def running(self) -> set[int]:
        """Versions of which a unit is active, starts, stops or has failed."""
        text = systemctl("list-units", "--all", "--full", "--plain", "--no-legend", *(self.model.unit(0, kind).replace("@0", "@*") for kind in KINDS))
        return {int(found) for found in re.findall(r"@(\d+)\.(?:service|socket)", text)}

    def is_active(self, version: int) -> bool:
        """Whether it runs and has loaded its model."""
        return subprocess.run(["systemctl", "is-active", "--quiet", self.model.unit(version, "service")], check=False).returncode == 0

    def start(self, version: int) -> None:
        """Start a version and wait until it has loaded its model; it is stopped where it cannot."""
        socket, service = self.model.unit(version, "socket"), self.model.unit(version, "service")
        systemctl("reset-failed", *(unit for unit in (socket, service) if unit in self._loaded()))
        systemctl("start", socket)
        try:
            systemctl("start", service)
        except ModelError:
            self.stop(version)
            raise ModelError(f"version {version} does not start; 'journalctl -u {service}' says why: {self._last_words(service)}") from None

    def restart(self, version: int) -> None:
        """With changed units; requests wait in the socket."""
        systemctl("daemon-reload")
        systemctl("restart", self.model.unit(version, "service"))

    def ask(self, version: int, example: bytes | None) -> None:
        """It must answer, and predict for its own input example; raises ModelError."""
        for path, body in [("/ping", None)] + ([("/invocations", example)] if example else []):
            connection = UnixConnection(self.socket(version), self.settings.drain_seconds if body else PING_SECONDS)
            try:
                connection.request("POST" if body else "GET", path, body, {"Content-Type": "application/json"} if body else {})
                answer = connection.getresponse()
                status, text = answer.status, answer.read(2000).decode(errors="replace")
            except (OSError, http.client.HTTPException) as error:
                raise ModelError(f"version {version} does not answer {path} ({error or type(error).__name__}).") from None
            finally:
                connection.close()
            if status != 200:
                what = "its own input example" if body else path
                raise ModelError(f"version {version} answers {status} to {what}: {text.strip()[:500]}")

    def at_boot(self, version: int) -> None:
        """This version, and no other one, starts with the machine."""
        units = [self.model.unit(version, kind) for kind in KINDS]
        systemctl("enable", "--quiet", *units)
        wanted = {f"{folder}/{unit}" for folder, unit in zip(("multi-user.target.wants", "sockets.target.wants"), units)}
        links = (f"{path.parent.name}/{path.name}" for path in UNITS_DIR.glob(f"*.wants/{self.model.unit(0, '*').replace('@0', '@*')}"))
        others = sorted({Path(link).name for link in links if link not in wanted})
        if others:
            systemctl("disable", "--quiet", *others)

    def retire(self, version: int) -> None:
        """Stop a version that gets no new connections, when those that it has are at their end."""
        end = time.monotonic() + self.settings.drain_seconds
        while connections(self.socket(version), SOCKETS.read_text(encoding="ascii", errors="replace")) and time.monotonic() < end:
            time.sleep(POLL_SECONDS)
        self.stop(version)

    def stop(self, version: int) -> None:
        """At once, and forget that it failed."""
        units = [self.model.unit(version, kind) for kind in ("socket", "service")]
        systemctl("stop", *units)
        systemctl("reset-failed", *(unit for unit in units if unit in self._loaded()))

    def _loaded(self) -> set[str]:
        pattern = self.model.unit(0, "*").replace("@0", "@*")
        return set(systemctl("list-units", "--all", "--full", "--plain", "--no-legend", "--state=failed", pattern).split())

    def _last_words(self, service: str) -> str:
        command = ["journalctl", "--unit", service, "--lines=15", "--output=cat", "--no-pager"]
        lines = subprocess.run(command, check=False, capture_output=True, text=True).stdout.splitlines()
        told = [line for line in lines if re.match(r"\w*(Error|Exception)\b|[\w.]+(Error|Exception): ", line)]
        return (told or lines or [""])[-1][:500]
