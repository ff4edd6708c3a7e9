# SPDX-License-Identifier: GPL-3.0-or-later
"""Aliases move while people ask: no request fails, the new version takes over once it works, the one before comes back with one command."""

from __future__ import annotations

import pytest
from conftest import ANSWER, MACHINE

testinfra_hosts = [f"docker://{MACHINE}"]


def active(host, name: str) -> set[str]:
    """Versions whose service runs."""
    units = host.check_output(f"systemctl list-units --plain --no-legend --state=active 'labtrack-model-{name}@*.service'").splitlines()
    return {line.split("@")[1].split(".")[0] for line in units}


def test_an_alias_moves_and_no_request_fails(host, log, models, serving, traffic):
    assert log("answer", "constant", 2, "champion") == 2
    with traffic() as people:
        said = models("sync answer")
        people.wait(10)
    assert people.failures() == []
    assert people.values() == [[1.0, 2.0]] * 4
    assert people.count() > 80
    assert "version 2 serves instead of 1" in said and "version 1 was stopped" in said
    # the same requirements, the same environment
    assert "installed" in said and host.check_output("ls /opt/labtrack/models/answer/environments | wc -l") == "1"
    assert active(host, "answer") == {"2"} and serving("answer")["kept"] == [1, 2]
    assert host.run("systemctl is-enabled labtrack-model-answer@1.service").stdout.strip() == "disabled"


def test_one_command_brings_the_version_before_back(host, models, serving, traffic):
    with traffic() as people:
        models("rollback answer")
        people.wait(10)
    assert people.failures() == []
    assert people.values() == [[2.0, 1.0]] * 4
    assert active(host, "answer") == {"1"}
    # the alias still names version 2: it is not served again by itself
    assert "version 2 was rolled back" in models("sync answer")
    assert serving("answer")["serving"] == 1 and serving("answer")["refused"] == 2
    assert "no version served before" in models("rollback iris", code=1)


def test_a_version_that_was_taken_back_serves_when_told(models, serving, admin):
    models("follow answer")
    assert serving("answer")["serving"] == 2 and serving("answer")["refused"] == 0
    assert admin.predict("answer", ANSWER) == (200, [2.0])


def test_a_fixed_version_in_the_inventory_is_served(play, serving, admin, traffic):
    fixed = [{"name": "answer", "version": 1}, {"name": "iris", "registered_model": "Iris species", "alias": "production"}]
    with traffic() as people:
        # iris gets other limits by the same change
        assert play(site_models=fixed)[0] > 0
    assert people.failures() == []
    assert admin.predict("answer", ANSWER) == (200, [1.0])
    assert play(site_models=fixed)[0] == 0
    assert play()[0] > 0
    assert serving("answer")["serving"] == 2


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("broken", "ModuleNotFoundError: No module named"), ("address", "only packages of the index are installed here")],
)
def test_a_version_that_cannot_serve_does_not_take_over(host, log, models, serving, traffic, play, kind, reason):
    version = log("answer", kind, 3, "champion")
    with traffic() as people:
        assert reason in models("sync answer", code=1)
    assert people.failures() == [] and people.values() == [[2.0]] * 4
    assert active(host, "answer") == {"2"} and serving("answer")["serving"] == 2
    assert host.run("systemctl start labtrack-models.service").rc != 0
    assert 'labtrack_job_last_run_success{job="models"} 0' in host.file("/var/lib/prometheus/node-exporter/labtrack_job_models.prom").content_string
    assert host.run(f"systemctl is-active labtrack-model-answer@{version}.socket").rc != 0
    assert reason in play(code=1)[1]


def test_the_next_good_version_serves(log, models, admin, serving):
    version = log("answer", "constant", 5, "champion")
    models("sync")
    assert serving("answer")["serving"] == version and admin.predict("answer", ANSWER) == (200, [5.0])
    assert len(serving("answer")["kept"]) == 2


def test_other_limits_restart_it_while_requests_wait(host, play, traffic, serving):
    models = [{"name": "answer", "memory_max_mb": 900}, {"name": "iris", "registered_model": "Iris species", "alias": "production", "memory_max_mb": 1536}]
    with traffic() as people:
        play(site_models=models)
        people.wait(5)
    assert people.failures() == []
    unit = f"labtrack-model-answer@{serving('answer')['serving']}.service"
    assert host.check_output(f"systemctl show -P MemoryMax {unit}") == str(900 * 1024 * 1024)


def test_a_killed_one_comes_back_and_requests_wait(host, admin, serving):
    unit = f"labtrack-model-answer@{serving('answer')['serving']}.service"
    before = host.check_output(f"systemctl show -P MainPID {unit}")
    host.check_output(f"systemctl kill --signal=KILL {unit}")
    assert admin.predict("answer", ANSWER) == (200, [5.0])
    assert host.check_output(f"systemctl show -P MainPID {unit}") != before


def test_a_model_whose_alias_is_gone_is_served_on(admin, models, serving):
    status, found = admin.api("DELETE", "registered-models/alias", {"name": "Iris species", "alias": "production"})
    assert status == 200, found
    assert "Version 1 goes on" in models("sync iris")
    assert serving("iris")["active"]


def test_a_model_that_is_no_longer_declared_goes(host, play, admin):
    assert play(site_models=[{"name": "answer"}])[0] > 0
    assert active(host, "iris") == set() and active(host, "answer")
    assert not host.file("/opt/labtrack/models/iris").exists
    assert host.check_output("ls /etc/systemd/system | grep -c model-iris || true") == "0"
    assert play(site_models=[{"name": "answer"}])[0] == 0
    assert play(site_models=[])[0] > 0
    assert not host.file("/opt/labtrack/models").exists and not host.file("/usr/local/sbin/labtrack-models").exists
    assert play(site_models=[])[0] == 0


def test_bad_input_is_refused_before_anything_is_changed(play):
    text = " ".join(play(code=1, site_models=[{"name": "Answer"}, {"name": "b", "memory_max_mb": 1}, {"name": "b"}])[1].split())
    assert "has the name 'Answer'" in text and "'b' more than once" in text and "has memory_max_mb '1': it is out of range" in text
    assert "nothing was changed" in text
