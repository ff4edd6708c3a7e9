# SPDX-License-Identifier: GPL-3.0-or-later
"""Every role has the same shape, and its files fit a screen."""

from __future__ import annotations

import re

import pytest
from contract.collection import KEYS_OF_BLOCKS, ROLES, ROOT, SECRET_NAME, expressions_of, load, nested, options, relative, role_files, tasks, text_of
from suite.variables import MARKER

pytestmark = pytest.mark.parametrize("role", ROLES)

LINES_MAIN, LINES = 40, 80
PURPOSES = {"preflight", "install", "configure", "service", "check"}
FILES = ["meta/main.yml", "meta/argument_specs.yml", "tasks/main.yml", "tasks/preflight.yml", "README.md"]


def test_files_are_there(role: str) -> None:
    assert not [name for name in FILES if not (ROOT / "roles" / role / name).is_file()]


def test_two_scenarios_are_there(role: str) -> None:
    assert not [name for name in (role, f"{role}_alternative") if not (ROOT / "molecule" / name / "molecule.yml").is_file()]


def test_task_files_fit_a_screen(role: str) -> None:
    for path in role_files(role, "tasks", "handlers"):
        limit = LINES_MAIN if path == ROOT / "roles" / role / "tasks" / "main.yml" else LINES
        assert len(text_of(path).splitlines()) <= limit, relative(path)


def test_readme_has_its_chapters(role: str) -> None:
    readme = (ROOT / "roles" / role / "README.md").read_text(encoding="utf-8")
    for expected in ("# ", "```yaml\n", "## Idempotence\n", "## Rollback\n", MARKER):
        assert expected in readme, f"no '{expected.strip()}'"


def test_main_is_a_table_of_contents(role: str) -> None:
    """Imports; includes where a condition usually skips the whole file (one skipped task, not a dozen); a block may set the defaults of modules."""
    for task in tasks(ROOT / "roles" / role / "tasks" / "main.yml"):
        if "module_defaults" in task:
            assert set(task) == {"name", "module_defaults", "block"}
            continue
        included = task.get("ansible.builtin.include_tasks", {})
        assert "ansible.builtin.import_tasks" in task or (included and "when" in task), task.get("name")
        tags = task.get("tags", [])
        assert role in tags, f"{task.get('name')}: no tag '{role}'"
        assert set(tags) & PURPOSES, f"{task.get('name')}: none of the tags {sorted(PURPOSES)}"
        assert not included or included["apply"]["tags"] == tags, f"{task.get('name')}: its tasks have other tags"


def test_task_names_begin_with_their_file(role: str) -> None:
    """The imports of main.yml are never printed and have no prefix."""
    for path in role_files(role, "tasks"):
        prefix = "" if path.name == "main.yml" else rf"{path.stem} \| "
        for task in tasks(path):
            if set(task) & {*KEYS_OF_BLOCKS} and "name" not in task:
                continue
            assert re.match(rf"{prefix}[A-Z{{][^|]+$", task.get("name", "")), f"{relative(path)}: {task.get('name')}"


def test_tags_are_set_in_main_only(role: str) -> None:
    for path in role_files(role, "tasks"):
        if path.name != "main.yml":
            assert not [task["name"] for task in tasks(path) if "tags" in task], relative(path)


def test_tasks_with_a_secret_hide_their_output(role: str) -> None:
    """Assertions print no values, and this collection's own modules hide their secret arguments themselves."""
    secrets = {name for name, option in nested(options(role)) if option.get("no_log") and "." not in name and SECRET_NAME.search(name)}
    for path in role_files(role, "tasks", "handlers"):
        for task in tasks(path):
            if set(task) & {*KEYS_OF_BLOCKS, "ansible.builtin.assert"} or any(key.startswith("labtrack.mlflow.") for key in task):
                continue
            code = expressions_of({key: value for key, value in task.items() if key != "when"})
            used = [name for name in secrets if re.search(rf"\b{name}\b", code)]
            assert not used or task.get("no_log"), f"{relative(path)}: {task['name']}: {used} without no_log"


def test_secrets_of_config_files_are_marked(role: str) -> None:
    secrets = {name for name, option in nested(options(role)) if option.get("no_log") and "." not in name}
    for path in role_files(role, "tasks"):
        for task in tasks(path):
            files = task.get("labtrack.mlflow.config_files", {}).get("files", [])
            for entry in files if isinstance(files, list) else []:
                used = [name for name in secrets if re.search(rf"\b{name}\b", str(entry))]
                assert not used or entry.get("secret") or task.get("no_log"), f"{relative(path)}: {entry.get('dest')}: {used}"


def test_metadata_names_licence_and_platforms(role: str) -> None:
    found = load(ROOT / "roles" / role / "meta" / "main.yml")["galaxy_info"]
    assert found["license"] == "GPL-3.0-or-later"
    assert found["min_ansible_version"] == "2.19"
    assert [platform for platform in found["platforms"] if platform["name"] == "Debian"][0]["versions"] == ["bookworm", "trixie"]


def test_numbers_are_compared_as_numbers(role: str) -> None:
    """`-e name=5` gives a text, and the specification does not convert it: '5' * 2 is '55', '10' < '9' holds."""
    names = "|".join(sorted((name for name, option in options(role).items() if option["type"] == "int"), key=len, reverse=True))
    if not names:
        return
    calculated = re.compile(rf"\b({names})\s*([-+*/<>]|%(?!}})|[=!]=)|([-+*/%<>]=?|[=!]=)\s*({names})\b(?!\s*\|\s*int)")
    found = []
    for path in role_files(role, "tasks", "templates", "vars", "handlers"):
        lines = [line for line in text_of(path).splitlines() if not re.match(r"\s*(#|- \{name: )", line)]
        found += [f"{relative(path)}: {line.strip()}" for line in lines if calculated.search(line)]
    assert not found
