# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of script/wheelhouse, as its usage writes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from suite import wheelhouse


@pytest.fixture
def asked(monkeypatch) -> list:
    """What would be downloaded."""
    found: list = []
    monkeypatch.setattr(wheelhouse, "build", lambda directory: directory / "labtrack_spool-1-py3-none-any.whl")
    monkeypatch.setattr(wheelhouse, "download", lambda directory, _wheel, requirements, python: found.append((directory, requirements, python)))
    return found


@pytest.mark.parametrize(
    "words",
    [
        ["wheels", "--python", "3.11", "mlflow-skinny", "alembic"],
        ["wheels", "mlflow-skinny", "alembic", "--python", "3.11"],
        ["--python", "3.11", "wheels", "mlflow-skinny", "alembic"],
    ],
)
def test_requirements_may_stand_after_the_version(asked, words):
    assert wheelhouse.main(words) == 0
    assert asked == [(Path("wheels"), ["mlflow-skinny", "alembic"], "3.11")]


def test_the_wheel_alone_needs_no_version(asked):
    assert wheelhouse.main(["wheels"]) == 0
    assert asked == []


def test_requirements_need_a_version(asked, capsys):
    with pytest.raises(SystemExit):
        wheelhouse.main(["wheels", "mlflow"])
    assert "--python is not given" in capsys.readouterr().err
