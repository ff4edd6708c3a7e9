# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests share what those of the scenario `monitoring` have."""

from __future__ import annotations

import sys
from importlib import util
from pathlib import Path

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[1] / "monitoring" / "tests"
sys.path[:0] = [str(HERE), str(SHARED)]
spec = util.spec_from_file_location("monitoring_conftest", SHARED / "conftest.py")
shared = util.module_from_spec(spec)
spec.loader.exec_module(shared)
site, stack = shared.site, shared.stack
