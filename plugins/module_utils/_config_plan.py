# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One plan for check mode and the real run of config_files."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.labtrack.mlflow.plugins.module_utils._config_files import (
    Attributes,
    ConfigFilesError,
    File,
    Record,
    digest,
    read,
    run_validator,
    write_atomically,
)


class Plan:
    """Directories, files, links and absences of one service, compared with the host, then applied.

    Args:
        record: the applied record of the service.
        check: nothing is written, and names of users that do not exist yet are accepted.
    """

    def __init__(self, record: Record, check: bool = False) -> None:
        self.record, self.check = record, check
        self.changed: list[str] = []
        self.diff: list[dict[str, str]] = []
        self._undo: list[tuple[str, bytes | None, Attributes]] = []

    def directories(self, items: t.Iterable[tuple[str, Attributes]]) -> None:
        """Make directories, parents included, and set their attributes."""
        for path, attributes in items:
            if not os.path.isdir(path) or attributes.differ(path, self.check):
                self.changed.append(path)
                if not self.check:
                    os.makedirs(path, exist_ok=True)
                    attributes.apply(path)

    def files(self, files: t.Sequence[File], validate: str | None = None) -> dict[str, bytes | None]:
        """Write the files that differ: all are checked one by one before any is replaced, all together after; a refusal puts
        back what was there.

        Returns:
            content of every file as it is (or, in check mode, would be) now.
        """
        contents: dict[str, bytes | None] = {}
        writes: list[tuple[File, bytes | None]] = []
        for file in files:
            before = read(file.dest)
            contents[file.dest] = before if file.keep else file.wanted()
            if before != contents[file.dest]:
                writes.append((file, before))
                self._note(file, before, contents[file.dest] or b"")
            elif file.attributes.differ(file.dest, self.check):
                self.changed.append(file.dest)
                if not self.check:
                    file.attributes.apply(file.dest)
        if not self.check:
            self._validate_each(writes, contents)
            try:
                for file, before in writes:
                    self._write(file, before, contents[file.dest] or b"")
                if writes and validate:
                    run_validator(validate)
            except BaseException:
                self._roll_back()
                raise
        return contents

    def links(self, items: t.Iterable[tuple[str, str]]) -> dict[str, bytes | None]:
        """Make symbolic links, replacing one that points elsewhere; a directory that is missing is made, one that is there stays as it is."""
        for path, target in items:
            if not os.path.islink(path) or os.readlink(path) != target:
                if os.path.lexists(path) and not os.path.islink(path):
                    raise ConfigFilesError(f"'{path}' is to become a symbolic link, but there is a file or directory of that name: move it away.")
                self.changed.append(path)
                if not self.check:
                    os.makedirs(os.path.dirname(path), exist_ok=True)
                    temporary = f"{path}.new"
                    if os.path.lexists(temporary):
                        os.unlink(temporary)
                    os.symlink(target, temporary)
                    os.replace(temporary, path)
        return {path: target.encode() for path, target in items}

    def absent(self, paths: t.Iterable[str]) -> None:
        """Remove files and links, never directories."""
        for path in paths:
            if os.path.isdir(path) and not os.path.islink(path):
                raise ConfigFilesError(f"absent: '{path}' is a directory; only files and links are removed.")
            if os.path.lexists(path):
                self.changed.append(path)
                if not self.check:
                    os.unlink(path)

    def finish(self, parts: t.Mapping[str, bytes | None]) -> bool:
        """Record the state; True when the service was not yet started with it."""
        current = digest(parts)
        pending = current != self.record.data.get("applied")
        if not self.check:
            # what is pending may be tried, and fail: then the service does not run with the earlier one any more
            self.record.save(current=current, **({"applied": ""} if pending else {}))
        return pending

    def _note(self, file: File, before: bytes | None, after: bytes) -> None:
        self.changed.append(file.dest)
        if file.secret or file.generate is not None:
            text = ("(no file)\n" if before is None else "(a secret)\n", "(a new secret)\n")
        else:
            text = ((before or b"").decode(errors="replace"), after.decode(errors="replace"))
        self.diff.append({"before_header": file.dest, "after_header": file.dest, "before": text[0], "after": text[1]})

    @staticmethod
    def _validate_each(writes: t.Sequence[tuple[File, bytes | None]], contents: t.Mapping[str, bytes | None]) -> None:
        for file, _before in writes:
            if file.validate:
                candidate = f"{file.dest}.candidate"
                write_atomically(candidate, contents[file.dest] or b"", Attributes(mode=0o600))
                try:
                    run_validator(file.validate, candidate)
                finally:
                    os.unlink(candidate)

    def _write(self, file: File, before: bytes | None, after: bytes) -> None:
        old = os.stat(file.dest) if before is not None else None
        attributes = file.attributes
        if attributes.mode is None and old:
            attributes = Attributes(attributes.owner, attributes.group, old.st_mode & 0o7777)
        write_atomically(file.dest, after, attributes)
        self._undo.append((file.dest, before, attributes))

    def _roll_back(self) -> None:
        for path, before, attributes in reversed(self._undo):
            if before is None:
                os.unlink(path)
            else:
                write_atomically(path, before, attributes)
