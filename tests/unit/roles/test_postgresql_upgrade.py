# SPDX-License-Identifier: GPL-3.0-or-later
"""upgrade_postgresql.yml's program, where it needs no server: what differs, which version serves after whatever was killed, who waits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from roles.programs import imported

PROGRAM = Path(__file__).resolve().parents[3] / "roles/postgresql/files/upgrade"
NAMES = ["system", "server", "catalogue", "journal", "switch", "back"]


@pytest.fixture
def parts(monkeypatch):
    """The program's modules, under their own names for this test only."""
    yield from imported(monkeypatch, PROGRAM, NAMES)


@pytest.fixture
def said(parts, monkeypatch):
    """What systemd was asked, instead of systemd."""
    found: list[str] = []

    def systemctl(*words: str) -> str:
        found.append(" ".join(words))
        return ""

    for name in ("system", "server", "switch", "back"):
        monkeypatch.setattr(parts[name], "systemctl", systemctl)
    return found


@pytest.fixture
def upgrade(parts, said, tmp_path, monkeypatch):
    """An upgrade from 15 to 17 in a directory; both clusters answer."""
    request = {
        "id": "t", "from": 15, "to": 17, "old_data": str(tmp_path / "15/labtrack"), "new_data": str(tmp_path / "17/labtrack"), "port": 5432,
        "clients": [], "lock": str(tmp_path / "lock"), "locks": [], "jobs": 1, "start_seconds": 1, "confirmed": False, "packages": [], "config": {},
    }  # fmt: skip
    found = parts["switch"].Upgrade(request, tmp_path)
    for version, cluster in (("15", found.old), ("17", found.new)):
        cluster.config = tmp_path / f"etc{version}"
        cluster.data.mkdir(parents=True)
    found.old.config.mkdir()
    monkeypatch.setattr(parts["server"].Cluster, "answers", lambda _self: True)
    monkeypatch.setattr(parts["switch"], "state", lambda _unit: {"ActiveState": "active"})
    monkeypatch.setattr(parts["back"], "Upgrade", lambda _request, _folder: found)
    monkeypatch.setattr(parts["back"], "rename", lambda source, target: source.rename(target))
    return found


def test_what_is_the_same_is_no_difference(parts):
    one = {"mlflowdb": {"tables": {"runs": 3}, "indexes": {"a": ["runs", True]}, "extensions": ["plpgsql"]}}
    assert parts["catalogue"].differences(one, json.loads(json.dumps(one))) == []


@pytest.mark.parametrize(
    ("kind", "after", "words"),
    [
        ("tables", {"runs": 2}, "tables 'runs' was 3, is 2"),
        ("tables", {"runs": 3, "more": 1}, "'more' was None, is 1"),
        ("indexes", {}, "indexes 'a' was"),
        ("indexes", {"a": ["runs", True, False, False, 1]}, "is ['runs', True, False, False, 1]"),
        ("extensions", ["pg_stat_statements", "plpgsql"], "extensions were"),
    ],
)
def test_each_kind_of_difference_is_said(parts, kind, after, words):
    before = {"mlflowdb": {"tables": {"runs": 3}, "indexes": {"a": ["runs", True, False, True, 1]}, "extensions": ["plpgsql"]}}
    found = parts["catalogue"].differences(before, {"mlflowdb": {**before["mlflowdb"], kind: after}})
    assert len(found) == 1 and words in found[0] and found[0].startswith("mlflowdb: ")


def test_a_database_that_is_missing_differs(parts):
    assert parts["catalogue"].differences({"a": {"tables": {"x": 1}}}, {})


def test_what_was_written_since_counts_what_was_replaced(parts):
    answers = {"json": '{"tables": ["public.runs"]}', "xmin": "4", "count": "9", "datname": "mlflowdb"}
    catalogue = parts["catalogue"]

    def ask(query, _database="postgres"):
        return answers["datname" if "datname" in query else "json" if "json" in query else "xmin" if "xmin" in query else "count"]

    found = catalogue.written_since(ask, {"mlflowdb": {"tables": {"public.runs": 7}}}, 100)
    assert found == {"mlflowdb.public.runs": {"written": 4, "gone": 2}}


def test_the_journal_is_there_only_while_something_is_under_way(parts, tmp_path):
    journal = parts["journal"].Journal(tmp_path)
    journal.enter("copy", kind="upgrade")
    assert parts["journal"].Journal(tmp_path).step == "copy" and parts["journal"].Journal(tmp_path).data["kind"] == "upgrade"
    journal.end()
    assert parts["journal"].Journal(tmp_path).step == "" and not (tmp_path / "journal.json").exists()


@pytest.mark.parametrize("boot", [False, True], ids=["killed", "powered_off"])
@pytest.mark.parametrize("step", ["hold", "stop", "copy", "check", "place"])
def test_before_the_new_one_starts_the_old_one_serves(parts, upgrade, said, tmp_path, step, boot):
    if step == "place":
        upgrade.new.config.mkdir()
    upgrade.journal.enter(step, request=upgrade.request, kind="upgrade", begun="")
    upgrade.staged.mkdir(parents=True)
    assert "15" in parts["back"].recover(tmp_path, boot)
    assert any(each.startswith("start") and "15-labtrack" in each for each in said)
    assert not any(each.startswith("start") and "17-labtrack" in each for each in said)
    assert upgrade.old.config.joinpath("start.conf").read_text() == "auto\n"
    assert not upgrade.new.data.exists() and not upgrade.staged.exists() and not upgrade.new.config.exists() and upgrade.old.data.exists()
    assert parts["journal"].Journal(tmp_path).step == ""


@pytest.mark.parametrize("boot", [False, True], ids=["killed", "powered_off"])
def test_from_its_start_on_the_new_one_serves(parts, upgrade, said, tmp_path, boot):
    """A client may have been let in: going back would lose what it wrote."""
    upgrade.new.config.mkdir()
    upgrade.journal.enter("start", request=upgrade.request, kind="upgrade", begun="now", found={"snapshot": {}, "mark": 1})
    assert "17" in parts["back"].recover(tmp_path, boot)
    assert any(each.startswith("start") and "17-labtrack" in each for each in said)
    assert upgrade.old.config.joinpath("start.conf").read_text() == "manual\n" and upgrade.new.config.joinpath("start.conf").read_text() == "auto\n"
    assert upgrade.new.data.exists() and upgrade.old.data.exists()
    record = parts["journal"].read(tmp_path / "record.json")
    assert record["state"] == "switched" and record["backed_up"] is False


@pytest.mark.parametrize("boot", [False, True], ids=["killed", "powered_off"])
def test_a_rollback_that_has_begun_to_move_is_finished(parts, upgrade, tmp_path, boot):
    upgrade.new.config.mkdir()
    kept = tmp_path / "17/labtrack.rolled_back_t"
    upgrade.journal.enter("place", request=upgrade.request, kind="rollback", begun="", kept=str(kept))
    parts["back"].recover(tmp_path, boot)
    assert kept.exists() and not upgrade.new.data.exists() and not upgrade.new.config.exists()
    assert upgrade.old.config.joinpath("start.conf").read_text() == "auto\n"
    assert parts["journal"].read(tmp_path / "record.json")["state"] == "rolled_back"


@pytest.mark.parametrize("boot", [False, True], ids=["killed", "powered_off"])
def test_the_cluster_of_half_installed_packages_stays(parts, upgrade, tmp_path, boot):
    """There is one cluster only: old and new are the same."""
    upgrade.new = upgrade.old
    upgrade.journal.enter("packages", request=upgrade.request, kind="minor", begun="")
    assert "repeat the playbook" in parts["back"].recover(tmp_path, boot)
    assert upgrade.old.config.exists() and upgrade.old.data.exists() and parts["journal"].Journal(tmp_path).step == ""


def test_what_is_removed_is_what_does_not_serve(parts, upgrade, said, tmp_path, monkeypatch):
    for name in ("run", "of_record"):
        monkeypatch.setattr(parts["back"], name, lambda *_words: (upgrade, {}))
    aside = tmp_path / "17/labtrack.rolled_back_x"
    aside.mkdir()
    upgrade.journal.record(state="switched", old_data=str(upgrade.old.data))
    parts["back"].remove(upgrade.request, tmp_path)
    assert not upgrade.old.data.exists() and not aside.exists() and upgrade.new.data.exists()
    assert parts["journal"].read(tmp_path / "record.json")["state"] == "removed"


def test_nothing_is_done_where_nothing_was_under_way(parts, said, tmp_path):
    assert parts["back"].recover(tmp_path) == "nothing was under way" and said == []


def test_without_consent_nothing_is_lost(parts, monkeypatch, tmp_path):
    monkeypatch.setattr(parts["back"], "loss", lambda _request, _folder: {"tables": {"mlflowdb.public.runs": {"written": 1, "gone": 0}}})
    with pytest.raises(parts["system"].UpgradeError, match="upgrade_confirm"):
        parts["back"].agreed({"confirmed": False}, tmp_path)
    assert parts["back"].agreed({"confirmed": True}, tmp_path)


def test_no_way_back_without_an_upgrade(parts, tmp_path):
    with pytest.raises(parts["system"].UpgradeError, match="none was made"):
        parts["back"].loss({}, tmp_path)


def test_what_is_there_already_is_not_overwritten(parts, upgrade):
    for cluster in (upgrade.old, upgrade.new):
        cluster.programs = upgrade.folder / "bin"
    (upgrade.old.data / "PG_VERSION").touch()
    upgrade.old.programs.mkdir()
    (upgrade.old.programs / "pg_upgrade").touch()
    with pytest.raises(parts["system"].UpgradeError, match="is there already"):
        upgrade.check()


def test_clients_wait_as_long_as_they_are_held_and_no_longer(parts, said, tmp_path, monkeypatch):
    system = parts["system"]
    monkeypatch.setattr(system, "state", lambda unit: {"ActiveState": "active", "SubState": "condition", "LoadState": "not-found"})
    monkeypatch.setattr(system, "run", lambda *_words, **_more: "")
    clients = system.Clients(["labtrack-mlflow-main.service"], str(tmp_path / "run/lock"), str(tmp_path / "units"))
    drop_in = clients.drop_in("labtrack-mlflow-main.service")
    with clients.held():
        text = drop_in.read_text()
        assert f"ExecCondition=+/usr/bin/flock --shared {tmp_path / 'run/lock'} /bin/true" in text and "TimeoutStartSec=infinity" in text
    assert not drop_in.exists() and clients.served == ["labtrack-mlflow-main.service"]
    assert "restart --no-block labtrack-mlflow-main.service" in said
