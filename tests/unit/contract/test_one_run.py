# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook that changes a machine takes its lock before it calls a role there, and gives it back at its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from contract.collection import KEYS_OF_BLOCKS, ROOT, load

MODULE = "labtrack.mlflow.site_lock"
# nothing of the site is changed, or a job that waits for its own kind is begun
WITHOUT = {"backup", "check_site", "client_bundle", "hpc_client", "new_site", "status", "tracking_client", "usage", "verify_backup"}
PURPOSES = {"deploy": "site.yml"}
# not within a container of tasks: the machine does not exist before, or goes as a whole
BEFORE = {"labtrack.mlflow.openstack_server"}
CHANGING = sorted(path for path in (ROOT / "playbooks").glob("*.yml") if path.stem not in {*WITHOUT, "site"})


def flat(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Tasks, those of blocks included."""
    found = []
    for task in tasks:
        inner = [each for key in KEYS_OF_BLOCKS for each in task.get(key, [])]
        found += flat(inner) if inner else [task]
    return found


def plays(path: Path) -> list[dict[str, Any]]:
    """Plays that log in to machines of the site."""
    return [play for play in load(path) if "tasks" in play and play["hosts"] != "localhost"]


def locks(path: Path, state: str) -> list[dict[str, Any]]:
    """The tasks that take the lock, or give it back."""
    return [task for play in plays(path) for task in flat(play["tasks"]) if MODULE in task and task[MODULE].get("state", "held") == state]


@pytest.mark.parametrize("path", CHANGING, ids=lambda path: path.stem)
def test_it_is_taken_and_given_back_for_the_same_purpose(path: Path) -> None:
    purpose = PURPOSES.get(path.stem, path.name)
    taken, freed = locks(path, "held"), locks(path, "free")
    assert taken and freed
    assert {task[MODULE]["purpose"] for task in taken + freed} == {purpose}
    assert all(task[MODULE]["take_over"] == "{{ site_lock_take_over | default(false) }}" for task in taken)
    assert {task.get("when") for task in taken} == {task.get("when") for task in freed}


@pytest.mark.parametrize("path", CHANGING, ids=lambda path: path.stem)
def test_giving_it_back_is_the_end(path: Path) -> None:
    assert MODULE in flat(plays(path)[-1]["tasks"])[-1]


@pytest.mark.parametrize("path", CHANGING, ids=lambda path: path.stem)
def test_no_role_comes_before_it(path: Path) -> None:
    for play in plays(path):
        for task in flat(play["tasks"]):
            if MODULE in task:
                return
            role = task.get("ansible.builtin.import_role", task.get("ansible.builtin.include_role", {})).get("name")
            # destroy.yml's first play removes machines as a whole
            assert role is None or role in BEFORE or play["hosts"] == "openstack_servers", f"{path.name}: {task['name']}"
