# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may read, write and delete what: 50 people, 7 experiments, 5 models, each asked for through the API with the first password."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

# what each permission opens, from MLflow's documentation
OPENS = {"": "", "READ": "r", "USE": "r", "EDIT": "rw", "MANAGE": "rwd", "DENY": ""}


def rights(declared: dict, user: dict, kind: str, name: str) -> str:
    """Letters of what the declaration opens: the union of all entries, unless one of them denies."""
    if user.get("admin"):
        return "rwd"
    groups = {*user["groups"], "everybody"}
    rows = [row for row in declared["site_permissions"] if row.get(kind) in (name, "*") and (row.get("user") == user["name"] or row.get("group") in groups)]
    if any(row["permission"] == "DENY" for row in rows):
        return ""
    return max((OPENS[row["permission"]] for row in rows), key=len, default="")


def names(declared: dict, kind: str) -> list[str]:
    return [row["name"] for row in declared[f"site_{kind}s"]]


def table(declared: dict, letter: str) -> dict[tuple[str, str, str], bool]:
    """What is expected of one kind of request."""
    return {
        (user["name"], kind, name): letter in rights(declared, user, kind, name)
        for user in declared["site_users"]
        for kind in ("experiment", "registered_model")
        for name in names(declared, kind)
    }


def told(wrong: dict) -> str:
    """A failure that can be read."""
    return "\n".join(f"{key}: {value}" for key, value in list(wrong.items())[:20])


@pytest.fixture(scope="module")
def places(admin, declared) -> dict[str, tuple[str, str]]:
    """Experiments with their id and a run of the administrator."""
    found = {}
    for name in names(declared, "experiment"):
        experiment = admin.ask("GET", "experiments/get-by-name", experiment_name=name)[1]["experiment"]["experiment_id"]
        found[name] = (experiment, admin.ask("POST", "runs/create", {"experiment_id": experiment, "start_time": 1})[1]["run"]["info"]["run_id"])
    return found


def verdicts(statuses: dict) -> dict[tuple[str, str, str], bool]:
    """Whether each request was allowed; all answers are yes or no, and requests of one person for one thing agree."""
    assert set().union(*statuses.values()) <= {200, 403}, told({key: value for key, value in statuses.items() if not value <= {200, 403}})
    assert not (mixed := {key: value for key, value in statuses.items() if len(value) != 1}), told(mixed)
    return {key: value == {200} for key, value in statuses.items()}


def together(declared, person, places, questions) -> dict:
    """Ask for all people, a few at the same time, each over their own connection."""

    def of(user: dict) -> dict:
        who, answers = person(user["name"]), {}
        for name, (experiment, run) in places.items():
            answers[user["name"], "experiment", name] = {who.ask(*question)[0] for question in questions("experiment", experiment, run)}
        for name in names(declared, "registered_model"):
            answers[user["name"], "registered_model", name] = {who.ask(*question)[0] for question in questions("registered_model", name, "")}
        return answers

    with ThreadPoolExecutor(4) as pool:
        return {key: value for answers in pool.map(of, declared["site_users"]) for key, value in answers.items()}


def differences(found: dict, expected: dict) -> dict:
    return {key: f"allowed: {found[key]}, declared: {expected[key]}" for key in expected if found[key] != expected[key]}


def test_who_may_read(declared, person, places):
    def questions(kind, thing, run):
        if kind == "experiment":
            return [("GET", f"experiments/get?experiment_id={thing}"), ("GET", f"runs/get?run_id={run}"), ("GET", f"artifacts/list?run_id={run}")]
        return [("GET", f"registered-models/get?name={thing}")]

    found = verdicts(together(declared, person, places, questions))
    assert not (wrong := differences(found, table(declared, "r"))), told(wrong)
    assert len(found) == 50 * 12 and 100 < sum(found.values()) < 500


def test_who_may_write(declared, person, places):
    def questions(kind, thing, run):
        if kind == "experiment":
            metric = {"run_id": run, "key": "m", "value": 1, "timestamp": 1}
            return [("POST", "runs/log-metric", metric), ("POST", "runs/create", {"experiment_id": thing, "start_time": 1})]
        return [("POST", "registered-models/set-tag", {"name": thing, "key": "k", "value": "v"})]

    found = verdicts(together(declared, person, places, questions))
    assert not (wrong := differences(found, table(declared, "w"))), told(wrong)


def test_who_may_delete(declared, person, places, admin):
    """One after the other; the administrator brings back what has gone, and finds it where it was."""
    found = {}
    models = {row["name"]: row["description"] for row in declared["site_registered_models"]}
    for user in declared["site_users"]:
        who = person(user["name"])
        for name, (experiment, run) in places.items():
            statuses = {who.ask("POST", "runs/delete", {"run_id": run})[0], who.ask("POST", "experiments/delete", {"experiment_id": experiment})[0]}
            if 200 in statuses:
                assert admin.ask("POST", "experiments/restore", {"experiment_id": experiment})[0] == 200
                assert admin.ask("POST", "runs/restore", {"run_id": run})[0] == 200
            found[user["name"], "experiment", name] = statuses
        for name in models:
            status = who.ask("DELETE", "registered-models/delete", {"name": name})[0]
            if status == 200:
                assert admin.ask("POST", "registered-models/create", {"name": name, "description": models[name]})[0] == 200
            found[user["name"], "registered_model", name] = {status}
    allowed = verdicts(found)
    assert not (wrong := differences(allowed, table(declared, "d"))), told(wrong)
    assert sum(allowed.values()) > 20


def test_lists_show_what_may_be_read(declared, person):
    for user in declared["site_users"][:15]:
        who = person(user["name"])
        rows = who.ask("POST", "experiments/search", {"max_results": 100})[1].get("experiments", [])
        assert {row["name"] for row in rows} == {name for name in names(declared, "experiment") if "r" in rights(declared, user, "experiment", name)} | (
            {"Default"} if "robots" in user["groups"] else set()
        )
        rows = who.ask("GET", "registered-models/search", max_results="100")[1].get("registered_models", [])
        assert {row["name"] for row in rows} == {
            name for name in names(declared, "registered_model") if "r" in rights(declared, user, "registered_model", name)
        }


def test_nobody_looks_after_others(person):
    ana = person("p00")
    assert ana.ask("GET", "users/get", username="p01")[0] == 403
    assert ana.ask("GET", "users/permissions/list", version="3.0", username="p01")[0] == 403
    assert ana.ask("POST", "users/create", {"username": "friend", "password": "a-long-password"})[0] == 403
    assert ana.ask("PATCH", "users/update-password", {"username": "p01", "password": "a-long-password"})[0] == 403
    assert ana.ask("PATCH", "users/update-admin", {"username": "p00", "is_admin": True})[0] == 403
    assert ana.ask("DELETE", "users/delete", {"username": "p01"})[0] == 403
    assert ana.ask("GET", "roles/list", version="3.0")[0] == 403
    grant = {"username": "p00", "resource_type": "experiment", "resource_id": "*", "permission": "MANAGE"}
    assert ana.ask("POST", "users/permissions/grant", grant, version="3.0")[0] == 403


def test_what_somebody_makes_is_theirs(person):
    ana, bo = person("p00"), person("p06")
    made = ana.ask("POST", "experiments/create", {"name": "of-p00"})[1]["experiment_id"]
    assert bo.ask("GET", "experiments/get", experiment_id=made)[0] == 403
    grant = {"username": "p06", "resource_type": "experiment", "resource_id": made, "permission": "READ"}
    assert ana.ask("POST", "users/permissions/grant", grant, version="3.0")[0] == 200
    assert bo.ask("GET", "experiments/get", experiment_id=made)[0] == 200
    assert bo.ask("POST", "experiments/delete", {"experiment_id": made})[0] == 403
    assert ana.ask("POST", "experiments/delete", {"experiment_id": made})[0] == 200
