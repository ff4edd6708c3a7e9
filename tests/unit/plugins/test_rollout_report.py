# SPDX-License-Identifier: GPL-3.0-or-later
"""The callback rollout_report turns Ansible's events into a report, without what no_log hides."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from ansible_collections.labtrack.mlflow.plugins.callback import rollout_report


class Play:
    """Sends events as Ansible would."""

    def __init__(self, folder: str) -> None:
        self.callback = rollout_report.CallbackModule()
        self.callback.get_option = {"report_dir": folder}.get
        self.said: list[str] = []
        self.callback._display = SimpleNamespace(display=self.said.append)
        self.callback.v2_playbook_on_start(SimpleNamespace(_file_name="/x/site.yml"))

    def task(self, event: str, host: str, role: str, result: dict) -> None:
        where = SimpleNamespace(get_name=lambda: host)
        task = SimpleNamespace(_uuid="1", get_name=lambda: f"{role} : a task", _role=SimpleNamespace(get_name=lambda: f"labtrack.mlflow.{role}"))
        self.callback.v2_runner_on_start(where, task)
        getattr(self.callback, f"v2_runner_on_{event}")(SimpleNamespace(_host=where, _task=task, _result=result))

    def end(self, **custom: dict) -> None:
        self.callback.v2_playbook_on_stats(SimpleNamespace(custom={name: {"labtrack": value} for name, value in custom.items()}))


def test_report_of_three_sites(tmp_path):
    play = Play(str(tmp_path))
    play.task("ok", "a", "host_base", {"changed": True})
    play.task("failed", "b", "openstack_server", {"msg": "no quota", "results": [{"failed": True, "msg": "volumes: 0 free"}, {"msg": "fine"}]})
    play.task("ok", "c", "host_base", {"changed": False})
    play.end(a={"site": "one", "url": "https://a.test", "versions": "Debian 13", "next": "x"}, b={"site": "two"}, c={"site": "three"})
    data = json.loads(next(tmp_path.glob("*-site.json")).read_text(encoding="utf-8"))
    assert [(row["site"], row["outcome"]) for row in data["hosts"]] == [("one", "done"), ("two", "failed"), ("three", "stopped")]
    assert data["hosts"][1]["failure"]["message"] == "no quota\nvolumes: 0 free"
    assert play.said == [f"Report: {next(tmp_path.glob('*.html'))}"]


def test_hidden_results_stay_hidden():
    assert "secret" not in rollout_report.message({"censored": "hidden", "msg": "the secret"}).replace("handles secrets", "")


@pytest.mark.parametrize(("folder", "custom"), [("", {"a": {"site": "one"}}), ("reports", {})], ids=["switched off", "another playbook"])
def test_no_report(tmp_path, monkeypatch, folder, custom):
    monkeypatch.chdir(tmp_path)
    play = Play(folder)
    play.task("ok", "a", "host_base", {"changed": True})
    play.end(**custom)
    assert not play.said and not list(tmp_path.iterdir())
