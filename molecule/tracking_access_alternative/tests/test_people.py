# SPDX-License-Identifier: GPL-3.0-or-later
"""MLflow 3.15 on TCP: what people may do, and an inventory that is all there is."""

from __future__ import annotations

import configparser
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

SCENARIO = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
CELLS = "Cells, 2026/27 [ünïcode]"


def ask(host, login: tuple[str, str], method: str, path: str, body: dict | None = None, version: str = "2.0") -> tuple[int, dict]:
    """Status and JSON; the login is no argument."""
    data = f"-H 'Content-Type: application/json' -d '{json.dumps(body)}'" if body is not None else ""
    url = f"http://127.0.0.1:5000/api/{version}/mlflow/{path}"
    command = f"curl -s -m 60 -w '\\n%{{http_code}}' -K - -X {method} {data} '{url}' <<'E'\nuser = \"{':'.join(login)}\"\nE"
    text, _, status = host.check_output(command).rpartition("\n")
    return int(status), json.loads(text) if text.startswith("{") else {}


def read(text: str) -> tuple[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(text)
    return parser["mlflow"]["mlflow_tracking_username"], parser["mlflow"]["mlflow_tracking_password"]


def login(name: str) -> tuple[str, str]:
    return read((SCENARIO / "logins" / name / "credentials").read_text(encoding="utf-8"))


def play(**variables) -> subprocess.CompletedProcess[str]:
    """The role again, with other variables."""
    playbook = Path(__file__).resolve().parents[1] / "converge.yml"
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(SCENARIO / "inventory"), str(playbook), "--tags", "tracking_access"]
    root = playbook.parents[2]
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(root / "collections"), "NO_COLOR": "1"}
    return subprocess.run([*command, "-e", json.dumps(variables)], cwd=root, env=environment, capture_output=True, text=True, check=False)


def changed(done) -> int:
    assert done.returncode == 0, done.stdout[-3000:]
    return int(re.search(r"changed=(\d+)", done.stdout)[1])


@pytest.fixture
def chief(host) -> tuple[str, str]:
    return read(host.check_output("cat /etc/labtrack-chief"))


def test_the_version_is_the_oldest_one(host, chief):
    assert host.check_output(f"curl -s -K - http://127.0.0.1:5000/version <<'E'\nuser = \"{':'.join(chief)}\"\nE") == "3.15.2"


def test_what_people_may_do(host, chief):
    status, answer = ask(host, chief, "GET", f"experiments/get-by-name?experiment_name={quote(CELLS)}")
    cells = answer["experiment"]["experiment_id"]
    assert (status, answer["experiment"]["tags"]) == (200, [{"key": "kind", "value": "test"}])
    run = {"experiment_id": cells, "start_time": 1}
    tag = {"name": "a.model", "key": "k", "value": "v"}
    assert ask(host, login("ana@lab.example"), "POST", "runs/create", run)[0] == 200
    assert ask(host, login("bo"), "GET", f"experiments/get?experiment_id={cells}")[0] == 200  # MLflow's default is READ
    assert ask(host, login("bo"), "POST", "runs/create", run)[0] == 403
    assert [ask(host, login(name), "POST", "registered-models/set-tag", tag)[0] for name in ("ana@lab.example", "bo")] == [200, 200]
    assert ask(host, login("bo"), "DELETE", "registered-models/delete", {"name": "a.model"})[0] == 403
    assert ask(host, login("chris"), "GET", "users/list")[0] == 200


def test_people_and_roles_made_by_hand(host, chief):
    assert ask(host, chief, "POST", "users/create", {"username": "visitor", "password": "a-long-password"})[0] == 200
    role = ask(host, chief, "POST", "roles/create", {"workspace": "default", "name": "day"}, "3.0")[1]["role"]["id"]
    assert ask(host, chief, "POST", "roles/assign", {"username": "visitor", "role_id": role}, "3.0")[0] == 200
    assert changed(play(tracking_access_groups=[{"name": "night shift"}, {"name": "day"}])) == 1
    assert ask(host, ("visitor", "a-long-password"), "GET", "users/get?username=visitor")[0] == 401
    rows = {row["name"]: row for row in ask(host, chief, "GET", "roles/list", version="3.0")[1]["roles"]}
    assert rows["day"]["id"] == role and rows["day"]["description"].endswith("Managed by Ansible.")
    assert changed(play()) == 1 and changed(play()) == 0


def test_a_permission_that_this_version_does_not_have(host, chief):
    done = play(tracking_access_permissions=[{"user": "bo", "experiment": "*", "permission": "DENY"}])
    assert done.returncode and "permissions has 'DENY': MLflow 3.15.2 does not know it" in " ".join(done.stdout.split())
    assert changed(play()) == 0
    assert ask(host, login("bo"), "GET", f"experiments/get-by-name?experiment_name={quote(CELLS)}")[0] == 200


def test_no_more_than_one_person_goes_at_once(host, chief):
    done = play(tracking_access_users=[{"name": "chris", "admin": True}], tracking_access_permissions=[], tracking_access_groups=[])
    assert done.returncode and "removals_max has '1': 2 people would be removed" in " ".join(done.stdout.split())
    assert ask(host, login("bo"), "GET", "users/get?username=bo")[0] == 200
