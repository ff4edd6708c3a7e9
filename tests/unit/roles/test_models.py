# SPDX-License-Identifier: GPL-3.0-or-later
"""The program of role model_server: what it installs, what it remembers, when a version is at its end."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parents[3]
NAMES = ("deployment", "environments", "fetch", "labtrack_files", "record", "registry", "releases", "settings", "sync")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory):
    """Its files as they are on a machine."""
    folder = tmp_path_factory.mktemp("models")
    sources = {
        **{path.name: path for path in (ROOT / "roles" / "model_server" / "files" / "models").glob("*.py")},
        "releases.py": ROOT / "plugins" / "module_utils" / "_mlflow_release.py",
        "labtrack_files.py": ROOT / "roles" / "host_base" / "files" / "labtrack_files.py",
    }
    for name, source in sources.items():
        (folder / name).write_bytes(source.read_bytes())
    before = {name: sys.modules.pop(name) for name in NAMES if name in sys.modules}
    path = list(sys.path)
    sys.path.insert(0, str(folder))
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in NAMES})
    sys.path[:] = path
    for name in NAMES:
        sys.modules.pop(name, None)
    sys.modules.update(before)


def model_of(folder: Path, requirements: str, mlmodel: str = "mlflow_version: 3.17.2\n") -> Path:
    (folder / "requirements.txt").write_text(requirements, encoding="utf-8")
    (folder / "MLmodel").write_text(mlmodel, encoding="utf-8")
    return folder


def test_packages_of_the_index_are_installed(program, tmp_path):
    text = "# of the model\nmlflow==3.17.2\nscikit-learn >=1.5, <2  # why\nuvicorn[standard]~=0.30\npywin32; sys_platform == 'win32'\ntorch==2.9.0+cpu\n\n"
    found = program.environments.requirements(model_of(tmp_path, text))
    assert found == ["mlflow==3.17.2", "scikit-learn >=1.5, <2", "uvicorn[standard]~=0.30", "pywin32; sys_platform == 'win32'", "torch==2.9.0+cpu"]


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://packages.example.org",
        "-e .",
        "-r /etc/shadow",
        "./code/own.whl",
        "git+https://example.org/own.git",
        "own @ https://example.org/own.whl",
        "/root",
    ],
)
def test_addresses_files_and_options_are_refused(program, tmp_path, line):
    with pytest.raises(program.settings.ModelError, match="only packages of the index"):
        program.environments.requirements(model_of(tmp_path, f"mlflow==3.17.2\n{line}\n"))


def test_the_scoring_server_is_added_where_a_model_does_not_name_it(program, tmp_path):
    assert program.environments.requirements(model_of(tmp_path, "mlflow-helper==1\nnumpy\n")) == ["mlflow-helper==1", "numpy", "mlflow-skinny==3.17.2"]
    assert program.environments.requirements(model_of(tmp_path, "MLflow-skinny==3.15.2\n")) == ["MLflow-skinny==3.15.2"]


def test_another_python_is_named(program, tmp_path):
    logged = "flavors:\n  python_function:\n    python_version: 3.1.4\n"
    assert program.environments.other_python(model_of(tmp_path, "", logged)).startswith("it was logged with Python 3.1, and runs with 3.")
    assert program.environments.other_python(model_of(tmp_path, "", "flavors: {}\n")) == ""


def test_connections_count_also_when_nobody_has_accepted_them(program):
    table = (
        "Num       RefCount Protocol Flags    Type St Inode Path\n"
        "0000000000000000: 00000002 00000000 00010000 0001 01 100 /run/labtrack-models/a/1.sock\n"
        "0000000000000000: 00000003 00000000 00000000 0001 03 101 /run/labtrack-models/a/1.sock\n"
        "0000000000000000: 00000003 00000000 00000000 0001 02 102 /run/labtrack-models/a/1.sock\n"
        "0000000000000000: 00000003 00000000 00000000 0001 03 103 /run/labtrack-models/a/11.sock\n"
        "0000000000000000: 00000003 00000000 00000000 0001 03 104\n"
    )
    assert program.deployment.connections("/run/labtrack-models/a/1.sock", table) == 2
    assert program.deployment.connections("/run/labtrack-models/b/1.sock", table) == 0


def test_the_record_knows_the_way_back(program, tmp_path):
    record = program.record.Record.read(tmp_path)
    assert (record.serving(), record.before(1)) == (0, 0)
    for version in (1, 2, 3):
        record.note(version)
        record.point_to(f"/run/labtrack-models/a/{version}.sock")
    assert (record.serving(), record.before(3)) == (3, 2)
    record.note_return(3, 2)
    record.point_to("/run/labtrack-models/a/2.sock")
    again = program.record.Record.read(tmp_path)
    assert (again.serving(), again.refused, again.before(2)) == (2, 3, 1)
    again.note(3)
    assert again.before(3) == 2


def test_a_record_that_was_written_before_the_switch_does_not_lie(program, tmp_path):
    """Killed between the two: the link still says which one serves."""
    record = program.record.Record.read(tmp_path)
    for version in (1, 2):
        record.note(version)
        record.point_to(f"/run/labtrack-models/a/{version}.sock")
    record.note(3)
    found = program.record.Record.read(tmp_path)
    assert (found.serving(), found.before(2)) == (2, 1)


def test_a_version_that_failed_is_left_alone_for_an_hour(program, tmp_path, monkeypatch):
    record = program.record.Record.read(tmp_path)
    record.note_failure(3, "it does not start.")
    found = program.record.Record.read(tmp_path)
    assert (found.failed_lately(3), found.failed_lately(4)) == ("it does not start.", "")
    monkeypatch.setattr(program.record.time, "time", lambda: record.failed_at + 3601)
    assert found.failed_lately(3) == ""


def test_files_of_an_odd_name_are_refused(program, tmp_path):
    registry = program.registry.Registry(SimpleNamespace(socket="", credentials_file=tmp_path))
    registry._get = lambda _path, **_query: {"files": [{"path": "..", "is_dir": True}]}
    with pytest.raises(program.settings.ModelError, match="is none"):
        list(registry.files("1/models/m-1/artifacts"))
