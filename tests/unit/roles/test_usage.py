# SPDX-License-Identifier: GPL-3.0-or-later
"""The usage report: sums by user, experiment and workspace, quotas, table, page and metrics."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest
from ansible_collections.labtrack.mlflow.plugins.module_utils import _site_status
from roles.programs import imported

ROLE = Path(__file__).resolve().parents[3] / "roles/retention/files"
NASTY = "<script>alert(1)</script>"


@pytest.fixture
def programs(monkeypatch):
    """The worker's modules; the role installs the style of the status page beside them."""
    monkeypatch.setitem(sys.modules, "site_status", _site_status)
    for found in imported(monkeypatch, ROLE / "artifacts", ("places", "stores", "references", "manifest", "audit", "text", "usage_page", "usage")):
        yield type("Programs", (), found)


@pytest.fixture
def artifacts():
    """The program that root runs."""
    spec = importlib.util.spec_from_file_location("labtrack_artifacts", ROLE / "labtrack_artifacts.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def named(programs):
    """Two people in three experiments of two workspaces; a trace of nobody, a version without a run, a run of nobody known."""
    usage = programs.usage
    experiments = [("1", "lab", "default", "active"), ("2", NASTY, "default", "deleted"), ("3", "lab", "other", "active")]
    counts = [("runs", "1", "ann", "", 10), ("runs", "1", "bob", "", 2), ("runs_deleted", "1", "ann", "", 4), ("runs", "3", "bob", "", 1)]
    counts += [("metric_points", "1", "ann", "", 1000), ("traces", "2", "", "", 7), ("model_versions", "", "bob", "other", 3)]
    owned = programs.audit.Sums()
    for experiment, user, size in (("1", "ann", 500), ("1", "ann", 1500), ("3", "bob", 9000), ("", "", 5)):
        owned.add((experiment, user), programs.stores.Item("key", size, "", 0))
    return usage.tally([usage.Experiment(*found) for found in experiments], [*(usage.Count(*count) for count in counts), *usage.counts_of(owned)])


def report(programs, named, quotas=()):
    """The report as the worker makes it, without database and store."""
    usage, given = programs.usage, programs.usage.Quotas(list(quotas))
    totals = {field: sum(entry[field] for entry in named["user"]) for field in usage.FIELDS}
    head = {"site": "physics", "root": "s3://lab", "examined_timestamp_seconds": 1_800_000_000, "seconds": 1.5, "database_seconds": 0.5, "totals": totals}
    tail = {"limited": given.resources(), "above_quota": given.above(named), "knowledge": usage.KNOWLEDGE}
    return json.loads(json.dumps({**head, **{f"{kind}s": entries for kind, entries in named.items()}, **tail}))


def entry(entries, **wanted):
    """The only one with these values."""
    (found,) = [entry for entry in entries if wanted.items() <= entry.items()]
    return found


def test_sums_by_user(named):
    ann = entry(named["user"], name="ann")
    assert (ann["runs"], ann["runs_deleted"], ann["metric_points"], ann["objects"], ann["bytes"], ann["traces"]) == (10, 4, 1000, 2, 2000, 0)
    assert entry(named["user"], name="bob")["model_versions"] == 3
    assert entry(named["user"], name="")["traces"] == 7


def test_sums_by_experiment_and_workspace(named):
    assert entry(named["experiment"], id="1") | {"runs": 12, "objects": 2, "bytes": 2000, "state": "active"} == entry(named["experiment"], id="1")
    assert entry(named["experiment"], id="2")["state"] == "deleted"
    assert entry(named["experiment"], id="")["bytes"] == 5
    other = entry(named["workspace"], name="other")
    assert (other["runs"], other["model_versions"], other["bytes"]) == (1, 3, 9000)
    assert entry(named["workspace"], name="default")["runs"] == 12


def test_each_kind_has_the_same_sums(programs, named):
    for field in programs.usage.FIELDS:
        assert len({sum(entry[field] for entry in entries) for entries in named.values()}) == 1, field


def test_the_largest_come_first(named):
    assert [entry["name"] for entry in named["user"]] == ["bob", "ann", ""]


def test_an_experiment_without_anything_is_there(programs):
    found = programs.usage.tally([programs.usage.Experiment("0", "Default", "default", "active")], [])
    assert found["user"] == [] and found["experiment"][0]["runs"] == 0 and found["workspace"][0]["name"] == "default"


def test_a_quota_for_each_and_one_with_a_name(programs, named):
    quotas = programs.usage.Quotas([{"each": "user", "runs": 5, "bytes_gb": 1}, {"user": "ann", "runs": 20}, {"experiment": "lab", "bytes_gb": 0.000001}])
    assert quotas.limits("user", "bob") == {"runs": 5, "bytes": 1e9} and quotas.limits("user", "ann") == {"runs": 20, "bytes": 1e9}
    found = quotas.above(named)
    # experiments of both workspaces have that name; the worst first
    assert [(item["id"], item["used"], item["quota"]) for item in found] == [("3", 9000, 1000), ("1", 2000, 1000)]
    assert quotas.resources() == [("experiment", "bytes"), ("user", "bytes"), ("user", "runs")]


def test_exactly_the_quota_is_not_above_it_and_zero_is_no_limit(programs, named):
    assert programs.usage.Quotas([{"user": "ann", "runs": 10}]).above(named) == []
    assert programs.usage.Quotas([{"user": "ann", "runs": 9}]).above(named)[0]["resource"] == "runs"
    assert programs.usage.Quotas([{"each": "user", "runs": 1}, {"user": "ann", "runs": 0}, {"user": "bob", "runs": 0}]).above(named) == []


def test_what_is_nobody_s_has_no_quota(programs, named):
    found = programs.usage.Quotas([{"each": "user", "objects": 0.5}, {"each": "experiment", "objects": 0.5}]).above(named)
    assert "" not in {item["name"] for item in found} and len(found) == 4


def test_numbers_may_come_as_text(programs):
    assert programs.usage.Quotas([{"user": 7, "bytes_gb": "2"}]).limits("user", "7") == {"bytes": 2e9}


def test_the_table(programs, named):
    text = programs.text.usage(report(programs, named, [{"user": "ann", "metric_points": 100}]))
    assert "ABOVE THE QUOTA: user ann has 1000 of 100 metric_points" in text
    assert re.search(r"^ann +10 +4 +1000 +0 +0 +0 +0 +2 +2.0 kB$", text, re.M), text
    assert re.search(r"^- +0 +0 +0 +0 +7 ", text, re.M) and "workspace" in text and "does not compare" in text


def test_a_name_is_no_command_for_a_terminal(programs):
    assert programs.text.shown("a\x1b[2Jb\nc", 20) == "a?[2Jb?c"
    assert programs.text.shown("x" * 40, 29) == "x" * 28 + "…"


def test_the_table_is_short_and_says_so(programs, named):
    named["user"] = [{**named["user"][0], "name": f"u{number}"} for number in range(30)]
    text = programs.text.usage(report(programs, named))
    assert "(10 more; --json has all)" in text and "u19" in text and "u20" not in text


def test_the_page_escapes_what_people_name(programs, named):
    page = programs.usage_page.page(report(programs, named, [{"experiment": NASTY, "traces": 1}]))
    assert NASTY not in page and page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 2
    assert 'class="number failed">7<' in page and "By workspace" in page and "Usage of physics" in page and 'href="../status/"' in page


def test_the_page_without_quotas_and_workspaces(programs, named):
    named["workspace"] = named["workspace"][:1]
    page = programs.usage_page.page(report(programs, named))
    assert "no quotas" in page and "By workspace" not in page and "<script" not in page
    assert "Nothing is." in programs.usage_page.page(report(programs, named, [{"user": "ann", "runs": 100}]))


def test_the_page_has_an_end(programs, named, monkeypatch):
    monkeypatch.setattr(programs.usage_page, "ROWS", 2)
    page = programs.usage_page.page(report(programs, named))
    assert "1 more are in usage.json" in page


def test_metrics(programs, artifacts, named):
    text = artifacts.usage_metrics(report(programs, named, [{"each": "user", "runs": 5, "params": 9}]))
    for line in (
        'labtrack_usage_runs{kind="user",name="ann"} 10',
        'labtrack_usage_bytes{kind="experiment",name="lab",id="3"} 9000',
        'labtrack_usage_traces{kind="user"} 7',
        'labtrack_usage_above_quota{kind="user",name="ann",resource="runs"} 1',
        'labtrack_usage_names_above_quota{kind="user",resource="runs"} 1',
        'labtrack_usage_names_above_quota{kind="user",resource="params"} 0',
        "labtrack_usage_timestamp_seconds 1800000000",
    ):
        assert f"{line}\n" in text, text
    names = [line.rsplit(" ", 1)[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(names) == len(set(names))


def test_without_quotas_nothing_is_above_one(programs, artifacts, named):
    assert "quota" not in artifacts.usage_metrics(report(programs, named))


def test_names_in_metrics_are_escaped(artifacts):
    text = artifacts.metric("x", "Text.", [({"name": 'a"b\\c\nd'}, 1)])
    assert text.splitlines()[2] == r'x{name="a\"b\\c\nd"} 1'


def test_the_number_of_metrics_is_bounded(programs, artifacts):
    """Ten thousand people, half of them above the quota."""
    usage = programs.usage
    counts = [usage.Count("runs", "1", f"user-{number}", "", number) for number in range(10_000)]
    named = usage.tally([usage.Experiment("1", "lab", "default", "active")], counts)
    text = artifacts.usage_metrics(report(programs, named, [{"each": "user", "runs": 5000}]))
    assert 'labtrack_usage_names_above_quota{kind="user",resource="runs"} 4999\n' in text
    assert text.count("labtrack_usage_above_quota{") == artifacts.ABOVE
    assert 'labtrack_usage_runs{kind="user",name="user-9999"}' in text and 'name="user-17"' not in text
    assert len(text.splitlines()) < 500


def test_files_beside_the_page_are_not_for_everybody(artifacts, tmp_path):
    artifacts.publish({"page": "<p>", "text": "table", "report": {"users": []}}, tmp_path)
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == dict.fromkeys(("index.html", "usage.txt", "usage.json"), 0o640)


def test_a_run_by_hand_publishes_nothing(artifacts, tmp_path, monkeypatch, capsys):
    (tmp_path / "config.json").write_text(json.dumps({"commands": {"usage": {"quotas": []}}, "state_dir": str(tmp_path)}))
    asked, answer = {}, {"report": {"a": 1}, "text": "x", "page": "p"}
    monkeypatch.setattr(artifacts, "settings", lambda _config: ({}, {"site": "physics"}))
    monkeypatch.setattr(artifacts, "work", lambda _config, _command, _environment, request: asked.update(request) or answer)
    assert artifacts.main(["--config", str(tmp_path / "config.json"), "usage", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"a": 1} and asked == {"site": "physics", "quotas": []}
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


class Cursor:
    """Answers each query by the table that it reads first."""

    def __init__(self, rows):
        self.rows, self.asked = rows, []

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        return None

    def execute(self, query):
        self.asked.append(query)

    def fetchall(self):
        return self.rows.get(re.search(r"from (?:\(select run_uuid, count\(\*\) as n from )?(\w+)", self.asked[-1])[1], [])


def test_rows_of_the_database(programs):
    cursor = Cursor({"experiments": [("1", "lab", "default", "active")], "runs": [("1", None, None, 3)], "metrics": [("1", "ann", None, 70)]})
    experiments, counts = programs.usage.rows_of(type("Connection", (), {"cursor": lambda _self: cursor})())
    assert experiments[0].name == "lab" and len(cursor.asked) == 1 + len(programs.usage.COUNTS)
    assert programs.usage.Count("runs", "1", "", "", 3) in counts and programs.usage.Count("metric_points", "1", "ann", "", 70) in counts
