# SPDX-License-Identifier: GPL-3.0-or-later
"""How the tests reach the site of two machines."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "script"))

from testbed.site import Site


@pytest.fixture(scope="session")
def addresses() -> dict[str, str]:
    """Address of each machine by its inventory name."""
    inventory = json.loads((Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory" / "hosts.yml").read_text(encoding="utf-8"))
    return {name: variables["testbed_address"] for name, variables in inventory["all"]["hosts"].items()}


@pytest.fixture(scope="session")
def site(addresses: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The deployed site."""
    return Site.of("lt-alternative-mlflow", "mlflow.lab.example", addresses["mlflow"], tmp_path_factory.mktemp("ca") / "ca.pem")
