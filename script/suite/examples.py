# SPDX-License-Identifier: GPL-3.0-or-later
"""The environment of a person who runs the examples: `.labtrack/examples`, by pip and examples/requirements.txt, as examples/README.md says."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from suite.paths import ROOT, STATE, tool_environment

REQUIREMENTS = ROOT / "examples" / "requirements.txt"


def examples_environment() -> Path:
    """The directory of its programs; it is made where it is missing or of other requirements."""
    venv = STATE / "examples"
    stamp = venv / ".stamp"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode() + str(ROOT).encode()).hexdigest()
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(venv)],
            [str(venv / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", "-r", str(REQUIREMENTS)],
        ):
            subprocess.run(command, env=tool_environment(), check=True)
        stamp.write_text(wanted, encoding="utf-8")
    return venv / "bin"
