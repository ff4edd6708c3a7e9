# SPDX-License-Identifier: GPL-3.0-or-later
"""Clusters of a Debian machine, read from their files."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.labtrack.mlflow.plugins.module_utils import _postgresql_clusters


def make(root: Path, version: str, name: str, text: str, **files: str) -> Path:
    directory = root / version / name
    (directory / "conf.d").mkdir(parents=True)
    (directory / "postgresql.conf").write_text(text)
    for path, content in files.items():
        (directory / path.replace("__", ".").replace("_d_", ".d/")).write_text(content)
    return directory


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in ("1", "4", "5", "pgsql_tmp"):
        (tmp_path / "data" / "base" / name).mkdir(parents=True)
    return tmp_path / "data"


def test_a_cluster_as_debian_makes_it(tmp_path: Path, data: Path) -> None:
    text = f"#port = 1\ndata_directory = '{data}'\t# use data in another directory\nport = 5432\t\t# (change requires restart)\n"
    make(tmp_path / "etc", "17", "main", text, start__conf="# auto: start\n\nauto\n")
    found = _postgresql_clusters.clusters(str(tmp_path / "etc"))
    assert len(found) == 1
    assert {**found[0], "config_dir": ""} == {
        "version": "17",
        "name": "main",
        "config_dir": "",
        "data_directory": str(data),
        "port": 5432,
        "start": "auto",
        "untouched": True,
    }


def test_included_settings_win(tmp_path: Path, data: Path) -> None:
    text = f"data_directory = '{data}'\nport = 5432\n"
    make(tmp_path / "etc", "15", "labtrack", text, conf_d_labtrack__conf="port = '5433'\n", start__conf="disabled\n")
    found = _postgresql_clusters.clusters(str(tmp_path / "etc"))[0]
    assert (found["port"], found["start"]) == (5433, "disabled")


def test_a_database_of_somebody_is_seen(tmp_path: Path, data: Path) -> None:
    (data / "base" / "16384").mkdir()
    make(tmp_path / "etc", "17", "main", f"data_directory = '{data}'\n")
    assert not _postgresql_clusters.clusters(str(tmp_path / "etc"))[0]["untouched"]


def test_nothing_there(tmp_path: Path) -> None:
    assert _postgresql_clusters.clusters(str(tmp_path)) == []
    assert _postgresql_clusters.data_versions(str(tmp_path / "postgresql/17/labtrack")) == []


def test_data_of_other_versions_is_found_beside(tmp_path: Path) -> None:
    for version, name in (("15", "labtrack"), ("16", "other"), ("17", "labtrack.new")):
        place = tmp_path / version / name
        place.mkdir(parents=True)
        (place / "PG_VERSION").write_text(f"{version}\n")
    assert _postgresql_clusters.data_versions(str(tmp_path / "17" / "labtrack")) == ["15"]
