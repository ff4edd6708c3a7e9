# SPDX-License-Identifier: GPL-3.0-or-later
"""labtrack_files: nobody reads half a file, also after a power-off; and one place that does it."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import labtrack_files
import pytest

ROLES = Path(__file__).resolve().parents[3] / "roles"
# these have none of host_base's programs: a certificate's key is bytes with a group, the upgrade's parts are sent to the machine as they are
ELSEWHERE = {"certificate", "tracking_server"}


def test_what_is_written_is_there_with_its_permissions_and_nothing_else(tmp_path):
    path = tmp_path / "a" / "b" / "file"
    labtrack_files.write(path, "ä\n", 0o600)
    labtrack_files.write(path, "ö\n", 0o640)
    assert path.read_text(encoding="utf-8") == "ö\n" and stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(path.parent) == ["file"]


def test_the_order_survives_a_power_off(tmp_path, monkeypatch):
    """The content is on the disk before the name is, and the name before the program goes on."""
    done = []

    def fsync(handle):
        kind = "directory" if stat.S_ISDIR(os.fstat(handle).st_mode) else Path(os.readlink(f"/proc/self/fd/{handle}")).read_text(encoding="utf-8")
        done.append(f"fsync {kind}")

    replace = os.replace
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", lambda source, target: (done.append("rename"), replace(source, target)))
    labtrack_files.write(tmp_path / "file", "text")
    assert done == ["fsync text", "rename", "fsync directory"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failure_leaves_the_earlier_file_and_no_rest(tmp_path, monkeypatch, call):
    path = tmp_path / "file"
    path.write_text("earlier", encoding="utf-8")

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space"):
        labtrack_files.write(path, "new")
    assert path.read_text(encoding="utf-8") == "earlier" and os.listdir(tmp_path) == ["file"]


def test_environment_files_are_read_as_systemd_does():
    text = '# comment\nA="x \\"y\\" \\\\z"\nB=plain\n\nC=""\nnot an assignment\n'
    assert labtrack_files.environment_of(text) == {"A": 'x "y" \\z', "B": "plain", "C": ""}


def test_no_role_writes_it_out_again():
    found = [path for path in ROLES.glob("*/files/**/*.py") if path.parts[len(ROLES.parts)] not in ELSEWHERE]
    assert len(found) > 20
    again = [path.name for path in found if re.search(r"mkstemp|ASSIGNMENT =", path.read_text(encoding="utf-8"))]
    assert again == ["labtrack_files.py"]


def test_who_imports_it_looks_where_host_base_puts_it():
    for path in ROLES.glob("*/files/**/*.py"):
        text = path.read_text(encoding="utf-8")
        if "from labtrack_files import" in text and path.parent != ROLES / "host_base/files":
            assert 'sys.path.append("/usr/local/lib/labtrack")\n\nfrom labtrack_files' in text, path
