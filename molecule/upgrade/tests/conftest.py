# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests find what scenarios share; the table at the end."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "script"))

from testbed.upgrades import table


@pytest.fixture(scope="session", autouse=True)
def _table():
    """What the writing clients saw."""
    yield
    print("\n" + table())
