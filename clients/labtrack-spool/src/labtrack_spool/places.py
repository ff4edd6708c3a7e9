# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a spool lies: kinds of file systems, and paths that another mount or another computer has written down."""

from __future__ import annotations

import os
import urllib.parse
from pathlib import Path

# Types in /proc/self/mountinfo on which SQLite's write-ahead log is safe: one kernel sees the file, so its shared memory is shared by all who use it.
LOCAL_TYPES = ("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "f2fs", "ramfs", "squashfs", "reiserfs", "jfs")


def filesystem_type(path: str | Path) -> str:
    """Type of the file system that holds the path, as the kernel names it; empty where it does not say (not Linux)."""
    place = os.path.realpath(path)
    best, kind = "", ""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as stream:
            for line in stream:
                before, _, after = line.partition(" - ")
                mount = before.split(" ")[4].encode().decode("unicode_escape") if "\\" in before else before.split(" ")[4]
                if (place == mount or place.startswith(mount.rstrip("/") + "/")) and len(mount) >= len(best):
                    best, kind = mount, after.split(" ")[0]
    except OSError:
        return ""
    return kind


def is_local(path: str | Path) -> bool:
    """Whether only this computer can write there. What is not known counts as shared."""
    return filesystem_type(path) in LOCAL_TYPES


def local_path(uri: str) -> str:
    """The path in an artifact location; empty where it is not one of files."""
    if "://" not in uri and not uri.startswith("file:"):
        return uri
    parts = urllib.parse.urlsplit(uri)
    return urllib.parse.unquote(parts.path) if parts.scheme == "file" else ""


class PathMap:
    """Finds what was written under another path: in a container, on another computer, before a move.

    Args:
        base: folder of the store, where things are now.
        known: pairs (path as it was written, path as it is here); the longest match wins.
    """

    def __init__(self, base: Path, known: list[tuple[str, str]]) -> None:
        self.base = base
        self.known = sorted(((old.rstrip("/"), new.rstrip("/")) for old, new in known if old.rstrip("/")), key=lambda pair: -len(pair[0]))

    def find(self, uri: str) -> Path | None:
        """The path here, whether or not it exists; None where the location is not one of files.

        First the known pairs, then the path as it is written, then below the store's folder whatever of its end exists there.
        """
        text = local_path(uri)
        if not text:
            return None
        path = Path(text)
        if not path.is_absolute():
            return self.base / path
        for old, new in self.known:
            if text == old or text.startswith(old + "/"):
                return Path(new + text[len(old) :])
        if path.is_dir():
            return path
        parts = path.parts[1:]
        for start in range(len(parts) - 1):  # at least two components must agree
            candidate = self.base.joinpath(*parts[start:])
            if candidate.is_dir():
                return candidate
        return path
