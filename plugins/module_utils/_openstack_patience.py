# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Growing pauses between tries, until a total time is over."""

from __future__ import annotations

import time
import typing as t

FIRST_SECONDS, LONGEST_SECONDS = 0.5, 15.0


class Patience:
    """One time limit for all tries of a run."""

    def __init__(self, seconds: float, now: t.Callable[[], float] = time.monotonic, sleep: t.Callable[[float], None] = time.sleep) -> None:
        self.now, self.sleep = now, sleep
        self.end, self.pause = now() + seconds, FIRST_SECONDS

    def again(self, least: float = 0.0) -> bool:
        """Wait before another try; false, at once, where the time does not suffice. `least` is what the server asked for."""
        pause = max(self.pause, least)
        if self.now() + pause > self.end:
            return False
        self.sleep(pause)
        self.pause = min(2 * self.pause, LONGEST_SECONDS)
        return True

    def fresh(self) -> Patience:
        """The same limit for another question, which begins with a short pause."""
        return Patience(self.end - self.now(), self.now, self.sleep)

    def grace(self, seconds: float) -> None:
        """At least that many seconds remain, for putting things back."""
        self.end = max(self.end, self.now() + seconds)
