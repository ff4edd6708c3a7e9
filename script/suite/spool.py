# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the tests of labtrack-spool with a real MLflow, in an environment of their own: requirements/spool.txt, .labtrack/spool."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from suite.paths import ROOT, STATE, tool_environment, uv_environment

PACKAGE = ROOT / "clients" / "labtrack-spool"


def environment_of(name: str) -> Path:
    """The environment `.labtrack/<name>` of `requirements/<name>.txt`; it is made where it is missing or of another lock file."""
    lock, venv = ROOT / "requirements" / f"{name}.txt", STATE / name
    stamp = venv / ".stamp"
    wanted = hashlib.sha256(lock.read_bytes() + sys.version.encode() + str(ROOT).encode()).hexdigest()
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return venv
    uv, python = str(STATE / "uv" / "bin" / "uv"), str(venv / "bin" / "python")
    for command in (
        [uv, "venv", "--quiet", "--clear", "--python", sys.executable, "--prompt", f"labtrack-{name}", str(venv)],
        [uv, "pip", "sync", "--quiet", "--require-hashes", "--python", python, str(lock)],
    ):
        subprocess.run(command, env=uv_environment(), check=True)
    stamp.write_text(wanted, encoding="utf-8")
    return venv


def spool_environment(venv: Path) -> dict[str, str]:
    """Environment variables with the package of this checkout, for a Python of that environment."""
    return tool_environment(PYTHONPATH=str(PACKAGE / "src"), PATH=f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}")


def main() -> int:
    """Prepare, then test; arguments go to pytest."""
    venv = environment_of("spool")
    command = [str(venv / "bin" / "python"), "-m", "pytest", "-q", "-p", "no:cacheprovider", *(sys.argv[1:] or ["tests/unit/spool"])]
    return subprocess.run(command, cwd=ROOT, env=spool_environment(venv), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
