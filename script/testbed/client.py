# SPDX-License-Identifier: GPL-3.0-or-later
"""A researcher's laptop: an environment with the real MLflow client, from the same lock as the server."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

from .engine import CACHE, ROOT, TestbedError

CLIENT = CACHE / "client"
LOCKS = ROOT / "roles" / "tracking_server" / "files"
UV = CACHE / "uv" / "bin" / "uv"


def newest_lock() -> Path:
    """Lock file of the newest MLflow that the collection ships."""
    return max(LOCKS.glob("requirements-*.txt"), key=lambda path: [int(part) for part in path.stem.split("-")[1].split(".")])


def python() -> Path:
    """Interpreter of the client environment, made when it is missing.

    Raises:
        TestbedError: uv could not install it.
    """
    interpreter, lock = CLIENT / "bin" / "python", newest_lock()
    environment = {**os.environ, "UV_SYSTEM_CERTS": "1", "UV_PYTHON_DOWNLOADS": "never", "UV_NO_CONFIG": "1", "UV_CACHE_DIR": str(CACHE / "cache" / "uv")}
    commands = [["pip", "sync", "--quiet", "--require-hashes", "--python", interpreter, lock]]
    if not interpreter.exists():
        commands.insert(0, ["venv", "--quiet", "--python", sys.executable, CLIENT])
    with (CACHE / "client.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        for command in commands:
            done = subprocess.run([str(UV), *map(str, command)], env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                raise TestbedError(f"the client environment could not be made: {done.stderr.strip()[-500:]}")
    return interpreter


def bundle_environment(bundle: Path) -> dict[str, str]:
    """Environment of a person who has sourced the bundle's mlflow_env.sh."""
    script = 'set -a; . "$0"/mlflow_env.sh >/dev/null; env -0'
    done = subprocess.run(["bash", "-c", script, str(bundle)], capture_output=True, text=True, check=True)
    return dict(line.split("=", 1) for line in done.stdout.split("\0") if "=" in line)
