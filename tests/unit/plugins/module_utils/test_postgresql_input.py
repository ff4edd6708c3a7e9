# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings and remote clients that are refused before anything changes."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.labtrack.mlflow.plugins.module_utils import _postgresql_input

FILES = Path(__file__).parents[4] / "roles" / "postgresql" / "files"
DATABASES = [{"name": "mlflowdb", "owner": "mlflowdb"}, {"name": "mlflowauth", "owner": "mlflowdb"}]


def problems(settings: dict, version: int = 17) -> list[str]:
    known = _postgresql_input.catalogue((FILES / f"parameters_{version}.tsv").read_text(encoding="utf-8"))
    return _postgresql_input.setting_problems(settings, known, 4096)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("work_men", "8MB", "Did you mean 'work_mem'?"),
        ("xyzzy", 1, "no such setting. Accepted"),
        ("Work_mem", "8MB", "Did you mean 'work_mem'?"),
        ("work_mem", "8 megabytes", "not a number"),
        ("jit", "perhaps", "not a truth value"),
        ("wal_compression", "gzip", "Accepted: lz4, off, on, pglz, zstd"),
        ("search_path", "a\nfsync = off", "more than one line"),
        ("port", 5433, "Set postgresql_port instead"),
        ("listen_addresses", "*", "Set postgresql_listen_addresses instead"),
        ("hba_file", "/tmp/hba", "needs its own value"),
        ("fsync", "off", "needs its own value"),
        ("shared_buffers", "3GB", "more than 60 %"),
        ("shared_buffers", 400000, "more than 60 %"),
        ("log_statement", "ddl", "would be in the log"),
        ("synchronous_commit", "off", "would lose writes"),
        ("auto_explain.log_min_duration", "1s", "would be in the log"),
    ],
)
def test_refused(name: str, value: object, words: str) -> None:
    found = problems({name: value})
    assert len(found) == 1
    assert found[0].startswith(f"postgresql_settings.{name} is '")
    assert words in found[0]


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"work_mem": "8MB", "maintenance_work_mem": "1 GB", "statement_timeout": 0, "seq_page_cost": 1.5, "checkpoint_timeout": "15min"},
        {"jit": True, "track_io_timing": "on", "wal_compression": "true", "huge_pages": "try", "synchronous_commit": "LOCAL"},
        {"pg_stat_statements.max": 10000, "shared_preload_libraries": "pg_stat_statements"},
        {"shared_buffers": "1GB", "log_statement": "none"},
    ],
)
def test_accepted(settings: dict) -> None:
    assert problems(settings) == []


def test_versions_differ() -> None:
    assert problems({"transaction_timeout": "1min"}, 17) == []
    assert "no such setting" in problems({"transaction_timeout": "1min"}, 15)[0]


def client(**changes: str) -> dict:
    return {"cidr": "192.0.2.7/32", "database": "mlflowdb", "user": "mlflowdb", "password": "correct-horse", **changes}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cidr": "192.0.2.300/24"}, "is not a network"),
        ({"cidr": "192.0.2.7/24"}, "did you mean '192.0.2.0/24'"),
        ({"cidr": "0.0.0.0/0"}, "the whole world"),
        ({"cidr": "::/0"}, "the whole world"),
        ({"database": "postgres"}, "no such pair"),
        ({"user": "postgres"}, "no such pair"),
        ({"password": "short"}, "fewer than 12"),
        ({"password": None}, "fewer than 12"),
    ],
)
def test_clients_refused(changes: dict, words: str) -> None:
    found = _postgresql_input.client_problems([client(**changes)], DATABASES)
    assert len(found) == 1
    assert words in found[0]
    assert "short" not in found[0].replace("shorter", "")


def test_two_passwords_of_one_user() -> None:
    found = _postgresql_input.client_problems([client(), client(database="mlflowauth", password="another-horse")], DATABASES)
    assert found == ["postgresql_remote_clients: user 'mlflowdb' has two passwords. Accepted: one for each user. Use the same."]


def test_good_clients() -> None:
    assert _postgresql_input.client_problems([client(), client(cidr="2001:db8::/64", database="mlflowauth"), client(cidr="192.0.2.9")], DATABASES) == []
