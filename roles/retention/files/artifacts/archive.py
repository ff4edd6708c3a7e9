# SPDX-License-Identifier: GPL-3.0-or-later
"""Move the spans of old traces from the database to the store, with MLflow's own archival; they are read as before.

MLflow would run it in a scheduler of its own, which needs job execution and several hundred megabytes of memory. This is the same function, by a timer.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

FOLDER = "trace-archive"
STEP = 500


def place(root: str) -> str:
    """Where they go, as the URI that MLflow wants, also where the artifacts are in a directory."""
    return f"{root.rstrip('/')}/{FOLDER}" if "://" in root else Path(root, FOLDER).as_uri()


def archive(request: dict[str, Any]) -> dict[str, Any]:
    """Passes until nothing is old enough or the time is over. `request`: age_days, keep_experiments, max_seconds."""
    import deletions
    from collect import tracking_store

    deletions.install()
    began, archived, done = time.time(), 0, False
    store = tracking_store(request)
    location = place(request["root"])
    while not done and time.time() < began + request["max_seconds"]:
        count = store.archive_traces(
            resolved_trace_archival_location=location,
            broader_retention=f"{request['age_days']}d",
            long_retention_allowlist=[str(identity) for identity in request["keep_experiments"]],
            max_traces_per_pass=STEP,
        )
        archived, done = archived + count, count == 0
    return {"archived": archived, "location": location, "age_days": request["age_days"], "seconds": round(time.time() - began, 1), "unfinished": not done}
