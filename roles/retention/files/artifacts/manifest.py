# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of what was in the store, kept with an audit, so that a later one can say what has gone since: JSON lines, in the order of the keys."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from stores import Item

PATTERN = "manifest-*.jsonl.gz"


def read(path: Path) -> Iterator[Item]:
    """What an earlier audit has found."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield Item(*json.loads(line))


class Lines:
    """A compressed file of JSON lines that appears when it is complete."""

    def __init__(self, path: Path) -> None:
        self.path, self.partial = path, path.with_name(f".{path.name}.partial")
        self.file = gzip.GzipFile(self.partial, "wb", compresslevel=4)

    def write(self, value: object) -> None:
        """One line."""
        self.file.write(f"{json.dumps(value)}\n".encode())

    def close(self) -> None:
        """Put it in place."""
        self.file.close()
        self.partial.replace(self.path)


def newest(folder: Path) -> Path | None:
    """The manifest of the last audit."""
    found = sorted(folder.glob(PATTERN))
    return found[-1] if found else None


def prune(folder: Path, keep: int) -> None:
    """Only the newest stay."""
    for path in sorted(folder.glob(PATTERN))[:-keep] if keep else folder.glob(PATTERN):
        path.unlink()


def together(now: Iterable[Item], before: Iterable[Item]) -> Iterator[tuple[str, Item | None, Item | None]]:
    """(key, what is there, what was there) for every key of either, both in the order of their keys."""
    left, right = iter(now), iter(before)
    here, there = next(left, None), next(right, None)
    while here or there:
        if there is None or (here and here.key < there.key):
            yield here.key, here, None
            here = next(left, None)
        elif here is None or there.key < here.key:
            yield there.key, None, there
            there = next(right, None)
        else:
            yield here.key, here, there
            here, there = next(left, None), next(right, None)
