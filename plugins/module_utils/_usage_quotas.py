# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the quotas of a site. Plain Python, knows nothing of Ansible."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

KINDS = ("user", "experiment", "workspace")
LIMITS = ("bytes_gb", "objects", "runs", "metric_points", "params", "traces", "logged_models", "model_versions")


def _number(value: Any) -> float | None:
    """A limit; None where it is none. A text counts as with Ansible's own conversion."""
    if isinstance(value, bool):
        return None
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) and found >= 0 else None


def _of_entry(entry: Any, seen: set[tuple[str, str]]) -> Iterator[str]:
    if not isinstance(entry, dict):
        yield f"'{entry}' is no dictionary"
        return
    whom = [(key, str(entry[key])) for key in ("each", *KINDS) if entry.get(key) not in (None, "")]
    name = ", ".join(f"{key}: {value}" for key, value in whom) or "an entry"
    if len(whom) != 1:
        yield f"'{name}' names {len(whom)} of each, user, experiment, workspace"
    elif whom[0] in seen:
        yield f"'{name}' is there twice"
    elif whom[0][0] == "each" and whom[0][1] not in KINDS:
        yield f"'{name}' is none of user, experiment, workspace"
    seen.update(whom)
    if unknown := sorted(str(key) for key in entry if key not in ("each", *KINDS, *LIMITS)):
        yield f"'{name}' has {', '.join(unknown)}, which is no limit ({', '.join(LIMITS)})"
    given = {key: entry[key] for key in LIMITS if entry.get(key) is not None}
    if not given and not unknown:
        yield f"'{name}' has no limit"
    for key, value in given.items():
        if _number(value) is None:
            yield f"'{name}' has {key} '{value}', which is no number from 0 on"
    if "traces" in given and any(key == "user" or (key, value) == ("each", "user") for key, value in whom):
        yield f"'{name}' limits traces, with which MLflow notes no user"


def problems(quotas: Any) -> list[str]:
    """One short text for each problem."""
    if not isinstance(quotas, list):
        return [f"'{quotas}' is no list"]
    seen: set[tuple[str, str]] = set()
    return [problem for entry in quotas for problem in _of_entry(entry, seen)]
