# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases of MLflow: what counts as installed, what an interruption leaves, what is removed."""

from __future__ import annotations

import fcntl
import gzip
import os
from pathlib import Path

import pytest
from ansible_collections.labtrack.mlflow.plugins.module_utils import _mlflow_release as release


@pytest.fixture
def commands():
    return []


@pytest.fixture
def installer(tmp_path, commands):
    """An installer whose commands make the files that the real ones would make."""

    def run(command, environment):
        commands.append(command)
        if command[1:3] == ["-m", "venv"]:
            folder = Path(command[-1]) / "bin"
            folder.mkdir(parents=True)
            (folder / "uv").write_text("#!/bin/sh\n")
            (folder / "uv").chmod(0o755)
        elif command[1] == "venv":
            folder = Path(command[-1])
            (folder / "lib" / "python3.13" / "site-packages" / "mlflow" / "server" / "js" / "build").mkdir(parents=True)
            (folder / "lib" / "python3.13" / "site-packages" / "mlflow" / "server" / "js" / "build" / "index.html").write_text("x")
            (folder / "bin").mkdir()
            system = tmp_path / "python3.13"
            system.write_text("")
            (folder / "bin" / "python").symlink_to(system)

    (tmp_path / "lock.txt").write_text("mlflow==1 --hash=sha256:aa\n")
    return release.Installer(run, str(tmp_path / "releases"), uv_dir=str(tmp_path / "uv" / "environment"), index_url="https://index.lab.example/simple")


def install(installer, tmp_path, name="1-aa"):
    installer.install_uv(str(tmp_path / "lock.txt"))
    return installer.install(name, str(tmp_path / "lock.txt"))


def test_installs_once(installer, commands, tmp_path):
    assert install(installer, tmp_path)
    count = len(commands)
    assert not install(installer, tmp_path)
    assert len(commands) == count
    assert (tmp_path / "releases" / "1-aa" / "static" / "index.html").is_file()
    assert release.complete_releases(tmp_path / "releases") == ["1-aa"]


def test_only_hashed_wheels_are_accepted(installer, commands, tmp_path):
    install(installer, tmp_path)
    installing = [command for command in commands if "install" in command]
    assert len(installing) == 2
    for command in installing:
        assert "--require-hashes" in command
        assert command[command.index("--only-binary") + 1] == ":all:"
        assert command[command.index("--index-url") + 1] == "https://index.lab.example/simple"


def test_a_wheelhouse_needs_no_index(installer):
    installer.wheelhouse_dir = "/srv/wheels"
    assert installer.sources()[-3:] == ["--no-index", "--find-links", "/srv/wheels"]


def test_an_interrupted_installation_does_not_count(installer, tmp_path):
    install(installer, tmp_path, "0-aa")

    def interrupted(command, environment):
        if "pip" in command:
            raise KeyboardInterrupt
        working(command, environment)

    working, installer.run = installer.run, interrupted
    with pytest.raises(KeyboardInterrupt):
        installer.install("1-aa", str(tmp_path / "lock.txt"))
    assert release.complete_releases(tmp_path / "releases") == ["0-aa"]
    installer.run = working
    assert installer.install("1-aa", str(tmp_path / "lock.txt"))
    assert sorted(os.listdir(tmp_path / "releases")) == ["0-aa", "1-aa"]


def test_a_release_is_on_the_disk_before_it_counts(installer, tmp_path, monkeypatch):
    found = []
    monkeypatch.setattr(os, "sync", lambda: found.append(release.complete_releases(tmp_path / "releases")))
    install(installer, tmp_path, "1-aa")
    assert found[-1] == []
    assert release.complete_releases(tmp_path / "releases") == ["1-aa"]


def test_a_release_of_a_python_that_has_left_is_installed_again(installer, tmp_path):
    install(installer, tmp_path)
    (tmp_path / "python3.13").rename(tmp_path / "python3.14")
    assert not release.is_complete(tmp_path / "releases" / "1-aa")
    assert install(installer, tmp_path)
    assert release.is_complete(tmp_path / "releases" / "1-aa")
    assert os.listdir(tmp_path / "releases") == ["1-aa"]


def test_programs_are_part_of_the_release(installer, tmp_path):
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "gunicorn.conf.py").write_text("")
    installer.install_uv(str(tmp_path / "lock.txt"))
    installer.install("1-aa", str(tmp_path / "lock.txt"), str(tmp_path / "server"))
    assert (tmp_path / "releases" / "1-aa" / "server" / "gunicorn.conf.py").is_file()


@pytest.mark.parametrize(
    ("keep", "used", "expected"),
    [(1, set(), ["b", "c"]), (2, set(), ["c"]), (1, {"c"}, ["b"]), (5, set(), [])],
)
def test_superseded_releases(keep, used, expected):
    assert release.superseded(["a", "b", "c"], keep, used) == expected


def test_prune_keeps_what_runs(installer, tmp_path):
    for number, name in enumerate(["1-aa", "2-aa", "3-aa"]):
        install(installer, tmp_path, name)
        os.utime(tmp_path / "releases" / name, (number, number))
    assert installer.prune(1, {"3-aa", "1-aa"}) == ["2-aa"]
    assert sorted(os.listdir(tmp_path / "releases")) == ["1-aa", "3-aa"]


def test_only_large_texts_get_a_compressed_copy(tmp_path):
    for name, size in {"main.js": 2000, "deep/style.css": 2000, "small.js": 10, "logo.png": 2000, "main.js.map.txt": 2000}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * size)
    release.compress(tmp_path)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.gz")) == ["deep/style.css.gz", "main.js.gz"]
    assert gzip.decompress((tmp_path / "main.js.gz").read_bytes()) == b"x" * 2000


def test_one_installation_at_a_time(installer):
    """The second one does not get the lock that the first one holds."""
    with installer.alone(), (installer.uv_dir.parent / "lock").open("w") as second, pytest.raises(BlockingIOError):
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with (installer.uv_dir.parent / "lock").open("w") as later:
        fcntl.flock(later, fcntl.LOCK_EX | fcntl.LOCK_NB)
