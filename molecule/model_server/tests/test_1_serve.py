# SPDX-License-Identifier: GPL-3.0-or-later
"""Two models of the registry behind the site's TLS and login: from an empty registry to predictions, and who may have them."""

from __future__ import annotations

import pytest
from conftest import ANSWER, MACHINE, Person

testinfra_hosts = [f"docker://{MACHINE}"]
IRISES = {"inputs": [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]}
COLUMNS = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]


def test_models_that_are_not_logged_yet_are_waited_for(models, admin):
    assert "answer: " in models("sync") and "It is served as soon as it is there." in models("sync")
    assert admin.predict("answer", ANSWER)[0] == 503


def test_a_run_serves_what_was_logged_and_the_next_one_changes_nothing(log, play, models, serving):
    assert log("answer", "constant", 1, "champion") == 1
    assert log("Iris species", "iris", 0, "production") == 1
    # the play says beforehand what it would write, and does not look at aliases then
    assert play("--check")[0] == 0
    assert play()[0] == 1
    assert (serving("answer")["serving"], serving("iris")["serving"]) == (1, 1)
    assert play()[0] == 0
    assert models("sync") == ""


def test_predictions_are_those_of_the_model(admin):
    assert admin.predict("answer", ANSWER) == (200, [1.0])
    body = {"dataframe_split": {"columns": COLUMNS, "data": IRISES["inputs"]}}
    assert admin.predict("iris", body) == (200, [0, 2])
    assert admin.page("GET", "/models/answer/ping")[0] == 200
    assert admin.predict("answer", {"dataframe_split": {"columns": ["y"], "data": [[1.0]]}})[0] == 400


@pytest.mark.parametrize("path", ["/models/answer/invocations", "/models/answer/ping", "/models/iris/version", "/models/none/ping"])
def test_nothing_without_a_login(site, path):
    assert Person(site).page("POST" if path.endswith("invocations") else "GET", path, ANSWER if path.endswith("invocations") else None)[0] == 401
    assert Person(site, "ana", "a-password-that-is-wrong").page("GET", path)[0] == 401


def test_who_may_read_the_registered_model_may_use_it(admin, people):
    assert people["ana"].predict("answer", ANSWER)[0] == 403
    grant = {"username": "ana", "resource_type": "registered_model", "resource_id": "answer", "permission": "READ"}
    status, found = admin.api("POST", "users/permissions/grant", grant, version="3.0")
    assert status == 200, found
    assert people["ana"].predict("answer", ANSWER) == (200, [1.0])
    assert people["ana"].page("GET", "/models/iris/ping")[0] == 403
    assert people["bob"].predict("answer", ANSWER)[0] == 403
    status, found = admin.api("POST", "users/permissions/revoke", grant, version="3.0")
    assert status == 200, found
    assert people["ana"].predict("answer", ANSWER)[0] == 403


def test_another_site_s_page_cannot_use_a_person_s_login(admin):
    assert admin.page("POST", "/models/answer/invocations", ANSWER, Origin="https://elsewhere.example.org")[0] == 403


def test_a_request_may_be_large_and_is_not_throttled(admin):
    rows = {"dataframe_split": {"columns": ["x"], "data": [[0.123456789012345]] * 150_000}}
    status, values = admin.predict("answer", rows)
    assert status == 200 and len(values) == 150_000
    assert {admin.predict("answer", ANSWER)[0] for _ in range(300)} == {200}


def test_each_model_has_its_own_user_limits_and_no_network(host):
    units = {"answer": ("1073741824", "1s"), "iris": ("1610612736", "infinity")}
    for name, (memory, quota) in units.items():
        unit = f"labtrack-model-{name}@1.service"
        shown = dict(line.split("=", 1) for line in host.check_output(f"systemctl show {unit} -p User,MemoryMax,CPUQuotaPerSecUSec,MainPID").splitlines())
        assert (shown["User"], shown["MemoryMax"], shown["CPUQuotaPerSecUSec"]) == (f"lt-model-{name}", memory, quota)
        pid = shown["MainPID"]
        assert host.check_output(f"ps -o user:32= -p {pid}").strip() == f"lt-model-{name}"
        assert [line.split(":")[0].strip() for line in host.check_output(f"cat /proc/{pid}/net/dev").splitlines()[2:]] == ["lo"]
        state = host.check_output(f"cat /proc/{pid}/status")
        assert "NoNewPrivs:\t1" in state and "CapEff:\t0000000000000000" in state and "Seccomp:\t2" in state
        assert float(host.check_output(f"systemd-analyze security --no-pager {unit} | tail -1 | grep -o '[0-9.]*' | head -1")) < 2.5


def test_a_model_s_user_does_not_read_other_models(host):
    """What the running service sees of secrets and data says the scenario model_server_alternative, where the model itself looks."""
    assert host.run("runuser -u lt-model-answer -- ls /opt/labtrack/models/iris/versions").rc != 0
    assert host.run("runuser -u lt-model-answer -- cat /opt/labtrack/models/answer/versions/1/model/MLmodel").rc == 0
    assert "Authorization" not in host.check_output("journalctl --no-pager -u 'labtrack-model-answer@*'")


def test_both_start_with_the_machine(host):
    for unit in ("labtrack-model-answer@1.service", "labtrack-model-answer@1.socket", "labtrack-model-iris@1.service", "labtrack-models.timer"):
        assert host.check_output(f"systemctl is-enabled {unit}") == "enabled"


def test_the_job_of_the_timer_does_the_same(host):
    host.check_output("systemctl start labtrack-models.service")
    assert 'labtrack_job_last_run_success{job="models"} 1' in host.file("/var/lib/prometheus/node-exporter/labtrack_job_models.prom").content_string
    found = host.file("/var/lib/prometheus/node-exporter/labtrack_models.prom").content_string
    assert 'labtrack_model_up{model="iris"} 1' in found and 'labtrack_model_version{model="answer"} 1' in found
