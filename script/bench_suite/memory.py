# SPDX-License-Identifier: GPL-3.0-or-later
"""Memory of the tracking server's units: proportional set size, so that pages shared by its processes count once."""

from __future__ import annotations

from .figures import Figure, Report
from .targets import Target

GOAL_MB = 400


def bench(report: Report, site: Target, stock: Target | None, when: str) -> None:
    """One look at both servers."""
    used = site.memory_mb()
    details = {"site_mb": round(used), **({"stock_mb": round(stock.memory_mb())} if stock else {})}
    other = f", stock {details['stock_mb']} MB" if stock else ""
    report.add(Figure("memory", round(used, 1), "MB", f"PSS of the tracking server {when}{other}", GOAL_MB, at_most=True, details=details))
