# SPDX-License-Identifier: GPL-3.0-or-later
"""A cloud in memory."""

from __future__ import annotations

import builtins
import tempfile

import pytest
from plugins.fake_openstack import FakeOpenStack


@pytest.fixture
def stack(tmp_path, monkeypatch):
    # the lock of a site is a file: another worker's test, or another run on this machine, would hold it
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return FakeOpenStack()


@pytest.fixture
def no_sdk(monkeypatch):
    """openstacksdk is not installed."""
    real = builtins.__import__

    def missing(name, *arguments, **options):
        if name.startswith("openstack"):
            raise ImportError(f"No module named '{name}'")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
