# SPDX-License-Identifier: GPL-3.0-or-later
"""The upgrade program: journal, lock, schema, and what each interruption of a switch ends in. PostgreSQL and systemd are told here; the rest is
tested with real ones, in molecule/tracking_server_upgrade and molecule/upgrade."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from roles.programs import imported

FOLDER = Path(__file__).resolve().parents[3] / "roles/tracking_server/files/upgrade"
NAMES = ("catalogue", "cluster", "journal", "records", "rehearsal", "release", "switch", "units")
STEPS = ["stop", "close", "copy", "migrate", "check", "swap", "link", "start"]


@pytest.fixture
def program(monkeypatch):
    """The modules, imported as the program itself does."""
    for found in imported(monkeypatch, FOLDER, NAMES):
        yield type("Program", (), found)


class Died(BaseException):
    """SIGKILL: nothing of the program runs any more."""


class ToldCluster:
    """Databases by name: [open, content]."""

    def __init__(self, databases: dict[str, list]) -> None:
        self.found, self.written = databases, {}

    def wait(self, _seconds):
        pass

    def databases(self):
        return set(self.found)

    def close(self, *names):
        for name in names:
            self.found[name][0] = False

    def open(self, *names):
        for name in names:
            self.found[name][0] = True

    def drop(self, *names):
        for name in names:
            self.found.pop(name, None)

    def copy(self, source, target):
        self.found[target] = [True, self.found[source][1]]

    def swap(self, swaps):
        for swap in swaps:
            self.found[swap["outgoing"]] = [False, self.found.pop(swap["name"])[1]]
            self.found[swap["name"]] = [True, self.found.pop(swap["incoming"])[1]]

    def mark(self):
        return 1000

    def system(self):
        return "one"

    def rows(self, database, since=None):
        return {"runs": self.written.get(database, 0)} if since else {"runs": 10 + self.written.get(database, 0)}


class ToldService:
    """Does as it is told; dies with the program at a step."""

    def __init__(self, unit, gate):
        self.unit = unit

    def hold(self, seconds): ...

    def wait(self, seconds): ...

    def stop(self): ...

    def start(self): ...

    def forget(self): ...


@pytest.fixture
def stage(program, monkeypatch, tmp_path):
    """A machine with 3.16 in service, and a switch to 3.17 that can be interrupted at a step."""
    (tmp_path / "releases").mkdir()
    (tmp_path / "upgrade").mkdir()
    program.switch.point(str(tmp_path), "3.16.1-a")
    cluster = ToldCluster({"mlflowdb": [True, "3.16"], "mlflowauth": [True, "3.16"]})
    monkeypatch.setattr(program.switch, "Cluster", lambda *_arguments: cluster)
    monkeypatch.setattr(program.switch, "Service", ToldService)

    class ToldRelease:
        def __init__(self, request, name):
            self.name = name

        def administrator(self, write):
            return "admin", "secret"

    def told_migrate(_cluster, _release, names, _wanted):
        for name in names.values():
            cluster.found[name][1] = "3.17"
        return {"schema_extra": {}, "rows_changed": {}}

    monkeypatch.setattr(program.switch, "Release", ToldRelease)
    monkeypatch.setattr(program.switch, "migrate", told_migrate)
    request = {"admin": {}, "owner": "mlflowdb", "gate": "", "program_dir": str(tmp_path), "stop_seconds": 1, "start_seconds": 1}
    swaps = [{"name": name, "incoming": f"{name}_next", "outgoing": f"{name}_old"} for name in ("mlflowdb", "mlflowauth")]
    data = {"kind": "upgrade", "id": "old", "from": "3.16.1-a", "to": "3.17.2-b", "before": "mlflow", "after": "mlflow", "swaps": swaps, "request": request}

    class Stage:
        folder, databases, link = tmp_path / "upgrade", cluster, tmp_path / "current"

        def switch(self, die_at=None, fail_at=None):
            journal = program.journal.Journal(self.folder)
            journal.begin(data)
            switch = program.switch.Switch(request, journal, None, lambda _text: None)
            enter = switch.enter

            def enter_and(step, **more):
                enter(step, **more)
                if step == die_at:
                    switch.recover = lambda hold: "nothing runs any more"
                    raise Died
                if step == fail_at:
                    raise OSError("told to fail")

            switch.enter = enter_and
            return switch.run({"tracking": "mlflowdb_next", "auth": "mlflowauth_next"}, {"makes_administrator": False, "catalogues": {}})

        def recover(self, hold=False):
            journal = program.journal.Journal(self.folder)
            return program.switch.Switch(request, journal, None, lambda _text: None).recover(hold)

        def serves(self):
            found = {name: self.databases.found[name] for name in ("mlflowdb", "mlflowauth")}
            assert all(is_open for is_open, _content in found.values()), "a database that serves is closed"
            contents = {content for _open, content in found.values()}
            assert len(contents) == 1, "the two databases do not belong together"
            return contents.pop(), self.link.readlink().name.split("-")[0]

    return Stage()


def test_a_switch_keeps_what_was_before(stage):
    assert stage.switch() >= 0
    assert stage.serves() == ("3.17", "3.17.2")
    assert stage.databases.found["mlflowdb_old"] == [False, "3.16"]
    journal = json.loads((stage.folder / "journal.json").read_text())
    assert journal["step"] == "done" and "downtime_seconds" in journal


@pytest.mark.parametrize("step", STEPS)
def test_after_a_failure_the_old_version_serves(stage, step):
    with pytest.raises(OSError, match="told to fail"):
        stage.switch(fail_at=step)
    assert stage.serves() == ("3.16", "3.16.1")


@pytest.mark.parametrize("step", STEPS)
def test_after_a_kill_the_gate_brings_the_old_version_back(stage, step):
    with pytest.raises(Died):
        stage.switch(die_at=step)
    assert stage.recover() == "reverted"
    assert stage.serves() == ("3.16", "3.16.1")
    assert stage.recover() == "reverted", "a second recovery changes nothing"
    stage.switch()
    assert stage.serves() == ("3.17", "3.17.2"), "a repeat converges"


def test_what_the_new_version_has_acknowledged_is_not_taken_back(stage):
    with pytest.raises(Died):
        stage.switch(die_at="start")
    stage.databases.written["mlflowdb"] = 1
    assert stage.recover() == "done"
    assert stage.serves() == ("3.17", "3.17.2")
    assert stage.databases.found["mlflowdb_old"] == [False, "3.16"]


def test_rows_that_went_count_as_written(program):
    cluster = ToldCluster({})
    cluster.rows = lambda database, since=None: {"tags": 1 if since else 9, "runs": 0 if since else 5}
    found = program.switch.written_since(cluster, {"rows": {"mlflowdb": {"tags": 10, "runs": 6}}, "mark": 7})
    assert found == {"mlflowdb.tags": {"written": 1, "gone": 2}, "mlflowdb.runs": {"written": 0, "gone": 1}}
    cluster.rows = lambda database, since=None: {"runs": 0 if since else 6}
    assert program.switch.written_since(cluster, {"rows": {"mlflowdb": {"runs": 6}}, "mark": 7}) == {}


def test_a_lost_index_is_an_error_and_one_of_the_site_is_not(program):
    wanted = ["table metrics", "index metrics USING btree run_uuid"]
    assert program.catalogue.compare(wanted, [*wanted, "index metrics USING btree key"]) == ["index metrics USING btree key"]
    with pytest.raises(program.catalogue.SchemaError, match=r"1 parts of the schema are missing.*index metrics USING btree run_uuid"):
        program.catalogue.compare(wanted, ["table metrics"])


def test_a_restored_expression_is_the_same_one(program):
    fresh = "constraint runs CHECK (((status)::text = ANY ((ARRAY['FAILED'::character varying, 'KILLED'::character varying])::text[])))"
    restored = "constraint runs CHECK (((status)::text = ANY (ARRAY[('FAILED'::character varying)::text, ('KILLED'::character varying)::text])))"
    assert program.catalogue.plain(fresh) == program.catalogue.plain(restored)
    assert program.catalogue.plain(fresh) != program.catalogue.plain(fresh.replace("KILLED", "KILL"))


def test_precious_rows_must_not_shrink(program):
    assert program.catalogue.compare_rows({"runs": 5, "experiment_permissions": 4}, {"runs": 5, "roles": 2}) == {
        "experiment_permissions": [4, 0],
        "roles": [0, 2],
    }
    with pytest.raises(program.catalogue.SchemaError, match="metrics 5 -> 4"):
        program.catalogue.compare_rows({"metrics": 5}, {"metrics": 4})


@pytest.mark.parametrize(
    ("uri", "result"),
    [
        ("postgresql+psycopg2://mlflowdb@/mlflowdb?host=/var/run/postgresql&port=5432", "postgresql+psycopg2://mlflowdb@/x?host=/var/run/postgresql&port=5432"),
        ("postgresql+psycopg2://u:a%2Fb@/mlflowauth?host=db:5432", "postgresql+psycopg2://u:a%2Fb@/x?host=db:5432"),
        ("postgresql+psycopg2://u@db/mlflowauth", "postgresql+psycopg2://u@db/x"),
    ],
)
def test_another_database_of_the_same_server(program, uri, result):
    assert program.release.other_database(uri, "x") == result


def test_the_gate_waits_for_the_lock_or_for_the_start(program, tmp_path):
    lock, journal = program.journal.Lock(str(tmp_path / "lock")), program.journal.Journal(tmp_path)
    journal.begin({})
    found = []

    def wait():
        with lock.hold_unless(program.journal.Journal(tmp_path), "start") as held:
            found.append(held)

    with lock.hold():
        journal.enter("copy")
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(0.3)
        assert not found, "it has not waited"
        journal.enter("start")
        thread.join(5)
    assert found == [False]
    wait()
    assert found == [False, True]


def test_records_expire_when_there_are_enough_and_they_are_old(program, tmp_path):
    for name in ("20200101t000000", "20200102t000000", "20200103t000000"):
        swaps = [{"name": "mlflowdb", "outgoing": f"mlflowdb_{name}"}]
        program.records.save(tmp_path, {"id": name, "swaps": swaps})
    gone = []
    cluster = type("Told", (), {"drop": lambda self, *names: gone.extend(names)})()
    assert program.records.expire(tmp_path, cluster, keep=2, keep_days=40000) == []
    assert program.records.expire(tmp_path, cluster, keep=2, keep_days=30) == gone == ["mlflowdb_20200101t000000"]
    assert [record["id"] for record in program.records.load(tmp_path)] == ["20200103t000000", "20200102t000000"]
