# Kept by labtrack.mlflow.monitoring.
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files for node exporter's textfile collector."""

from __future__ import annotations

import sys

sys.path.append("/usr/local/lib/labtrack")

import labtrack_files

write = labtrack_files.write
Samples = list[tuple[dict[str, str], float]]


def escaped(value: str) -> str:
    """A label's value in the exposition format."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def metric(name: str, text: str, samples: Samples) -> str:
    """One gauge with its samples: labels and value; nothing where there are none."""
    if not samples:
        return ""
    lines = [f"# HELP {name} {text}", f"# TYPE {name} gauge"]
    for labels, value in samples:
        shown = ",".join(f'{key}="{escaped(content)}"' for key, content in labels.items())
        lines.append(f"{name}{{{shown}}} {value:.15g}" if shown else f"{name} {value:.15g}")
    return "\n".join(lines) + "\n"
