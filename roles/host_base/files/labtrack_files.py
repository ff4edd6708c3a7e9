# Kept by labtrack.mlflow.host_base.
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the programs of several roles do with files: write one so that nobody reads half of it, read systemd's environment files, and write metrics."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

Samples = list[tuple[dict[str, str], float]]
ASSIGNMENT = re.compile(r'([A-Za-z_][A-Za-z0-9_]*)=("?)(.*)\2$')


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a neighbour and rename it. After a power-off there is the earlier text or the new one, never an empty file.

    Args:
        path: its directory is made where it is missing.
        text: written as UTF-8.
        mode: permissions of the file; those of one that was there do not count.

    Raises:
        OSError: the directory cannot be made or written; the earlier file stays.
    """
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".labtrack-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def environment_of(text: str) -> dict[str, str]:
    """The assignments of a systemd environment file."""
    found = {}
    for line in text.splitlines():
        if match := ASSIGNMENT.match(line.strip()):
            name, quote, value = match.groups()
            found[name] = re.sub(r"\\(.)", r"\1", value) if quote else value
    return found


def escaped(value: str) -> str:
    """A label's value in Prometheus' text format."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def metric(name: str, text: str, samples: Samples) -> str:
    """One gauge with its samples in that format: labels and value; nothing where there are none."""
    if not samples:
        return ""
    lines = [f"# HELP {name} {text}", f"# TYPE {name} gauge"]
    for labels, value in samples:
        shown = ",".join(f'{key}="{escaped(content)}"' for key, content in labels.items())
        lines.append(f"{name}{{{shown}}} {value:.15g}" if shown else f"{name} {value:.15g}")
    return "\n".join(lines) + "\n"
