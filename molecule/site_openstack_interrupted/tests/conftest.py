# SPDX-License-Identifier: GPL-3.0-or-later
"""The helpers are those of the role's scenario."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "openstack_server" / "tests"))
