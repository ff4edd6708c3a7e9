# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs find what host_base installs for all of them."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "roles/host_base/files"))
