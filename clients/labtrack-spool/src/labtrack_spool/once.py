# SPDX-License-Identifier: GPL-3.0-or-later
"""Making something on the server exactly once."""

from __future__ import annotations

import time
from typing import Callable

from labtrack_spool.errors import AmbiguousError, ApiError
from labtrack_spool.state import Entry

LATE_REQUEST_SECONDS = 5  # how long a request of a process that was killed may still be under way


def find_or_create(
    entry: Entry, find: Callable[[bool], Entry | None], create: Callable[[], Entry], remember: Callable[[Entry], None], patience: float = LATE_REQUEST_SECONDS
) -> Entry:
    """Make something on the server exactly once, although the request may be lost or the sync killed at any point.

    Args:
        entry: what the state says; its digest starts with "asked" where a request was sent whose answer nobody saw.
        find: looks on the server; true as argument means that it must really look.
        create: sends the request; raises AmbiguousError where it was lost.
        remember: keeps that the request will now be sent.
        patience: seconds to wait for a request that may still be on its way.
    """
    asked = float(entry.digest.partition(" ")[2]) if entry.digest.startswith("asked ") else 0.0
    found = find(bool(asked))
    until = time.monotonic() + min(patience, max(0.0, asked + 120 - time.time()))
    while asked and found is None and time.monotonic() < until:
        time.sleep(0.5)
        found = find(True)
    for attempt in range(5):
        if found is not None:
            return found
        remember(Entry(digest=f"asked {time.time():.0f}"))
        try:
            return create()
        except AmbiguousError as error:
            if attempt == 4:
                raise ApiError(str(error)) from error
            until = time.monotonic() + patience
            while found is None and time.monotonic() < until:
                time.sleep(0.5)
                found = find(True)
    raise AssertionError("the loop always returns or raises")
