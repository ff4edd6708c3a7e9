# SPDX-License-Identifier: GPL-3.0-or-later
"""An installed release of MLflow, put to work on databases that are not in use."""

from __future__ import annotations

import configparser
import contextlib
import json
import os
import re
import secrets
import subprocess
from pathlib import Path
from typing import Any

from cluster import identity

SANDBOX = [
    "Type=exec", "UMask=0077", "NoNewPrivileges=yes", "ProtectSystem=strict", "ProtectHome=yes", "PrivateTmp=yes", "PrivateDevices=yes",
    "ProtectProc=invisible", "ProtectKernelTunables=yes", "ProtectControlGroups=yes", "RestrictNamespaces=yes", "RestrictSUIDSGID=yes",
    "CapabilityBoundingSet=", "KillMode=control-group", "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
    "Environment=HOME=/var/tmp TMPDIR=/var/tmp MPLCONFIGDIR=/var/tmp/matplotlib PYTHONDONTWRITEBYTECODE=1",
]  # fmt: skip
SECTION = "mlflow"


class ReleaseError(Exception):
    """A release does not work."""


def other_database(uri: str, name: str) -> str:
    """The same URI with another database."""
    return re.sub(r"(?<=/)[^/?]+(?=\?|$)", name, uri, count=1)


class Release:
    """`request` is what the playbook asked for."""

    def __init__(self, request: dict[str, Any], name: str) -> None:
        self.request, self.name = request, name
        self.dir = Path(request["program_dir"], "releases", name)
        self.python = str(self.dir / "bin" / "python")
        config = Path(request["config_dir"])
        self.tracking_uri = (config / "database_uri").read_text().strip()
        self.login = configparser.ConfigParser(interpolation=None)
        self.login.read(config / "login.ini")

    @property
    def version(self) -> str:
        """Of MLflow."""
        return self.name.rsplit("-", 1)[0]

    def uris(self, names: dict[str, str]) -> dict[str, str]:
        """URIs of these databases, as the service would connect."""
        auth = self.login[SECTION]["database_uri"].replace("%%", "%")
        return {"tracking_uri": other_database(self.tracking_uri, names["tracking"]), "auth_uri": other_database(auth, names["auth"])}

    def database(self, action: str, names: dict[str, str]) -> dict[str, Any]:
        """The role's explicit step: inspect, initialise or migrate; as the service's user."""
        name, password = self.administrator(write=False)
        request = {**self.uris(names), "admin_username": name, "admin_password": password}
        environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LANG": "C.UTF-8", "MLFLOW_DISABLE_TELEMETRY": "true"}
        environment |= {"MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "NullPool", "PGCONNECT_TIMEOUT": "10"}
        command = [self.python, "-B", str(self.dir / "server" / "database.py"), action]
        options = {"cwd": "/", "env": environment, **identity(self.request["user"])}
        done = subprocess.run(command, input=json.dumps(request), capture_output=True, text=True, check=False, **options)
        if done.returncode:
            raise ReleaseError(f"MLflow {self.version}, {action} {names['tracking']} and {names['auth']}: {done.stderr.strip()[-1500:]}")
        return json.loads(done.stdout)

    def administrator(self, write: bool) -> tuple[str, str]:
        """Name and password of the first administrator, who is made where nobody can log in; written once, as the role does."""
        path = Path(self.request["credentials_file"])
        parser = configparser.ConfigParser(interpolation=None)
        if not parser.read(path):
            parser[SECTION] = {"mlflow_tracking_username": self.request["admin_username"], "mlflow_tracking_password": secrets.token_urlsafe(24)}
            if write:
                path.parent.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(FileExistsError), os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                    parser.write(file)
        return parser[SECTION]["mlflow_tracking_username"], parser[SECTION]["mlflow_tracking_password"]

    def smoke(self, unit: str, names: dict[str, str]) -> dict[str, Any]:
        """Serve these databases on loopback, in a unit of its own, and log, read and delete a run with MLflow's client."""
        config, request = Path(self.request["config_dir"]), self.request
        files = [config / "environment", *(Path(path) for path in [request["s3_environment_file"]] if path)]
        options = [*SANDBOX, f"User={request['user']}", f"Group={request['user']}", f"RuntimeMaxSec={request['smoke_seconds']}"]
        options += [f"EnvironmentFile={path}" for path in files] + [f"ReadWritePaths={path}" for path in [request["artifacts_dir"]] if path]
        command = ["systemd-run", "--pipe", "--wait", "--collect", "--quiet", f"--unit={unit}", *(f"--property={option}" for option in options)]
        text = json.dumps({**self.uris(names), "release_dir": str(self.dir), "login": dict(self.login[SECTION]), "seconds": request["smoke_seconds"]})
        program = Path(__file__).with_name("smoke.py").read_text()
        done = subprocess.run([*command, self.python, "-B", "-c", program], input=text, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ReleaseError(f"MLflow {self.version} fails its smoke test on a copy of the data: {(done.stderr or done.stdout).strip()[-2500:]}")
        return json.loads(done.stdout.splitlines()[-1])
