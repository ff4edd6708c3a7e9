# SPDX-License-Identifier: GPL-3.0-or-later
"""Places in this checkout and the environment that its tools run in."""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STATE = ROOT / ".labtrack"
LOGS = STATE / "log"
BIN = Path(sys.executable).parent
COLLECTIONS = ROOT / "collections"
FQCN = "labtrack.mlflow"

_FOREIGN = ("ANSIBLE_", "MOLECULE_", "PYTEST_", "PY_COLORS")


def tool_environment(**extra: str) -> dict[str, str]:
    """The caller's environment, without settings that change what Ansible, Molecule and pytest do."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}
    for key in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"):
        env.pop(key, None)
    env["PATH"] = f"{BIN}{os.pathsep}{env['PATH']}"
    env["ANSIBLE_COLLECTIONS_PATH"] = str(COLLECTIONS)
    env["PYTHONDONTWRITEBYTECODE"] = "1"
    env["NO_COLOR"] = "1"
    return env | extra


def uv_environment(**extra: str) -> dict[str, str]:
    """For uv, as script/setup has it: the system's CAs, the index of PIP_INDEX_URL, no Python of its own."""
    env = tool_environment(UV_NO_CONFIG="1", UV_NO_PROGRESS="1", UV_PYTHON_DOWNLOADS="never", **extra)
    env.setdefault("UV_SYSTEM_CERTS", "1")
    env.setdefault("UV_CACHE_DIR", str(STATE / "cache" / "uv"))
    if os.environ.get("PIP_INDEX_URL"):
        env.setdefault("UV_DEFAULT_INDEX", os.environ["PIP_INDEX_URL"])
    return env
