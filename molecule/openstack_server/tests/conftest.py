# SPDX-License-Identifier: GPL-3.0-or-later
"""The helpers of the scenario are beside this file."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
