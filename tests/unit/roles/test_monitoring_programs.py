# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs of the monitoring: what they read, what they write, and what they say of a site."""

from __future__ import annotations

import datetime as dt
import json
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = ROOT / "roles/monitoring/files/programs"


@pytest.fixture(autouse=True)
def programs(monkeypatch):
    """They import each other as they do on the machine."""
    monkeypatch.syspath_prepend(str(PROGRAMS))
    monkeypatch.syspath_prepend(str(ROOT / "plugins/module_utils"))
    yield
    for name in ("textfile", "facts", "site_metrics", "bucket_metrics", "status"):
        sys.modules.pop(name, None)


@pytest.fixture
def certificate(tmp_path):
    """A file with a certificate that ends in 40 days."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, 'mlflow "lab"')])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    made = builder.not_valid_before(now).not_valid_after(now + dt.timedelta(days=40)).sign(key, hashes.SHA256())
    path = tmp_path / "chain.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return path


def config(tmp_path, certificate, **more):
    """What the role writes."""
    entries = {"certificates": [{"kind": "certificate", "file": str(certificate)}], "dates": [], "metrics_dir": str(tmp_path), "static_dir": str(tmp_path)}
    path = tmp_path / "programs.json"
    path.write_text(json.dumps({**entries, **more}), encoding="utf-8")
    return str(path)


def read(tmp_path):
    """Samples of all files, by name and labels."""
    import facts

    return {(name, tuple(sorted(labels.items()))): value for name, labels, value in facts.samples(tmp_path)}


def test_dates_of_files_and_of_people_are_written(tmp_path, certificate):
    import site_metrics

    given = [{"kind": "application_credential", "date": "2031-05-01", "name": "control"}]
    assert site_metrics.main([config(tmp_path, certificate, dates=given)]) == 0
    found = read(tmp_path)
    days = (found["labtrack_expiry_timestamp_seconds", (("kind", "certificate"), ("name", 'mlflow "lab"'))] - time.time()) / 86400
    assert 39.9 < days <= 40
    assert found["labtrack_expiry_timestamp_seconds", (("kind", "application_credential"), ("name", "control"))] == 1935360000


def test_a_file_that_cannot_be_read_fails_the_job_and_hides_nothing_else(tmp_path, certificate, capsys):
    import site_metrics

    (tmp_path / "bad.pem").write_text("nothing", encoding="utf-8")
    files = [{"kind": "lab_ca", "file": str(tmp_path / "bad.pem")}, {"kind": "certificate", "file": str(certificate)}]
    assert site_metrics.main([config(tmp_path, certificate, certificates=files)]) == 1
    assert "bad.pem: it holds no certificate" in capsys.readouterr().err
    assert len([name for name, _labels in read(tmp_path) if name == "labtrack_expiry_timestamp_seconds"]) == 1


def test_a_list_of_public_authorities_is_none_of_the_lab(tmp_path, certificate):
    import site_metrics

    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(certificate.read_bytes() * 21)
    assert site_metrics.end_of(bundle) is None


def test_the_version_is_that_of_the_release_in_use(tmp_path):
    import site_metrics

    packages = tmp_path / "releases" / "3.17.2-abc" / "lib" / "python3.13" / "site-packages"
    build = packages / "mlflow" / "server" / "js" / "build"
    (packages / "mlflow-3.17.2.dist-info").mkdir(parents=True)
    build.mkdir(parents=True)
    (tmp_path / "releases" / "3.17.2-abc" / "static").symlink_to(build)
    (tmp_path / "current").symlink_to(tmp_path / "releases" / "3.17.2-abc")
    assert site_metrics.mlflow_version(tmp_path / "current" / "static") == "3.17.2"
    assert site_metrics.mlflow_version(tmp_path / "none") == ""


class Store:
    """A bucket of five objects in pages of two, with or without counters of its own."""

    def __init__(self, headers=()):
        self.headers, self.asked = dict(headers), 0
        self.meta = self
        self.events = self

    def register(self, *_arguments):
        pass

    def head_bucket(self, **_options):
        return {"ResponseMetadata": {"HTTPHeaders": self.headers}}

    def get_paginator(self, _name):
        return self

    def paginate(self, **_options):
        for number, count in enumerate((2, 2, 1)):
            self.asked += 1
            yield {"KeyCount": count, "Contents": [{"Size": 10}] * count, "IsTruncated": number < 2}


def test_a_store_that_counts_is_not_listed():
    import bucket_metrics

    store = Store({"x-rgw-object-count": "7", "x-rgw-bytes-used": "99"})
    assert bucket_metrics.counters(store, "b") == (7, 99) and store.asked == 0
    assert bucket_metrics.counters(Store(), "b") is None


@pytest.mark.parametrize(("most", "expected"), [(10, (5, 50, True)), (3, (5, 50, True)), (2, (4, 40, False))])
def test_listing_has_a_bound_and_says_so(most, expected):
    import bucket_metrics

    store = Store()
    assert bucket_metrics.listed(store, "b", most) == expected
    assert store.asked == min(most, 3)


LIMITS = {"hours": {"gc": 10}, "default": 100, "expected": ["backup_full"]}


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ({"last_run_success": 1, "last_success_timestamp_seconds": 3600 * 999}, "ok"),
        ({"last_run_success": 1, "last_success_timestamp_seconds": 3600 * 985}, "old"),
        ({"last_run_success": 0, "last_success_timestamp_seconds": 3600 * 999}, "failed"),
        ({"last_run_success": 1, "last_success_timestamp_seconds": 0}, "never"),
    ],
)
def test_the_state_of_a_job(values, state):
    import facts

    found = [(f"labtrack_job_{name}", {"job": "gc"}, value) for name, value in values.items()]
    states = {job["job"]: job["state"] for job in facts.jobs(found, LIMITS, 3600 * 1000)}
    assert states == {"gc": state, "backup_full": "never"}


def test_without_prometheus_the_state_is_unknown_and_the_rest_is_told(tmp_path, certificate):
    import facts
    import site_metrics

    site_metrics.main([config(tmp_path, certificate)])
    told = {"site": "a", "url": "https://a", "prometheus": "http://127.0.0.1:9", "metrics_dir": str(tmp_path), "jobs": LIMITS}
    data = facts.collect(told)
    assert data["state"] == "unknown" and data["reason"] and data["expiry"][0]["kind"] == "certificate"
