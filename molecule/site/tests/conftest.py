# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of a deployed site share: how to reach it, and a run logged to it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "script"))

from testbed.site import Site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The deployed site."""
    return Site.of_scenario(tmp_path_factory.mktemp("ca") / "ca.pem")


@pytest.fixture(scope="session")
def run_url(site: Site) -> str:
    """Address of a run that the real client has logged, read back and compared."""
    return site.log_and_read_back(megabytes=20)
