# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove objects that belong to nothing in the database, and are old enough. In a bucket with versions they can be brought back for a while."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import references
from audit import Audit
from places import Root
from stores import BATCH, Item, Totals, open_store

SAMPLE = 100


def orphans(request: dict[str, Any]) -> dict[str, Any]:
    """Look for them anew, then remove. `request`: age_days, delete, batch_delete, excluded_prefixes.

    The database is read before the store is listed, so what is written meanwhile is younger than the age.
    """
    root, began = Root.parse(request["root"]), time.time()
    store = open_store(root, batch_delete=request.get("batch_delete", True))
    failed: dict[str, str] = {}
    sums = {"objects": 0, "bytes": 0}
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(references.scratch_folder()))
        with references.snapshot(request["tracking_uri"]) as connection:
            found = references.gather(connection, root, scratch)
        listed = stack.enter_context(Path(scratch, "orphans").open("w+", encoding="utf-8"))

        def note(item: Item) -> None:
            listed.write(item.key.replace("\n", "\0") + "\n")
            sums["objects"] += 1
            sums["bytes"] += item.size

        age = 86400 * max(request["age_days"], 1)
        work = Audit(root, found, began=began, grace_seconds=age, excluded=list(request["excluded_prefixes"]), folder=None, on_orphan=note)
        work.run(store.items("", Totals()))
        listed.seek(0)
        batch: list[str] = []
        for line in listed if request["delete"] else ():
            batch.append(line.rstrip("\n").replace("\0", "\n"))
            if len(batch) == BATCH:
                failed.update(store.delete(batch))
                batch = []
        failed.update(store.delete(batch) if batch else {})
    return {
        "root": root.uri,
        "delete": bool(request["delete"]),
        "older_than": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began - age)),
        **sums,
        "prefixes": work.classes.objects["orphaned_prefixes"],
        "list": work.samples["orphans"],
        "failures": len(failed),
        "failed": [{"key": key, "reason": reason} for key, reason in list(failed.items())[:SAMPLE]],
    }
