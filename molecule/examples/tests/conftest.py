# SPDX-License-Identifier: GPL-3.0-or-later
"""Ada: her bundle, and an environment with what the examples need."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "script"))

from suite.examples import examples_environment
from testbed.client import bundle_environment
from testbed.site import FOREIGN

ROOT = Path(__file__).resolve().parents[3]
BUNDLE = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "bundles" / "ada"


@pytest.fixture(scope="session")
def programs() -> Path:
    """The programs of ada's environment."""
    return examples_environment()


@pytest.fixture(scope="session")
def environment(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Ada's variables: her bundle, a home of her own, nothing of this machine's CAs."""
    ours = {key: value for key, value in bundle_environment(BUNDLE).items() if key not in FOREIGN}
    return {**ours, "HOME": str(tmp_path_factory.mktemp("home")), "PATH": f"{programs}:{os.environ['PATH']}"}


@pytest.fixture
def example(programs: Path, environment: dict[str, str], tmp_path: Path):
    """`example("figures.py")`: run it in an empty directory; what the server knows of its run."""

    def run(name: str, *command: str) -> dict:
        done = subprocess.run(
            [*command, str(ROOT / "examples" / name)], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=600
        )
        assert done.returncode == 0, done.stdout + done.stderr
        printed = done.stdout + "".join(path.read_text(encoding="utf-8") for path in tmp_path.glob("*.ipynb"))
        identity = re.search(r"\brun ([0-9a-f]{32})\b", printed)[1]
        read = [str(programs / "python"), str(Path(__file__).with_name("read_run.py")), identity]
        known = json.loads(subprocess.run(read, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout)
        assert known["status"] == "FINISHED"
        return known

    return run
