# SPDX-License-Identifier: GPL-3.0-or-later
"""The comparison of references with objects, and what it is made of."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from roles.programs import imported

PROGRAMS = Path(__file__).resolve().parents[3] / "roles/retention/files/artifacts"
OLD = time.time() - 10 * 86400


@pytest.fixture
def programs(monkeypatch):
    """The worker's modules are imported as the worker does: by their plain names."""
    for found in imported(monkeypatch, PROGRAMS, ("places", "stores", "references", "manifest", "audit", "text")):
        yield type("Programs", (), found)


@pytest.mark.parametrize(
    ("root", "uri", "key"),
    [
        ("s3://lab", "mlflow-artifacts:/1/abc/artifacts", "1/abc/artifacts"),
        ("s3://lab/folder", "mlflow-artifacts:/1/abc/artifacts", "folder/1/abc/artifacts"),
        ("s3://lab", "mlflow-artifacts://mlflow.lab.example:5000/1/abc", "1/abc"),
        ("s3://lab/folder", "s3://lab/other/1", "other/1"),
        ("s3://lab", "s3://another/1/abc", None),
        ("s3://lab", "s3://lab", None),
        ("s3://lab", "s3://lab/1/a#b?c", "1/a#b?c"),
        ("s3://lab", "/srv/mlruns/1", None),
        ("s3://lab", "models:/m-123", None),
        ("s3://lab", "", None),
        ("s3://lab", "s3://lab/1/a\tb", None),
        ("/srv/artifacts", "mlflow-artifacts:/1/abc", "1/abc"),
        ("/srv/artifacts", "file:///srv/artifacts/1/a%20b", "1/a b"),
        ("/srv/artifacts", "/srv/artifacts/1", "1"),
        ("/srv/artifacts", "/srv/artifacts-2/1", None),
        ("file:///srv/artifacts", "file:///srv/artifacts/1", "1"),
    ],
)
def test_a_uri_means_a_key(programs, root, uri, key):
    assert programs.places.Root.parse(root).key(uri) == key


def test_a_place_that_is_none_is_refused(programs):
    with pytest.raises(programs.places.PlaceError, match="gs://lab"):
        programs.places.Root.parse("gs://lab/folder")


def test_files_come_in_the_order_of_a_bucket(programs, tmp_path):
    names = ["a/b", "a-b", "a.b/c", "a0", "b/c/d", "b/c.d", "ä/x"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text(name)
    store = programs.stores.open_store(programs.places.Root.parse(str(tmp_path)))
    listed = [item.key for item in store.items("", programs.stores.Totals())]
    assert listed == sorted(names, key=str.encode)
    assert [item.key for item in store.items("b/c", programs.stores.Totals())] == ["b/c.d", "b/c/d"]
    assert store.delete(["b/c/d", "b/c.d", "never"]) == {}
    assert not (tmp_path / "b").exists() and (tmp_path / "a0").exists()


def test_what_clients_note_is_expected(programs):
    noted = programs.references.noted_places
    history = json.dumps([{"artifact_path": "model"}, {"artifact_path": None}])
    assert list(noted("s3://lab/1/r/artifacts", f"mlflow.log-model.history {history}")) == ["s3://lab/1/r/artifacts/model/MLmodel"]
    assert list(noted("s3://l/1/r", 'mlflow.loggedArtifacts [{"path": "t.json", "type": "table"}]')) == ["s3://l/1/r/t.json"]
    assert list(noted("s3://l/1/r", "mlflow.loggedImages True")) == ["s3://l/1/r/images/"]
    assert list(noted("s3://l/1/r", "mlflow.log-model.history no JSON")) == []


class Site:
    """References and objects of a small site."""

    def __init__(self, programs, tmp_path):
        self.programs, self.tmp_path, self.rows = programs, tmp_path, []

    def refer(self, key, kind, identity="", experiment="", user="", expected=False):
        self.rows.append((key, json.dumps([kind, identity, experiment, user, expected])))

    def audit(self, objects, before=(), folder=None, root="s3://lab", **options):
        programs, path = self.programs, self.tmp_path / "references"
        path.write_text("".join(f"{key}\t{rest}\n" for key, rest in sorted(self.rows, key=lambda row: row[0].encode())))
        found = programs.references.Found(path, programs.references.Counter(json.loads(rest)[0] for _key, rest in self.rows), {})
        values = {"began": time.time(), "grace_seconds": 3600, "excluded": ["backup/"], "folder": folder, **options}
        work = programs.audit.Audit(programs.places.Root.parse(root), found, **values)
        item = programs.stores.Item
        now = [item(key, 10, "tag", OLD) if isinstance(key, str) else item(*key) for key in sorted(objects, key=lambda o: o if isinstance(o, str) else o[0])]
        work.run(now, [item(key, 10, "tag", OLD) for key in sorted(before)])
        return work.report(programs.stores.Totals())


@pytest.fixture
def site(programs, tmp_path):
    found = Site(programs, tmp_path)
    found.refer("1/", "experiment", "1", "1")
    found.refer("1/run-a/artifacts/", "run", "run-a", "1", "ann")
    found.refer("1/run-b/artifacts/", "run", "run-b", "1", "bob")
    found.refer("1/models/m-1/artifacts/", "logged_model", "m-1", "1", "ann")
    found.refer("1/models/m-1/artifacts/MLmodel", "logged_model", "m-1", "1", "ann", True)
    found.refer("1/models/m-1/artifacts/", "model_version", "good/1", "", "ann", True)
    return found


WHOLE = ["1/models/m-1/artifacts/MLmodel", "1/models/m-1/artifacts/model.pkl", "1/run-a/artifacts/x"]


def test_a_whole_site_misses_nothing(site):
    report = site.audit(WHOLE)
    assert (report["missing"], report["bucket"]["objects"], report["bucket"]["orphaned"]["objects"]) == (0, 3, 0)
    assert report["references"]["run"] == {"rows": 2, "with_objects": 1, "empty": 1, "missing": 0, "elsewhere": {}}
    assert report["experiments"] == {"1": {"objects": 3, "bytes": 30}}
    assert report["users"] == {"ann": {"objects": 3, "bytes": 30}}


def test_a_model_without_its_file_is_missing(site):
    report = site.audit([key for key in WHOLE if not key.endswith("MLmodel")])
    assert report["missing"] == 1 and report["samples"]["missing"][0]["key"] == "1/models/m-1/artifacts/MLmodel"
    assert site.audit(["1/run-a/artifacts/x"])["missing"] == 2
    assert site.audit([])["missing"] == 2


def test_what_belongs_to_nothing_is_orphaned(site):
    more = ["1/run-gone/artifacts/a", "1/run-gone/artifacts/b", "1/models/m-2/artifacts/MLmodel", "1/loose", "7/run-x/y", "backup/archive/x"]
    more.append(".labtrack/site.json")
    report = site.audit([*WHOLE, *more, ("1/run-new/artifacts/x", 10, "tag", time.time())])
    assert report["bucket"]["orphaned"] == {"objects": 5, "bytes": 50}
    assert (report["bucket"]["excluded"]["objects"], report["bucket"]["young"]["objects"]) == (2, 1)
    assert {entry["prefix"]: entry["objects"] for entry in report["samples"]["orphans"]} == {
        "1/loose": 1,
        "1/models/m-2/": 1,
        "1/run-gone/": 2,
        "7/": 1,
    }


def test_another_folder_of_the_bucket_is_no_orphan(site):
    site.rows = [(f"main/{key}", rest) for key, rest in site.rows]
    report = site.audit([*(f"main/{key}" for key in WHOLE), "other/1/x", "main/9/x"], root="s3://lab/main")
    assert (report["bucket"]["outside"]["objects"], report["bucket"]["orphaned"]["objects"], report["missing"]) == (1, 1, 0)


def test_names_that_only_look_alike_do_not_belong(site):
    report = site.audit([*WHOLE, "1/run-a/artifacts-old/x", "1/run-a/artifacts.txt", "10/x"])
    assert report["bucket"]["orphaned"]["objects"] == 3


def test_what_vanished_since_is_said(site, programs, tmp_path):
    report = site.audit(WHOLE, [*WHOLE, "1/run-b/artifacts/lost", "1/run-gone/x"], folder=tmp_path)
    assert report["since_last"]["vanished"]["objects"] == 2 and report["since_last"]["vanished_referenced"]["objects"] == 1
    assert report["since_last"]["changed"]["objects"] == 0
    assert [entry["owner"] for entry in report["samples"]["vanished"]] == ["run run-b", ""]
    assert report["references"]["run"]["with_objects"] == 1  # what has gone does not count
    with programs.manifest.gzip.open(tmp_path / "vanished.jsonl.gz", "rt") as lines:
        assert [json.loads(line)["key"] for line in lines] == ["1/run-b/artifacts/lost", "1/run-gone/x"]
    changed = site.audit([*WHOLE[:2], ("1/run-a/artifacts/x", 11, "other", OLD)], WHOLE)
    assert changed["since_last"]["changed"] == {"objects": 1, "bytes": 11}


def test_an_experiment_may_be_the_whole_bucket(programs, tmp_path):
    site = Site(programs, tmp_path)
    site.refer("", "experiment", "3", "3")
    site.refer("run-a/artifacts/", "run", "run-a", "3")
    report = site.audit(["run-a/artifacts/x", "stray"])
    assert report["experiments"]["3"]["objects"] == 2 and report["bucket"]["orphaned"]["objects"] == 1


def test_the_report_is_readable(site, programs):
    report = site.audit([*WHOLE[1:], "9/stray"], [*WHOLE])
    report["compared_with"] = "manifest-x.jsonl.gz"
    text = programs.text.audit(report)
    for expected in ("missing           1", "orphaned: 9/", "gone: 1/models/m-1/artifacts/MLmodel (logged_model m-1)", "user ann"):
        assert expected in text


def test_a_manifest_is_kept_and_pruned(programs, tmp_path):
    item = programs.stores.Item("a", 1, "t", 2.0)
    for number in range(4):
        lines = programs.manifest.Lines(tmp_path / f"manifest-{number}.jsonl.gz")
        lines.write([*vars(item).values()])
        assert programs.manifest.newest(tmp_path) == (tmp_path / f"manifest-{number - 1}.jsonl.gz" if number else None)
        lines.close()
    programs.manifest.prune(tmp_path, 2)
    assert len(list(tmp_path.iterdir())) == 2
    assert list(programs.manifest.read(programs.manifest.newest(tmp_path))) == [item]


def test_many_references_and_objects_need_little_memory(programs, tmp_path):
    """Neither list is ever held: 50,000 of each in a few megabytes."""
    import tracemalloc

    path = tmp_path / "references"
    with path.open("w") as file:
        for number in range(50_000):
            file.write(f"1/{number:08d}/artifacts/\t{json.dumps(['run', str(number), '1', 'ann', False])}\n")
    found = programs.references.Found(path, programs.references.Counter(run=50_000), {})
    objects = (programs.stores.Item(f"1/{number:08d}/artifacts/x", 1, "t", OLD) for number in range(50_000))
    work = programs.audit.Audit(programs.places.Root.parse("s3://lab"), found, began=time.time(), grace_seconds=0, excluded=[], folder=None)
    tracemalloc.start()
    work.run(objects)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert work.classes.objects["referenced"] == 50_000
    assert peak < 2_000_000
