# SPDX-License-Identifier: GPL-3.0-or-later
"""config_files: what is written, what is kept, what is put back, what counts as pending."""

from __future__ import annotations

import os
import stat

import pytest
from ansible_collections.labtrack.mlflow.plugins.module_utils._config_files import (
    Attributes,
    ConfigFilesError,
    File,
    Record,
    digest,
    read,
)
from ansible_collections.labtrack.mlflow.plugins.module_utils._config_plan import Plan

MODE = Attributes(mode=0o640)


@pytest.fixture
def record(tmp_path):
    return Record(str(tmp_path / "records"), "web")


def file(tmp_path, name="a.conf", content="one\n", **more):
    return File(str(tmp_path / name), MODE, content, **more)


def test_writes_with_the_mode_and_reports_the_path(tmp_path, record):
    plan = Plan(record)
    plan.files([file(tmp_path)])
    assert (tmp_path / "a.conf").read_text() == "one\n"
    assert stat.S_IMODE((tmp_path / "a.conf").stat().st_mode) == 0o640
    assert plan.changed == [str(tmp_path / "a.conf")]


def test_check_mode_predicts_the_same_and_writes_nothing(tmp_path, record):
    plan = Plan(record, check=True)
    plan.directories([(str(tmp_path / "d"), MODE)])
    plan.files([file(tmp_path), File(str(tmp_path / "b"), Attributes("nobody-of-that-name", None, 0o600), "x")])
    plan.links([(str(tmp_path / "l"), "a.conf")])
    assert plan.finish({})
    assert [os.path.basename(p) for p in plan.changed] == ["d", "a.conf", "b", "l"]
    assert not list(tmp_path.iterdir())


def test_second_run_changes_nothing(tmp_path, record):
    for expected in (1, 0):
        plan = Plan(record)
        plan.files([file(tmp_path)])
        assert len(plan.changed) == expected


def test_a_wrong_mode_alone_is_repaired(tmp_path, record):
    Plan(record).files([file(tmp_path)])
    (tmp_path / "a.conf").chmod(0o777)
    plan = Plan(record)
    plan.files([file(tmp_path)])
    assert plan.changed and stat.S_IMODE((tmp_path / "a.conf").stat().st_mode) == 0o640


def test_generated_secret_is_written_once(tmp_path, record):
    secret = File(str(tmp_path / "key"), MODE, generate=43)
    Plan(record).files([secret])
    first = (tmp_path / "key").read_text()
    assert len(first.strip()) == 43
    Plan(record).files([secret])
    assert (tmp_path / "key").read_text() == first


def test_force_false_keeps_what_is_there(tmp_path, record):
    (tmp_path / "a.conf").write_text("mine")
    Plan(record).files([file(tmp_path, force=False)])
    assert (tmp_path / "a.conf").read_text() == "mine"


def test_secrets_are_in_no_diff(tmp_path, record):
    plan = Plan(record)
    plan.files([file(tmp_path, content="CANARY", secret=True), File(str(tmp_path / "g"), MODE, generate=20)])
    assert "CANARY" not in str(plan.diff) and (tmp_path / "g").read_text().strip() not in str(plan.diff)


def test_no_file_is_replaced_when_one_is_refused(tmp_path, record):
    (tmp_path / "a.conf").write_text("old")
    with pytest.raises(ConfigFilesError, match="refused"):
        Plan(record).files([file(tmp_path), file(tmp_path, "b.conf", "bad\n", validate="grep -q good %s")])
    assert (tmp_path / "a.conf").read_text() == "old"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.conf"]


def test_a_common_check_that_fails_puts_everything_back(tmp_path, record):
    (tmp_path / "a.conf").write_text("old")
    with pytest.raises(ConfigFilesError, match="'false'"):
        Plan(record).files([file(tmp_path), file(tmp_path, "b.conf")], validate="false")
    assert (tmp_path / "a.conf").read_text() == "old"
    assert not (tmp_path / "b.conf").exists()


def test_pending_until_applied_also_over_an_interrupted_run(record):
    assert Plan(record).finish({"a": b"1"})
    again = Record(os.path.dirname(record.path), "web")
    assert Plan(again).finish({"a": b"1"}), "nobody has restarted the service since"
    assert again.apply(check=True)
    assert again.apply(check=False)
    assert not again.apply(check=False)
    assert not Plan(Record(os.path.dirname(record.path), "web")).finish({"a": b"1"})
    assert Plan(again).finish({"a": b"2"})


def test_the_way_back_from_a_configuration_that_failed_is_pending(record):
    Plan(record).finish({"a": b"good"})
    record.apply(check=False)
    assert Plan(record).finish({"a": b"bad"}), "the service is started with it, and fails"
    assert Plan(record).finish({"a": b"good"}), "it has to be started with this again"


def test_the_record_is_for_root_alone(record):
    Plan(record).finish({})
    assert stat.S_IMODE(os.stat(record.path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(record.path)).st_mode) == 0o700


@pytest.mark.parametrize("left", ["", "{", '{"current": "a', "[]", "\0\0\0"])
def test_a_record_that_a_power_off_left_broken_counts_as_none(tmp_path, record, left):
    record.save(current="a", applied="a")
    (tmp_path / "records" / "web.json").write_text(left)
    again = Record(str(tmp_path / "records"), "web")
    assert again.data == {}
    assert Plan(again).finish({"/a": b"1"})


def test_content_is_on_the_disk_before_it_has_its_name(tmp_path, record, monkeypatch):
    events = []
    real_sync, real_replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (events.append(("sync", os.readlink(f"/proc/self/fd/{handle}"))), real_sync(handle))[1])
    monkeypatch.setattr(os, "replace", lambda source, target: (events.append(("name", target)), real_replace(source, target))[1])
    Plan(record).files([file(tmp_path)])
    kinds = [kind for kind, _path in events]
    assert kinds == ["sync", "name", "sync"]
    assert events[0][1].endswith(".new") and events[2][1] == str(tmp_path)


def test_the_directory_of_a_link_is_made(tmp_path, record):
    link = tmp_path / "apps" / "dev" / "app"
    checked = Plan(record, check=True)
    checked.links([(str(link), "/srv/app")])
    assert checked.changed == [str(link)] and not (tmp_path / "apps").exists()
    Plan(record).links([(str(link), "/srv/app")])
    assert os.readlink(link) == "/srv/app"


def test_link_is_moved_but_never_replaces_a_file(tmp_path, record):
    link = str(tmp_path / "current")
    Plan(record).links([(link, "r1")])
    Plan(record).links([(link, "r2")])
    assert os.readlink(link) == "r2"
    (tmp_path / "real").write_text("x")
    with pytest.raises(ConfigFilesError, match="symbolic link"):
        Plan(record).links([(str(tmp_path / "real"), "r1")])


def test_absent_removes_files_and_refuses_directories(tmp_path, record):
    (tmp_path / "f").write_text("x")
    Plan(record).absent([str(tmp_path / "f"), str(tmp_path / "none")])
    assert not (tmp_path / "f").exists()
    with pytest.raises(ConfigFilesError, match="directory"):
        Plan(record).absent([str(tmp_path)])


def test_unknown_owner_is_an_error_that_names_it(tmp_path, record):
    with pytest.raises(ConfigFilesError, match="nobody-of-that-name"):
        Plan(record).files([File(str(tmp_path / "x"), Attributes("nobody-of-that-name"), "x")])


def test_digest_tells_absent_from_empty():
    assert digest({"a": None}) != digest({"a": b""})
    assert read("/nonexistent/x") is None
