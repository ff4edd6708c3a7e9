# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of labtrack-backup that need no server: what differs, what is put back, which backup fits, what a person is told."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
import yaml
from roles.programs import imported

PROGRAM = Path(__file__).resolve().parents[3] / "roles/backup/files/backup"
NAMES = ["settings", "cluster", "bundle", "recovery", "dump", "proof", "replace", "status"]


@pytest.fixture
def parts(monkeypatch):
    """The program's modules, under their own names for this test only."""
    yield from imported(monkeypatch, PROGRAM, NAMES)


def databases(**tables):
    return {"databases": {"mlflowdb": tables}}


def test_a_proof_sees_rows_checksums_and_tables_that_differ(parts):
    compare = parts["proof"].compare
    source = databases(runs=[3, "17"], params=[1, "5"])
    assert compare(source, databases(runs=[3, "17"], params=[1, "5"])) == []
    assert "runs has 3 rows at the source and 2" in compare(source, databases(runs=[2, "17"], params=[1, "5"]))[0]
    assert len(compare(source, databases(runs=[3, "18"], params=[1, "5"]))) == 1
    assert len(compare(source, databases(runs=[3, "17"]))) == 1
    assert len(compare(source, databases(runs=[3, "17"], params=[1, "5"], more=[0, "0"]))) == 1
    assert len(compare(source, {"databases": {}})) == 2


def test_files_that_differ_from_their_backup_although_they_are_older(parts, tmp_path):
    live, copy = tmp_path / "live", tmp_path / "copy"
    inner = copy / str(live).lstrip("/")
    for base in (live, inner):
        base.mkdir(parents=True)
        for name in ("same", "damaged", "newer"):
            (base / name).write_text(name, encoding="utf-8")
            (base / name).chmod(0o600)
    (inner / "damaged").write_text("other", encoding="utf-8")
    (inner / "newer").write_text("before", encoding="utf-8")
    taken = time.time() + 1000
    assert parts["bundle"].differences(copy, taken) == (3, [str(live / "damaged"), str(live / "newer")])
    assert parts["bundle"].differences(copy, time.time() - 1000) == (3, []), "all were changed after the backup"


def test_files_are_put_back_and_what_they_replace_is_kept(parts, tmp_path):
    unpacked, kept, live = tmp_path / "unpacked", tmp_path / "kept", tmp_path / "live"
    inner = unpacked / str(live).lstrip("/")
    (inner / "deep").mkdir(parents=True)
    (inner / "deep").chmod(0o750)
    for name, content in {"changed": "backup", "same": "same", "deep/lost": "secret"}.items():
        (inner / name).write_text(content, encoding="utf-8")
        (inner / name).chmod(0o640)
    live.mkdir()
    (live / "changed").write_text("of today", encoding="utf-8")
    (live / "same").write_text("same", encoding="utf-8")
    (live / "not in the backup").write_text("stays", encoding="utf-8")
    owners = parts["bundle"].Owners(tmp_path / "no owners")
    owners.apply = lambda *_arguments: None
    counts = parts["bundle"].put_back(unpacked, kept, owners)
    assert counts == {"restored": 2, "same": 1, "replaced": 1}
    assert (live / "changed").read_text(encoding="utf-8") == "backup"
    assert (live / "deep/lost").stat().st_mode & 0o777 == 0o640 and (live / "deep").stat().st_mode & 0o777 == 0o750
    assert (live / "not in the backup").exists()
    assert (kept / str(live / "changed").lstrip("/")).read_text(encoding="utf-8") == "of today"


def test_what_is_no_longer_a_part_of_the_backup_is_not_restored(parts, tmp_path):
    """An older backup holds the mark of a volume that was lost with its machine."""
    inner = tmp_path / "unpacked/var/lib/labtrack"
    (inner / "mlflow").mkdir(parents=True)
    for name in (".labtrack-data", "mlflow/key"):
        (inner / name).write_text("backup", encoding="utf-8")
    parts["bundle"].leave_out({"configuration_excludes": ["/var/lib/labtrack/.labtrack-data"]}, tmp_path / "unpacked")
    assert [str(path) for path in parts["bundle"].files_of(tmp_path / "unpacked")] == ["var/lib/labtrack/mlflow/key"]


def test_the_mark_of_the_data_volume_is_not_backed_up():
    roles = PROGRAM.parents[2]
    mark, excludes = (
        yaml.safe_load((roles / role / "vars/main.yml").read_text(encoding="utf-8"))[name]
        for role, name in (("host_base", "__host_base_marker_file"), ("backup", "__backup_configuration_excludes"))
    )
    assert f"backup_state_dir ~ '/{Path(mark).name}'" in excludes


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1970-01-01T00:01:00.5Z", 60.5), ("1970-01-01T01:00:00.123456789+01:00", 0.123456), ("1970-01-01T00:00:07Z", 7.0)],
)
def test_times_of_restic(parts, text, seconds):
    assert parts["proof"].when(text) == pytest.approx(seconds)


def backups(*stops):
    return {"backup": [{"label": f"at {stop}", "timestamp": {"stop": stop}} for stop in stops]}


def test_a_point_in_time_begins_with_the_newest_backup_before_it(parts, monkeypatch):
    recovery = parts["recovery"]
    monkeypatch.setattr(recovery.cluster, "info", lambda _config: backups(100, 200, 300))
    config = {"repository": "s3:x"}
    assert recovery.choose(config, "")["label"] == "at 300"
    assert recovery.choose(config, "1970-01-01 00:04:00+00:00")["label"] == "at 200"
    for wrong, words in (
        ("1970-01-01 00:01:00+00:00", "no backup that ended before"),
        ("1970-01-01 00:04:00", "no zone"),
        ("2999-01-01 00:00:00+00:00", "future"),
    ):
        with pytest.raises(parts["settings"].BackupError, match=words):
            recovery.choose(config, wrong)


def test_another_clusters_repository_is_never_used(parts, monkeypatch):
    cluster, config = parts["cluster"], {"repository": "s3:x", "data_dir": "/nowhere"}
    monkeypatch.setattr(cluster, "system_id", lambda _config: "7")
    called = []
    monkeypatch.setattr(cluster, "pgbackrest", lambda *arguments: called.append(arguments[1]))
    monkeypatch.setattr(cluster, "info", lambda _config: {"db": [{"system-id": 8}], "backup": [{"label": "20261130F"}]})
    with pytest.raises(parts["settings"].BackupError, match=r"holds the backups of another cluster .system id 8, newest backup 20261130F"):
        cluster.prepare(config)
    assert called == []
    monkeypatch.setattr(cluster, "info", lambda _config: {"db": [{"system-id": 6}, {"system-id": 7}]})
    assert cluster.prepare(config) is False
    monkeypatch.setattr(cluster, "info", lambda _config: {})
    assert cluster.prepare(config) is True
    assert called == ["stanza-create"]


def test_a_finished_restore_is_not_made_twice_until_the_site_was_opened(parts, tmp_path):
    data = tmp_path / "postgresql/17/labtrack"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("17\n", encoding="utf-8")
    config = {"data_dir": str(data), "state_dir": str(tmp_path), "stanza": "labtrack"}
    restore = parts["replace"].Restore(config, "replace", "", "")
    assert restore.finished_before() == {}
    found = {"request": restore.request, "opened": False, "rows": 5}
    (tmp_path / "last_restore.json").write_text(json.dumps(found), encoding="utf-8")
    assert restore.finished_before()["rows"] == 5
    assert parts["replace"].Restore(config, "replace", "2026-11-30 10:00:00+00:00", "").finished_before() == {}, "another time"
    parts["replace"].opened(config)
    assert restore.finished_before() == {}


def test_rows_of_a_dump_are_counted(parts):
    text = "SET x;\nCOPY public.runs (run_uuid) FROM stdin;\na\nCOPY b\n\\.\n\nCOPY public.tags (key) FROM stdin;\n\\.\n"
    assert parts["dump"]._rows(text) == {"public.runs": 2, "public.tags": 0}


def test_secrets_are_not_on_command_lines(parts, tmp_path, monkeypatch):
    """restic gets its key in its environment and its password from a file."""
    environment = tmp_path / "environment"
    environment.write_text("# comment\nAWS_ACCESS_KEY_ID=key\nAWS_SECRET_ACCESS_KEY=very=secret\n", encoding="utf-8")
    seen = {}

    def run(command, env, accepted):
        seen.update(command=command, env=env)
        return type("Done", (), {"stdout": "[]"})

    monkeypatch.setattr(parts["bundle"], "run", run)
    config = {"ca_file": "/ca", "environment_file": str(environment), "restic_repository": "s3:x", "passphrase_file": "/secret", "host": "h"}
    assert parts["bundle"].Repository(config).snapshots("configuration") == []
    assert seen["env"]["AWS_SECRET_ACCESS_KEY"] == "very=secret" and seen["env"]["RESTIC_PASSWORD_FILE"] == "/secret"
    assert "very=secret" not in " ".join(seen["command"])
    assert os.environ.get("AWS_SECRET_ACCESS_KEY") != "very=secret"
