# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory changes: who is gone is refused at once by every process, the administrator cannot be locked out, a slip does not remove the lab."""

from __future__ import annotations

import json
import os
import re
import subprocess

import pytest
from conftest import BUNDLES, MACHINE, password_of

testinfra_hosts = [f"docker://{MACHINE}"]
ROUNDS = 40
PATHS = ("/api/2.0/mlflow/users/get?username={}", "/api/3.0/mlflow/users/current/permissions", "/ajax-api/3.0/mlflow/users/current/permissions")
API, ASGI = (f"/run/labtrack-mlflow-main/{name}.sock" for name in ("api", "asgi"))


def everybody_but(declared: dict, *names: str) -> list[dict]:
    return [user for user in declared["site_users"] if user["name"] not in names]


def statuses(host, name: str, password: str) -> set[str]:
    """What each socket answers in many connections, so that every process is met."""
    found = ""
    for socket in (API, ASGI):
        urls = " ".join([f"http://localhost{PATHS[0].format(name)} -o /dev/null"] * ROUNDS)
        config = f'user = "{name}:{password}"'
        command = (
            f"runuser -u www-data -- curl -s --no-keepalive -H 'Connection: close' -w '%{{http_code}} ' -K - --unix-socket {socket} {urls} <<'E'\n{config}\nE"
        )
        found += host.check_output(command)
    assert len(found.split()) == 2 * ROUNDS
    return set(found.split())


def changed(done) -> int:
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    return int(re.search(r"changed=(\d+)", done.stdout)[1])


def message(done) -> str:
    assert done.returncode
    return " ".join((done.stdout + done.stderr).split())


def test_bundles_are_for_their_owners_only(declared):
    folders = [path for path in BUNDLES.iterdir() if path.name != ".pattern"]
    assert {path.name for path in folders} == {user["name"] for user in declared["site_users"]}
    assert {path.stat().st_mode & 0o777 for path in folders} == {0o700}
    assert {path.stat().st_mode & 0o777 for path in BUNDLES.glob("p*/docker.env")} == {0o600}
    assert not [path for path in BUNDLES.glob("p*/*") if b"placeholder" in path.read_bytes()]
    assert {path.stat().st_mode & 0o777 for path in BUNDLES.glob("*/credentials")} == {0o600}
    assert len({password_of(user["name"]) for user in declared["site_users"]}) == 50


def test_a_new_person_s_bundle_works():
    foreign = ("MLFLOW_", "REQUESTS_", "CURL_", "SSL_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign) and not name.lower().endswith("_proxy")}
    done = subprocess.run(
        ["bash", "-c", 'source "$0/mlflow_env.sh" && labtrack-doctor --json', str(BUNDLES / "p06")],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads(done.stdout)
    assert report["works"] and "logged in as 'p06'" in str(report["checks"]), report


def test_there_are_two_processes_for_the_api(host):
    assert 'LABTRACK_API_WORKERS="2"' in host.file("/etc/labtrack/mlflow/main/environment").content_string


def test_a_removed_person_is_refused_at_once_by_every_process(host, declared, play, person, admin):
    gone, password = "p05", password_of("p05")
    assert statuses(host, gone, password) == {"200"}
    made = person(gone).ask("POST", "experiments/create", {"name": "work-of-p05"})[1]["experiment_id"]
    assert "user p05" in play("--check", "--diff", site_users=everybody_but(declared, gone)).stdout
    assert statuses(host, gone, password) == {"200"}
    assert changed(play(site_users=everybody_but(declared, gone))) == 1
    assert statuses(host, gone, password) == {"401"}
    assert person(gone, password).page("GET", "/")[0] == 401
    # the work stays, and the others have not noticed anything
    assert admin.ask("GET", "experiments/get", experiment_id=made)[1]["experiment"]["lifecycle_stage"] == "active"
    assert statuses(host, "p10", password_of("p10")) == {"200"}
    assert changed(play(site_users=everybody_but(declared, gone))) == 0


def test_who_comes_back_is_somebody_new(host, declared, play, admin):
    earlier = password_of("p05")
    done = play("-vvv", "--diff")
    assert changed(done) == 2  # and the bundle
    assert password_of("p05") not in done.stdout + done.stderr
    assert password_of("p05") != earlier
    assert statuses(host, "p05", password_of("p05")) == {"200"} and statuses(host, "p05", earlier) == {"401"}
    work = admin.ask("GET", "experiments/get-by-name", experiment_name="work-of-p05")[1]["experiment"]["experiment_id"]
    assert admin.ask("POST", "experiments/delete", {"experiment_id": work})[0] == 200


def test_a_permission_and_a_membership_are_taken_away_at_once(declared, play, person, admin):
    imaging = admin.ask("GET", "experiments/get-by-name", experiment_name="imaging")[1]["experiment"]["experiment_id"]
    member, guest = person("p10"), person("p06")
    assert [who.ask("GET", "experiments/get", experiment_id=imaging)[0] for who in (member, guest)] == [200, 200]
    users = [{**user, "groups": [] if user["name"] == "p10" else user["groups"]} for user in declared["site_users"]]
    permissions = [row for row in declared["site_permissions"] if row.get("group") != "theory" or row.get("experiment") != "imaging"]
    assert changed(play(site_users=users, site_permissions=permissions)) == 1
    assert [who.ask("GET", "experiments/get", experiment_id=imaging)[0] for who in (member, guest)] == [403, 403]
    assert changed(play()) == 1
    assert [who.ask("GET", "experiments/get", experiment_id=imaging)[0] for who in (member, guest)] == [200, 200]


def test_a_new_password_ends_the_earlier_one(host, play, declared):
    earlier = password_of("p20")
    assert changed(play(tracking_access_logins_renewed=["p20"])) == 2
    assert password_of("p20") in (BUNDLES / "p20" / "docker.env").read_text(encoding="utf-8")
    assert statuses(host, "p20", earlier) == {"401"} and statuses(host, "p20", password_of("p20")) == {"200"}


def test_the_administrator_is_not_locked_out(declared, play, admin, site):
    users = [*declared["site_users"], {"name": site.user, "groups": ["dry"], "admin": False}]
    assert changed(play(site_users=users)) == 1
    assert admin.ask("GET", "roles/list", version="3.0")[0] == 200
    assert changed(play(tracking_access_users_exclusive=True)) == 1  # only the membership
    rows = admin.ask("GET", "users/list")[1]["users"]
    assert {row["username"] for row in rows if row["is_admin"]} == {site.user, "p49"}


def test_what_was_made_by_hand_stays_until_the_inventory_is_all_there_is(declared, play, admin, person):
    assert admin.ask("POST", "users/create", {"username": "visitor", "password": "a-long-password"})[0] == 200
    role = admin.ask("POST", "roles/create", {"workspace": "default", "name": "by-hand"}, version="3.0")[1]["role"]["id"]
    assert admin.ask("POST", "roles/assign", {"username": "p00", "role_id": role}, version="3.0")[0] == 200
    done = play()
    assert changed(done) == 0 and "no inventory has declared them: visitor" in " ".join(done.stdout.split())
    assert "by-hand" in message(play(site_groups=[*declared["site_groups"], {"name": "by-hand"}]))
    assert changed(play(tracking_access_users_exclusive=True)) == 1
    assert person("visitor", "a-long-password").ask("GET", "users/get", username="visitor")[0] == 401
    assert admin.ask("DELETE", "roles/delete", {"role_id": role}, version="3.0")[0] == 200


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"site_users": [{"name": "p00"}], "site_permissions": []}, "removals_max has '10': 49 people would be removed"),
        ({"site_users": [{"name": "p 0"}]}, "tracking_access_users has 'p 0': that name cannot be used"),
        ({"site_groups": [{"name": "imaging"}]}, "there is no such group. Accepted: groups (imaging)"),
        ({"site_experiments": []}, ""),
        ({"site_permissions": [{"group": "wet", "experiment": "typo", "permission": "READ"}]}, "experiment typo': MLflow has no such thing"),
        ({"site_permissions": [{"group": "wet", "experiment": "wet", "permission": "WRITE"}]}, "there is no such permission. Accepted: READ, USE"),
    ],
)
def test_bad_input_changes_nothing(play, admin, variables, words):
    before = admin.ask("GET", "users/list")
    done = play(**variables)
    assert (words in message(done)) if words else changed(done) == 0
    assert admin.ask("GET", "users/list") == before


def test_at_the_end_all_is_as_declared(play):
    assert changed(play()) == 0


def test_the_small_modules_through_tls(play, site, tmp_path):
    login = tmp_path / "credentials"
    login.write_text(f"[mlflow]\nmlflow_tracking_username = {site.user}\nmlflow_tracking_password = {site.password}\n", encoding="utf-8")
    variables = {"uri": f"https://{site.address}", "ca": str(site.ca_file), "credentials": str(login)}
    assert changed(play("--check", playbook="modules.yml", **variables)) == 5
    done = play("-vvv", "--diff", playbook="modules.yml", **variables)
    assert changed(done) == 5
    assert site.password not in done.stdout + done.stderr and "first-password-of-mo" not in done.stdout + done.stderr
    assert changed(play(playbook="modules.yml", **variables)) == 0
    assert changed(play(playbook="modules.yml", wanted="absent", **variables)) == 4
    assert changed(play(playbook="modules.yml", wanted="absent", **variables)) == 0
