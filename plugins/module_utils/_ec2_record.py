# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file in which a site's EC2 key is recorded: JSON, 0600, replaced as a whole.

{"format": 1, "user_id", "project_id", …, "s3_endpoint", "access_key", "secret_key",   the key in use, verified
 "previous": {"access_key", "secret_key", "user_id"},                                  the one before, until a rotation is finished
 "candidate": {"access_key"},                                                          made, not yet verified: its secret is still on Keystone only
 "creating": {"since", "known": […]}}                                                  asked for one; these were there before
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
import typing as t

from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_messages import CloudError

Json = dict[str, t.Any]
FORMAT = 1
VAULT = "$ANSIBLE_VAULT"


def parse(text: str) -> Json:
    """Content of a record.

    Raises:
        ValueError: it is none.
    """
    if text.startswith(VAULT):
        raise ValueError("it is encrypted with ansible-vault; decrypt it first")
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ValueError(f"it is no JSON: {error}") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError(f"it has no 'format': {FORMAT}")
    return found


class Record:
    """The file; without a path, the same in memory for one run."""

    def __init__(self, path: str) -> None:
        self.path, self.data = path, t.cast(Json, {})

    @contextlib.contextmanager
    def locked(self) -> t.Iterator[Record]:
        """Read it, and keep other runs away from its directory meanwhile: the tasks of several hosts may be delegated to one machine.

        Raises:
            CloudError: it cannot be read, or is none.
        """
        if not self.path:
            yield self
            return
        directory = os.path.dirname(os.path.abspath(self.path))
        try:
            handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise CloudError("record", f"directory {directory}: {error.strerror}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            self.load()
            yield self
        finally:
            os.close(handle)

    def load(self) -> None:
        """Read the file, if there is one."""
        try:
            with open(self.path, encoding="utf-8") as file:
                self.data = parse(file.read())
        except FileNotFoundError:
            self.data = {}
        except (OSError, ValueError) as error:
            raise CloudError("record", getattr(error, "strerror", None) or str(error)) from error

    def save(self) -> None:
        """Write a neighbour and rename it: a reader sees the old content or the new."""
        if not self.path:
            return
        directory = os.path.dirname(os.path.abspath(self.path))
        temporary = ""
        try:
            handle, temporary = tempfile.mkstemp(prefix=".", suffix=".new", dir=directory)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"format": FORMAT, **self.data}, file, indent=2)
                file.write("\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
        except OSError as error:
            if temporary:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary)
            raise CloudError("record", error.strerror or str(error)) from error

    def remove(self) -> None:
        """Delete the file."""
        self.data = {}
        if self.path:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.path)

    def access(self, which: str = "") -> str:
        """Access key in use, or of `previous` or `candidate`; empty when there is none."""
        return str((self.data.get(which) or {} if which else self.data).get("access_key") or "")

    def owner(self, which: str = "") -> str:
        """User who made it."""
        return str((self.data.get(which) or {} if which else self.data).get("user_id") or "")

    def recorded(self) -> set[str]:
        """Every access key in the record."""
        return {self.access(which) for which in ("", "previous", "candidate")} - {""}

    def view(self) -> dict[str, str]:
        """What a diff shows."""
        return {"access_key": self.access(), "previous_access_key": self.access("previous")}


def fields(text: str) -> dict[str, str]:
    """What a lookup may ask for.

    Raises:
        ValueError: this is no record, or there is no verified key in it.
    """
    data = parse(text)
    if not data.get("access_key") or not data.get("secret_key"):
        raise ValueError("it holds no verified key: a run was interrupted, or the store did not accept the key")
    names = ("access_key", "secret_key", "s3_endpoint", "s3_region", "project_id", "user_id", "created_at")
    return {**{name: data.get(name) or "" for name in names}, "previous_access_key": (data.get("previous") or {}).get("access_key") or ""}
