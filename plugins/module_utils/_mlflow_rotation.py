# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets in files, replaced in steps that may be interrupted. Plain Python, knows nothing of Ansible.

The earlier secret stays beside the new one as C(<file>.old) until nothing needs it any more: as long as that file is there, the rotation is not
finished, and a repetition goes on with it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import secrets as random
import time
from pathlib import Path

ENCRYPTING = ("kek_passphrase", "webhook_key")
RANDOM_BYTES = 32


class RotationError(Exception):
    """What a person has to do; holds no secret."""


@dataclasses.dataclass
class Secret:
    """One file, and what is to be in it; empty means something random."""

    path: Path
    given: str = dataclasses.field(default="", repr=False)

    @property
    def name(self) -> str:
        """Also the key in the record."""
        return self.path.name

    @property
    def old(self) -> Path:
        """Where the earlier one is while the new one is brought in."""
        return self.path.with_name(f"{self.path.name}.old")

    @property
    def text(self) -> str:
        """What is in the file; raises OSError."""
        return self.path.read_text(encoding="utf-8").strip()

    @property
    def earlier(self) -> str:
        """The earlier secret of a rotation that is under way; empty when none is."""
        return self.old.read_text(encoding="utf-8").strip() if self.old.exists() else ""

    def is_due(self) -> bool:
        """Whether there is something to do: not when the value is given and in place already."""
        return bool(self.earlier) or not self.given or self.given != self.text

    def begin(self) -> bool:
        """Keep the earlier secret, write the new one; false when an interrupted run has done both."""
        begun = bool(self.earlier) and self.text != self.earlier
        if begun and self.given and self.given != self.text:
            raise RotationError(
                f"{self.path} was being replaced by another value than the inventory gives now, and that rotation is not finished. Accepted: the value "
                "of that run. Put it back into the vault and run again; then the next one. Nothing was changed."
            )
        if begun:
            return False
        if not self.earlier:
            replace(self.old, self.text, self.path)
        replace(self.path, self.given or random.token_urlsafe(RANDOM_BYTES), self.path)
        return True

    def finish(self) -> None:
        """Nothing needs the earlier secret any more."""
        self.old.unlink(missing_ok=True)


def replace(path: Path, text: str, like: Path) -> None:
    """Write a file in one step, with owner and mode of another."""
    status, partial = like.stat(), path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(f"{text}\n")
        file.flush()
        os.fchown(file.fileno(), status.st_uid, status.st_gid)
        os.fchmod(file.fileno(), status.st_mode & 0o7777)
        os.fsync(file.fileno())
    os.replace(partial, path)


def chosen(keys_dir: str, config_dir: str, names: list[str], given: dict[str, str]) -> list[Secret]:
    """The secrets by their names; C(database_uri) lies with the configuration."""
    return [Secret(Path(config_dir if name == "database_uri" else keys_dir, name), given.get(name, "")) for name in names]


def record(path: Path, names: list[str], now: float | None = None) -> None:
    """When each was last replaced, in seconds since the epoch."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    known.update(dict.fromkeys(names, int(now or time.time())))
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    os.chmod(partial, 0o644)
    os.replace(partial, path)
