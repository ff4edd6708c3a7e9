# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Client bundles of many people from one that was written for a placeholder. Plain Python, knows nothing of Ansible."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

LOGIN = "credentials"


@dataclass
class Pattern:
    """A bundle whose name and password are to be replaced; its directory, too."""

    folder: Path
    username: str
    password: str = field(repr=False)

    def files(self) -> list[Path]:
        """What a person gets; records of Ansible begin with a dot."""
        return sorted(path for path in self.folder.iterdir() if path.is_file() and not path.name.startswith("."))

    def of(self, path: Path, folder: Path, username: str, password: str) -> bytes:
        """The content of a file for one person."""
        text = path.read_bytes()
        for old, new in ((self.password, password), (self.username, username), (str(self.folder), str(folder))):
            text = text.replace(old.encode(), new.encode())
        return text


def write(pattern: Pattern, folder: Path, username: str, password: str, check: bool = False) -> list[str]:
    """The files of one person that were, or would be, written; modes are those of the pattern."""
    changed = []
    for path in pattern.files():
        target, content, mode = folder / path.name, pattern.of(path, folder, username, password), path.stat().st_mode & 0o777
        if target.exists() and target.read_bytes() == content and target.stat().st_mode & 0o777 == mode:
            continue
        changed.append(str(target))
        if check:
            continue
        partial = folder / f".{path.name}.partial"
        partial.unlink(missing_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            os.fchmod(file.fileno(), mode)
        os.replace(partial, target)
    return changed
