# SPDX-License-Identifier: GPL-3.0-or-later
"""From results to settings; the probe itself against a store in memory; running it in another Python."""

from __future__ import annotations

import sys
import types

import pytest
from ansible_collections.labtrack.mlflow.plugins.module_utils import _s3_probe, _s3_python
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_http import StoreError
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_verdict import CAPABILITIES, MODES, judge

GOOD = {"ok": True, "seconds": 0.1}
BAD = {"ok": False, "seconds": 0.1, "error": "ClientError", "code": "MissingContentLength", "detail": "no length"}
ALL = [*(f"{name}_{mode}" for name in ("put_get", "multipart") for mode in MODES), *CAPABILITIES, "clean_up"]


def verdict(bad=(), missing=()):
    results = {name: BAD if name in bad else GOOD for name in ALL if name not in missing}
    return judge({"results": results, "versions": {"boto3": "1.44.5", "botocore": "1.44.5", "boto3_modes": "yes"}}, "RegionOne")


def test_a_current_store():
    found = verdict()
    assert found["usable"] and found["findings"] == ["Everything that MLflow uses works."]
    assert found["settings"] == {
        "request_checksum_calculation": "when_supported",
        "response_checksum_validation": "when_supported",
        "addressing_style": "path",
        "batch_delete": True,
        "region": "RegionOne",
    }
    assert found["versions"] == {"boto3": "1.44.5", "botocore": "1.44.5"}


@pytest.mark.parametrize("bad", [["put_get_when_supported"], ["multipart_when_supported"], ["put_get_when_supported", "multipart_when_supported"]])
def test_an_old_store(bad):
    found = verdict(bad)
    assert found["usable"] and found["settings"]["request_checksum_calculation"] == "when_required"
    assert "MissingContentLength" in found["findings"][0]


def test_a_boto3_without_modes_says_nothing_about_them():
    found = verdict(missing=["put_get_when_supported", "multipart_when_supported"])
    assert found["usable"] and found["settings"]["request_checksum_calculation"] == "when_required"
    assert found["findings"] == ["Everything that MLflow uses works."]


def test_single_deletes():
    found = verdict(["batch_delete"])
    assert found["usable"] and found["settings"]["batch_delete"] is False
    assert "mlflow gc" in found["findings"][0]


@pytest.mark.parametrize(("bad", "count"), [(["lifecycle_noncurrent"], 1), (["versioning"], 1), (["versioning", "lifecycle_noncurrent"], 1)])
def test_without_versions_none_can_fill_the_bucket(bad, count):
    found = verdict(bad)
    assert len(found["findings"]) == count
    assert ("fills the bucket" in found["findings"][0]) is ("versioning" not in bad)


def test_the_cause_is_told_once():
    said = {**BAD, "code": "NotImplemented", "detail": "An error occurred (NotImplemented) when calling the PutBucketPolicy operation: Not here."}
    found = judge({"results": {**dict.fromkeys(ALL, GOOD), "policy": said}, "versions": {}}, "RegionOne")
    assert found["findings"] == ["It has no bucket policies: object_store_bucket_policy cannot be used (NotImplemented: Not here)."]


def test_uploads_that_end_early():
    found = verdict(["parts_10000"])
    assert found["usable"] and found["capabilities"]["parts_10000"] is False
    assert found["findings"][0].startswith("An upload may not have 10,000 parts")


@pytest.mark.parametrize("bad", [["list"], ["ranged_get"], [name for name in ALL if name.startswith(("put_get", "multipart"))]])
def test_unusable_stores(bad):
    found = verdict(bad)
    assert not found["usable"] and "MissingContentLength" in found["findings"][0]


def test_what_could_not_be_tried_is_unknown():
    found = verdict(["create_bucket"], ["versioning", "policy", "lifecycle_noncurrent", "lifecycle_abort_multipart"])
    assert found["usable"] and found["capabilities"]["versioning"] is None
    assert "may not make buckets" in found["findings"][0]


def test_rubbish_is_reported():
    assert "-doctor-" in verdict(["clean_up"])["findings"][0]


class Probe(_s3_probe.Probe):
    """Without a store: `fails` names the methods that raise."""

    def __init__(self, fails, exists=False):
        super().__init__({"bucket": "lab-mlflow", "bucket_exists": exists})
        self.fails, self.cleaned = fails, []

    def client(self, mode="when_required", style="path"):
        return None

    def make_bucket(self, name):
        if "make_bucket" in self.fails:
            raise ValueError("not allowed")
        self.bucket, self.own_bucket = name, True

    def clean(self):
        self.cleaned.append((self.bucket, self.prefix, self.own_bucket))


CHECKS = ("put_get", "multipart", "ranged", "listing", "batch_delete", "last_part", "presigned", "policy", "lifecycle", "versioning", "virtual")


@pytest.fixture
def probe(monkeypatch):
    monkeypatch.setattr(_s3_probe, "versions", lambda: {"boto3": "1.44.5", "boto3_modes": "yes"})

    def make(fails=(), exists=False):
        made = Probe(fails, exists)
        for name in CHECKS:

            def check(*arguments, name=name):
                if name in fails or f"{name}_{arguments[-1] if arguments else ''}" in fails:
                    raise ValueError(f"{name} fails")

            monkeypatch.setattr(made, name, check)
        return made

    return make


def test_all_checks_run_in_a_bucket_of_its_own(probe):
    made = probe()
    results = made.run()["results"]
    assert set(results) == set(ALL) and all(result["ok"] for result in results.values())
    assert made.bucket.startswith("lab-mlflow-doctor-") and made.cleaned == [(made.bucket, "probe/", True)]


def test_without_the_right_to_make_buckets_the_bucket_is_not_reconfigured(probe):
    made = probe(["make_bucket"], exists=True)
    results = made.run()["results"]
    assert not {"versioning", "policy", "lifecycle_noncurrent"} & set(results)
    assert made.cleaned[0][0] == "lab-mlflow" and made.cleaned[0][1].startswith(".labtrack/doctor-") and not made.cleaned[0][2]


def test_without_any_bucket_nothing_else_is_tried(probe):
    assert set(probe(["make_bucket"]).run()["results"]) == {"create_bucket", "clean_up"}


def test_the_rest_is_left_out_when_objects_do_not_work(probe):
    made = probe(["put_get"])
    assert "list" not in made.run()["results"] and made.cleaned


def test_long_names_stay_below_the_limit(probe):
    made = probe()
    made.params["bucket"] = "b" * 63
    made.run()
    assert len(made.bucket) <= 63


def script(text):
    """A module whose source is the text."""
    module = types.ModuleType("script")
    module.text = text
    return module


@pytest.fixture
def source(monkeypatch):
    monkeypatch.setattr(_s3_python.inspect, "getsource", lambda module: module.text)


def test_run_passes_parameters_on_standard_input(source, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody's")
    text = "import os, sys\ndef main(params):\n    return {'sum': params['a'] + 1, 'argv': sys.argv, 'aws': os.environ.get('AWS_ACCESS_KEY_ID')}"
    found = _s3_python.run(sys.executable, script(text), {"a": 1, "secret": "hidden"}, 20)
    assert found == {"sum": 2, "argv": ["-c"], "aws": None}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("import boto3_is_not_here\ndef main(params): pass", "no_boto3"),
        ("def main(params):\n    raise ValueError('x')", "probe"),
        ("import time\ndef main(params):\n    time.sleep(30)", "timeout"),
    ],
)
def test_run_says_what_is_wrong(source, text, kind):
    with pytest.raises(StoreError) as error:
        _s3_python.run(sys.executable, script(text), {}, 3)
    assert error.value.kind == kind


def test_run_without_interpreter(source):
    with pytest.raises(StoreError, match="python"):
        _s3_python.run("/no/such/python", script(""), {}, 3)


@pytest.mark.parametrize(
    ("place", "name", "venv"),
    [
        ("lib/python3.13/site-packages", "boto3-1.44.5.dist-info", True),
        ("lib/python3/dist-packages", "boto3-1.44.5.egg-info", False),
        ("lib/python3/dist-packages", "boto3-1.44.5+dfsg.dist-info", False),
    ],
)
def test_boto3_version(tmp_path, place, name, venv):
    (tmp_path / place / name).mkdir(parents=True)
    if venv:
        (tmp_path / "pyvenv.cfg").touch()
    assert _s3_python.boto3_version(str(tmp_path / "bin" / "python")).startswith("1.44.5")


def test_no_boto3(tmp_path):
    assert _s3_python.boto3_version(str(tmp_path / "bin" / "python")) == ""
