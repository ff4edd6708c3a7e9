# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs of roles that consist of several modules, imported by the plain names that they have on the machine."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

import pytest


def imported(monkeypatch: pytest.MonkeyPatch, folder: Path, names: Iterable[str]) -> Iterator[dict[str, ModuleType]]:
    """For a fixture's `yield from`: the modules by name, for this test only. Programs of other roles have modules of the same names."""
    names = list(names)
    monkeypatch.syspath_prepend(str(folder))
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield {name: importlib.import_module(name) for name in names}
    for name in names:
        sys.modules.pop(name, None)
