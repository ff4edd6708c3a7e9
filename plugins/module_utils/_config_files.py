# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a set of files and remember which state a service was last started with.

Plain Python without AnsibleModule, so that unit tests need no Ansible.
"""

from __future__ import annotations

import dataclasses
import grp
import hashlib
import json
import os
import pwd
import secrets
import shlex
import subprocess
import tempfile
import typing as t


class ConfigFilesError(Exception):
    """Nothing was changed; the message says what to do."""


@dataclasses.dataclass(frozen=True)
class Attributes:
    """Owner, group and mode; None leaves what is there."""

    owner: str | None = None
    group: str | None = None
    mode: int | None = None

    def ids(self, missing_ok: bool) -> tuple[int, int] | None:
        """Numeric ids, -1 for "leave"; None when a name does not exist yet and that is acceptable (check mode)."""
        try:
            uid = pwd.getpwnam(self.owner).pw_uid if self.owner else -1
            gid = grp.getgrnam(self.group).gr_gid if self.group else -1
        except KeyError as error:
            if missing_ok:
                return None
            raise ConfigFilesError(f"owner '{self.owner}' or group '{self.group}' does not exist on the host: {error}") from error
        return uid, gid

    def differ(self, path: str, missing_ok: bool) -> bool:
        """Whether the path has other attributes than these."""
        ids, found = self.ids(missing_ok), os.lstat(path)
        if ids is None:
            return True
        return bool((self.mode is not None and self.mode != found.st_mode & 0o7777) or (ids[0] not in (-1, found.st_uid)) or (ids[1] not in (-1, found.st_gid)))

    def apply(self, path: str) -> None:
        """Set them. The owner comes first: chown clears the set-id bits."""
        ids = self.ids(missing_ok=False)
        if ids and ids != (-1, -1):
            os.chown(path, *ids)
        if self.mode is not None:
            os.chmod(path, self.mode)


@dataclasses.dataclass
class File:
    """A file as it shall be: `content`, or `generate` random characters written once."""

    dest: str
    attributes: Attributes
    content: str | None = None
    generate: int | None = None
    secret: bool = False
    validate: str | None = None
    force: bool = True

    @property
    def keep(self) -> bool:
        """Whether a file that exists is left as it is."""
        return (self.generate is not None or not self.force) and os.path.exists(self.dest)

    def wanted(self) -> bytes:
        """Content to write."""
        if self.generate is not None:
            return (secrets.token_urlsafe(self.generate)[: self.generate] + "\n").encode()
        return (self.content or "").encode()


def read(path: str) -> bytes | None:
    """Content, or None where there is no file."""
    try:
        with open(path, "rb") as handle:
            return handle.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def write_atomically(path: str, content: bytes, attributes: Attributes) -> None:
    """Write a neighbour and rename it, so that no reader sees half a file, nor wider rights than asked for, and no power-off leaves an empty one."""
    handle, temporary = tempfile.mkstemp(prefix=".", suffix=".new", dir=os.path.dirname(path))
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            attributes.apply(temporary)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    sync_directory(os.path.dirname(path))


def sync_directory(path: str) -> None:
    """Let the names in a directory outlive a power-off."""
    directory = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def run_validator(command: str, path: str | None = None) -> None:
    """Run a check; `%s` is replaced by the path.

    Raises:
        ConfigFilesError: the check failed; its output is in the message.
    """
    words = [word.replace("%s", path or "") for word in shlex.split(command)]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ConfigFilesError(f"the check '{command}' cannot run: {error}") from error
    if done.returncode:
        raise ConfigFilesError(f"the check '{command}' refused the new configuration: {(done.stderr or done.stdout).strip()}")


class Record:
    """What was written, and what the service was last started with: `<directory>/<name>.json`, root only."""

    def __init__(self, directory: str, name: str) -> None:
        self.path = os.path.join(directory, f"{name}.json")
        self.data: dict[str, t.Any] = self._load()

    def _load(self) -> dict[str, t.Any]:
        """What is recorded. A record that cannot be read counts as none: then all is pending, and the service is started anew."""
        try:
            data = json.loads(read(self.path) or b"{}")
        except ValueError:
            return {}
        return data if isinstance(data, dict) else {}

    def save(self, **values: t.Any) -> None:
        """Write the record if that changes it."""
        if any(self.data.get(key) != value for key, value in values.items()):
            self.data.update(values)
            os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
            write_atomically(self.path, json.dumps(self.data).encode(), Attributes(mode=0o600))

    def apply(self, check: bool) -> bool:
        """Record that the service runs with what was written last; whether that was news."""
        current = self.data.get("current")
        news = current != self.data.get("applied")
        if news and not check:
            self.save(applied=current)
        return news


def digest(parts: t.Mapping[str, bytes | None]) -> str:
    """Hash over names and contents."""
    total = hashlib.sha256()
    for name in sorted(parts):
        content = parts[name]
        total.update(f"{name}\0{'absent' if content is None else hashlib.sha256(content).hexdigest()}\n".encode())
    return total.hexdigest()
