# SPDX-License-Identifier: GPL-3.0-or-later
"""A role whose arguments deploy.yml does not validate has been validated, with the same options, by check_machine.yml."""

from __future__ import annotations

from typing import Any

from contract.collection import ROOT, load, specification

ANY = "any host"


def imports(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Imported roles: name, entry point, whether arguments are validated, condition."""
    found = [(task, task["ansible.builtin.import_role"]) for task in tasks if "ansible.builtin.import_role" in task]
    return [
        {
            "role": role["name"].rpartition(".")[2],
            "entry": role.get("tasks_from", "main"),
            "validated": role.get("rolespec_validate", True),
            "when": task.get("when", ANY),
        }
        for task, role in found
    ]


def test_what_is_not_validated_again_was_validated_before() -> None:
    checked = {item["role"]: item for item in imports(load(ROOT / "playbooks" / "tasks" / "check_machine.yml"))}
    deployed = [item for item in imports(load(ROOT / "playbooks" / "deploy.yml")[0]["tasks"]) if not item["validated"]]
    assert deployed
    for item in deployed:
        before = checked[item["role"]]
        assert before["validated"] and before["entry"] == "preflight"
        assert before["when"] in (ANY, item["when"]), f"{item['role']} runs where it was not checked"
        options = specification(item["role"])
        assert options[item["entry"]]["options"] == options["preflight"]["options"], f"{item['role']}: {item['entry']} has other options"


def test_a_machine_is_deployed_only_when_it_was_checked() -> None:
    tasks = load(ROOT / "playbooks" / "deploy.yml")[0]["tasks"]
    first = next(number for number, task in enumerate(tasks) if "ansible.builtin.import_role" in task)
    checks = [task for task in tasks[:first] if "tasks/check_machine.yml" in str(task.get("ansible.builtin.include_tasks"))]
    assert [task["when"] for task in checks] == ["not (site_preflight_passed | default(false))"]
