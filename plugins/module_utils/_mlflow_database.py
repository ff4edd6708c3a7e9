# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The explicit database step of an MLflow instance, and its administrator's credentials. Plain Python, knows nothing of Ansible."""

from __future__ import annotations

import configparser
import io
import os
import pwd
import secrets
import subprocess
from pathlib import Path

SECTION = "mlflow"
NAME_KEY, PASSWORD_KEY = "mlflow_tracking_username", "mlflow_tracking_password"
PASSWORD_BYTES = 24
PASSWORD_MIN = 12  # MLflow's own


class DatabaseError(Exception):
    """A database cannot be used as it is; the message says what to do."""


def read_credentials(path: str) -> tuple[str, str]:
    """Name and password of a credentials file; empty strings when there is none."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(Path(path).read_text(encoding="utf-8"))
        return parser[SECTION][NAME_KEY], parser[SECTION][PASSWORD_KEY]
    except FileNotFoundError:
        return "", ""
    except (configparser.Error, KeyError) as error:
        raise DatabaseError(f"{path} is no credentials file: it wants a section [{SECTION}] with {NAME_KEY} and {PASSWORD_KEY}.") from error


def write_credentials(path: str, name: str, password: str) -> None:
    """A new credentials file, readable by root only."""
    parser = configparser.ConfigParser(interpolation=None)
    parser[SECTION] = {NAME_KEY: name, PASSWORD_KEY: password}
    text = io.StringIO()
    parser.write(text)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    partial = f"{path}.partial"
    Path(partial).unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text.getvalue())
        file.flush()
        os.fsync(file.fileno())
    os.rename(partial, path)


def new_password() -> str:
    """A password nobody can guess; without characters that a shell or a URL would change."""
    return secrets.token_urlsafe(PASSWORD_BYTES)


def run_as(user: str, command: list[str], text: str, environment: dict) -> tuple[int, str, str]:
    """Run a command as another user, with text on its standard input, so that secrets are in no argument list."""
    account = pwd.getpwnam(user)
    base = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LANG": "C.UTF-8", "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(
        command,
        input=text,
        capture_output=True,
        text=True,
        env={**base, **environment},
        cwd="/",
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=[],
        umask=0o077,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def problem(found: dict, migrate: bool) -> str:
    """Why the databases cannot be used, or an empty string. `found` is what database.py answers."""
    for name, what in (("tracking", "tracking database"), ("auth", "database of logins")):
        state, current, wanted = (found[name][key] for key in ("state", "current", "wanted"))
        if state == "old" and not migrate:
            return (
                f"tracking_server_database_migrate is 'false': the {what} has schema '{current}' of an earlier MLflow, this release wants '{wanted}'. "
                "Run playbooks/upgrade.yml, which keeps a way back, or set the earlier tracking_server_version. Accepted here: true, which upgrades "
                "in place, without a way back: make a backup, then run again with -e tracking_server_database_migrate=true. Nothing was changed."
            )
        if state == "new":
            return (
                f"tracking_server_version is older than the data: the {what} has schema '{current}', which this release does not know (it wants "
                f"'{wanted}'). Accepted: the version that wrote it, or a later one. MLflow cannot go back; restore a backup instead. Nothing was changed."
            )
        if state == "damaged":
            return f"The {what} has schema '{current}', but tables are missing. Restore a backup. Nothing was changed."
    return ""
