# SPDX-License-Identifier: GPL-3.0-or-later
"""Rewriting of locations, choice of versions, settings and metrics: what needs neither database nor store."""

from __future__ import annotations

import importlib.util
import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from roles.programs import imported

ROLES = Path(__file__).resolve().parents[3] / "roles"


@pytest.fixture
def programs(monkeypatch):
    """The worker's modules, by their plain names."""
    names = ("places", "stores", "references", "manifest", "audit", "rewrite", "recover", "collect", "archive")
    for found in imported(monkeypatch, ROLES / "retention/files/artifacts", names):
        yield type("Programs", (), found)


def program(path: str):
    """A program as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROLES / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("root", "proxied", "value", "after"),
    [
        ("s3://old", False, "s3://old/1/abc/artifacts", "mlflow-artifacts:/1/abc/artifacts"),
        ("s3://old/lab", False, "s3://old/lab/1", "mlflow-artifacts:/1"),
        ("s3://old", False, "s3://old", "mlflow-artifacts:"),
        ("s3://old", False, "s3://older/1", None),
        ("s3://old", True, "mlflow-artifacts:/1", "mlflow-artifacts:/1"),
        ("s3://old", True, "mlflow-artifacts://mlflow.lab:5000/1", "mlflow-artifacts:/1"),
        ("s3://old", True, "mlflow-artifacts://another/1", None),
        ("/srv/mlruns", False, "file:///srv/mlruns/1", "mlflow-artifacts:/1"),
        ("/srv/mlruns", False, "/srv/mlruns/1", "mlflow-artifacts:/1"),
        ("/srv/mlruns", False, "/srv/mlruns-2/1", None),
        ("s3://old", False, "models:/m-1", None),
    ],
)
def test_a_location_is_rewritten(programs, root, proxied, value, after):
    old = programs.rewrite.forms(programs.places.Root.parse(root), proxied, ["mlflow.lab:5000"])
    assert programs.rewrite.changed(value, old, "mlflow-artifacts:/") == after


def test_a_direct_location_names_the_new_bucket(programs):
    new = programs.rewrite.target_form(programs.places.Root.parse("s3://new/lab"), proxied=False)
    old = programs.rewrite.forms(programs.places.Root.parse("s3://old"), proxied=True, hosts=[])
    assert programs.rewrite.changed("mlflow-artifacts:/1/a", old, new) == "s3://new/lab/1/a"
    assert programs.rewrite.changed("s3://old/1/a", old, new) == "s3://new/lab/1/a"


def test_the_line_of_a_model_is_found(programs):
    text = b"flavors: {}\nartifact_path: s3://old/1/models/m/artifacts\nrun_id: x\n"
    assert programs.rewrite.MLMODEL.search(text)[2] == b"s3://old/1/models/m/artifacts"
    assert programs.rewrite.MLMODEL.search(b"artifact_path: 's3://old/x'\n")[2] == b"s3://old/x"


def version(seconds: int, latest: bool = False, mark: bool = False) -> dict:
    found = {"LastModified": datetime.fromtimestamp(seconds, UTC), "IsLatest": latest, "VersionId": str(seconds), "Key": "k"}
    return found if mark else {**found, "Size": 1}


def test_the_right_version_comes_back(programs):
    wanted = programs.recover.wanted
    deleted = [version(30, True, mark=True), version(20), version(10)]
    assert wanted(deleted, None)["VersionId"] == "20"
    assert wanted(deleted, 15)["VersionId"] == "10"
    assert wanted(deleted, 5) is None
    changed = [version(20, True), version(10)]
    assert wanted(changed, None) is None
    assert wanted(changed, 25) is None
    assert wanted(changed, 15)["VersionId"] == "10"
    assert wanted([version(30, True), version(20, mark=True), version(10)], 25) is None  # it was deleted then, and what is there stays


def test_a_time_is_utc_unless_it_says_otherwise(programs):
    assert programs.recover.moment("2026-11-30T14:05:00Z") == programs.recover.moment("2026-11-30T14:05:00")
    assert programs.recover.moment("2026-11-30T14:05:00+01:00") == programs.recover.moment("2026-11-30T13:05:00Z")
    with pytest.raises(programs.recover.RecoverError, match="yesterday"):
        programs.recover.moment("yesterday")


def test_the_journal_survives(programs, tmp_path):
    journal = programs.collect.Journal.load(tmp_path)
    journal.begin("run a", "1/a/artifacts")
    journal.begin("run b", "1/b/artifacts")
    journal.end("run b")
    assert list(programs.collect.Journal.load(tmp_path).entries) == ["run a"]
    with pytest.raises(ValueError, match="journal"):
        programs.collect.Journal.load(None).begin("run a", "1/a")


class Refusing:
    """A store that wants one deletion a request, and refuses one key."""

    def __init__(self):
        self.single, self.exceptions = [], SimpleNamespace(ClientError=OSError)

    def delete_objects(self, **_arguments):
        raise OSError("MissingContentMD5")

    def delete_object(self, **arguments):
        from botocore.exceptions import ClientError

        if arguments["Key"] == "bad":
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "DeleteObject")
        self.single.append(arguments["Key"])


def test_deletions_go_one_by_one_where_the_store_wants_that(programs):
    client = Refusing()
    store = programs.stores.S3Store(programs.places.Root.parse("s3://lab"), client)
    assert list(store.delete(["a", "bad", "b"])) == ["bad"]
    assert client.single == ["a", "b"] and store.batch_delete is False


def test_settings_come_from_where_the_service_reads_them(tmp_path):
    module = program("retention/files/labtrack_artifacts.py")
    (tmp_path / "environment").write_text('MLFLOW_ARTIFACTS_DESTINATION="s3://lab/x"\nMLFLOW_DEFAULT_ARTIFACT_ROOT="mlflow-artifacts:/"\nOTHER=1\n')
    (tmp_path / "store").write_text("AWS_ACCESS_KEY_ID=a\nMLFLOW_S3_ENDPOINT_URL=https://s3\n")
    (tmp_path / "uri").write_text("postgresql://x\n")
    (tmp_path / "record").write_text(json.dumps({"settings": {"batch_delete": False}}))
    config = {
        "environment_files": [tmp_path / "environment", tmp_path / "store"],
        "database_uri_file": tmp_path / "uri",
        "store_record_file": tmp_path / "record",
        "server_dir": "",
        "excluded_prefixes": [],
    }
    environment, request = module.settings(config)
    assert (request["root"], request["proxied"], request["tracking_uri"], request["batch_delete"]) == ("s3://lab/x", True, "postgresql://x", False)
    assert environment["AWS_ACCESS_KEY_ID"] == "a" and "OTHER" not in environment
    with pytest.raises(module.ArtifactError, match=r"Run site\.yml"):
        module.settings({**config, "database_uri_file": tmp_path / "absent"})


def test_metrics_of_a_copy(tmp_path):
    module = program("artifact_copy/files/labtrack_artifact_copy.py")
    assert "labtrack_backup_copy_differences 2\n" in module.metrics(Counter({"=": 5, "+": 2}), 2)


def test_a_copy_knows_its_places(tmp_path):
    module = program("artifact_copy/files/labtrack_artifact_copy.py")
    (tmp_path / "e").write_text('MLFLOW_ARTIFACTS_DESTINATION="s3://lab/x/"\nAWS_ACCESS_KEY_ID=a\nAWS_SECRET_ACCESS_KEY=s\nMLFLOW_S3_ENDPOINT_URL=https://s3\n')
    place, settings, authority = module.place([str(tmp_path / "e")], "source")
    assert place == "source:lab/x" and settings["RCLONE_CONFIG_SOURCE_ENDPOINT"] == "https://s3" and authority == ""
    (tmp_path / "e").write_text('MLFLOW_ARTIFACTS_DESTINATION="/srv/artifacts"\n')
    assert module.place([str(tmp_path / "e")], "source") == ("/srv/artifacts", {}, "")


@pytest.mark.parametrize(
    ("root", "place"),
    [
        ("s3://lab-mlflow", "s3://lab-mlflow/trace-archive"),
        ("s3://lab-mlflow/folder/", "s3://lab-mlflow/folder/trace-archive"),
        ("/srv/lab data", "file:///srv/lab%20data/trace-archive"),
    ],
)
def test_traces_are_archived_below_the_root_by_a_uri(programs, root, place):
    assert programs.archive.place(root) == place
    top = programs.places.Root.parse(root)
    assert top.key(f"{place}/1") == top.base + "trace-archive/1"
