# SPDX-License-Identifier: GPL-3.0-or-later
"""Artifacts pass through to the bucket while they arrive: what is in it afterwards, also when somebody goes away in the middle."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

PROGRAMS = "/opt/labtrack/mlflow/main/current"
STORE = "/etc/labtrack/object_store/environment"
BUCKET = "tracking-server-mlflow"
CREDENTIALS = "/var/lib/labtrack/mlflow/main/admin_credentials"
ASGI = "/run/labtrack-mlflow-main/asgi.sock"
MB = 1 << 20


def run(host, program: str, arguments: str) -> dict:
    """A program of this directory, on the machine, with MLflow's Python."""
    text = base64.b64encode(Path(__file__).with_name(program).read_bytes()).decode()
    host.check_output(f"echo {text} | base64 -d > /tmp/{program}")
    return json.loads(host.check_output(f"MLFLOW_DISABLE_TELEMETRY=true {PROGRAMS}/bin/python /tmp/{program} {arguments}").splitlines()[-1])


@pytest.fixture(scope="module")
def found(host) -> dict:
    """What clients of the service saw."""
    return run(host, "transfer_program.py", f"{ASGI} {CREDENTIALS} {STORE} {BUCKET}")


@pytest.fixture(scope="module")
def failures(host) -> dict:
    """What happens when the store breaks off, and with a file of many parts."""
    return run(host, "failure_program.py", f"{PROGRAMS}/server {STORE} {BUCKET}")


def test_files_of_all_sizes_and_names_arrive(found):
    assert set(found["put"].values()) == {200}
    assert found["empty"] == [True, True]
    assert found["name"] == [200, "text/plain", "nosniff", "{}"]
    sizes = {"empty": 0, "empty-chunked": 0, "edge": MB, "over": MB + 1, "chunked.bin": 3 * MB, "sub/large.bin": 64 * MB, "table.csv.gz": 2}
    assert {name: found["objects"].get(name) for name in sizes} == sizes
    assert found["kinds"] == {
        "table.csv.gz": ["text/csv", "gzip"],
        "Größe 1+1=2 % .json": ["application/json", ""],
        "sub/large.bin": ["application/octet-stream", ""],
    }


def test_a_large_file_comes_back_byte_by_byte(found):
    assert found["large"] == [200, 64 * MB, "attachment; filename=large.bin", "application/octet-stream", True]
    assert found["parallel"] == [[200], [True]]


def test_a_download_can_go_on_where_it_broke_off(found):
    assert found["range"] == [206, f"bytes {5 * MB}-{5 * MB + 9}/{64 * MB}", True]
    assert found["no such range"] == 416


def test_an_upload_that_is_cut_off_leaves_nothing(found):
    assert found["left"] == []
    assert not [name for name in found["objects"] if name.startswith("cut-")]


def test_what_is_not_there_is_said_at_once(found):
    assert found["missing"] == [404, "application/json", "RESOURCE_DOES_NOT_EXIST"]
    assert found["refused"]["path"] == 400


def test_permissions_are_those_of_mlflow(found):
    assert found["nobody"] == [401, 401, 401]
    assert found["reader"] == [403, 403, 200]
    assert not [name for name in found["objects"] if name.startswith(("nobody", "reader"))]


def test_a_download_that_fails_never_looks_complete(failures):
    assert failures["download"] == [["IncompleteRead", True], ["IncompleteRead", True]]


def test_a_file_of_many_parts_is_whole_or_not_there(failures):
    assert failures["upload"] == ["stored", "the client went away", "the client went away", "stored"]
    assert failures["parts"] == [True, "application/json", {"lab": "yes"}, "no-store", "-3"]
    assert failures["objects"] == ["failures/sub/parts.json.gz", "failures/sub/whole"]
    assert failures["pending"] == []
