# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for the repository as a whole: no hidden failures, dependencies that are met, a clean artefact."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import pytest
from contract.collection import KEYS_OF_BLOCKS, ROLES, ROOT, expressions, load, relative, role_files, tasks, text_of, tracked
from packaging.specifiers import SpecifierSet
from suite.artefact import build
from suite.paths import tool_environment

HIDING = {
    "ignore_errors": r"^\s*-?\s*ignore_errors\s*:",
    "ignore_unreachable": r"^\s*-?\s*ignore_unreachable\s*:",
    "a pause": r"^\s*-?\s*(ansible\.builtin\.)?pause\s*:",
    "a lint skip": r"#\s*no" + r"qa\b|yamllint\s+disable|pylint:\s*disable|shellcheck\s+disable|skip_ansible" + r"_lint",
}
LINES_PLUGIN = 200
# sent to another interpreter as one text, so it cannot be split
LINES_ONE_PIECE = {"_s3_probe.py": 240}
NOT_SHIPPED = re.compile(r"^(\.|collections/|molecule/|script/|tests/|requirements/dev|pyproject\.toml)|\.tar\.gz$|__pycache__|\.pyc$")
OWN = ("ansible.builtin", "labtrack.mlflow")
KEYWORD = re.compile(r"^[a-z_]+\.[a-z_]+\.[a-z_0-9]+$")


@pytest.mark.parametrize("what", HIDING)
def test_nothing_hides_a_failure(what: str) -> None:
    pattern = re.compile(HIDING[what], re.MULTILINE)
    checked = [path for path in tracked() if path.suffix in (".yml", ".yaml", ".py", ".sh", ".j2", "") and path.name != "test_repository.py"]
    assert not [relative(path) for path in checked if pattern.search(text_of(path))]


@pytest.mark.parametrize("role", ROLES)
def test_a_result_that_may_fail_is_judged_later(role: str) -> None:
    code = "\n".join(expressions(path) for path in role_files(role, "tasks", "handlers", "templates", "vars"))
    for path in role_files(role, "tasks", "handlers"):
        for task in tasks(path):
            if task.get("failed_when") is False:
                assert task.get("register"), f"{relative(path)}: {task['name']} can fail unseen"
                assert re.search(rf"\b{task['register']}\b", code), f"{relative(path)}: nothing reads {task['register']}"


def test_plays_have_names() -> None:
    for path in (ROOT / "playbooks").glob("*.yml"):
        assert not [play for play in load(path) if "name" not in play], relative(path)


def test_plugins_fit_their_limit() -> None:
    for path in (ROOT / "plugins").rglob("*.py"):
        assert len(text_of(path).splitlines()) <= LINES_ONE_PIECE.get(path.name, LINES_PLUGIN), relative(path)


def test_python_files_name_their_licence() -> None:
    python = [path for path in tracked() if path.suffix == ".py" and text_of(path).strip()]
    assert not [relative(path) for path in python if "SPDX-License-Identifier: GPL-3.0-or-later" not in text_of(path)]


@pytest.mark.parametrize("site", sorted(path.parent.name for path in (ROOT / "inventories").glob("*/hosts.yml")))
def test_example_inventory_parses(site: str) -> None:
    assert hosts_of(f"inventories/{site}")


def test_each_site_of_the_example_with_several_has_its_own_name_and_cloud() -> None:
    parts = sorted(relative(path.parent) for path in (ROOT / "inventories" / "example_multi_site").glob("*/hosts.yml"))
    found = hosts_of(*parts)
    assert len(found) == len(parts) - 1  # beside common
    for name in ("site_name", "site_cloud", "site_fqdn"):
        assert len({variables[name] for variables in found.values()}) == len(found)
    assert all(variables["object_store_credentials"] == "create" for variables in found.values())


def hosts_of(*inventories: str) -> dict[str, dict[str, Any]]:
    """Variables by host."""
    sources = [word for name in inventories for word in ("-i", name)]
    command = [str(Path(sys.executable).parent / "ansible-inventory"), *sources, "--list"]
    done = subprocess.run(command, cwd=ROOT, env=tool_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["_meta"]["hostvars"]


def bundled_version(collection: str) -> str:
    """The version of a collection that the ansible package brings along."""
    path = Path(str(distribution("ansible").locate_file("ansible_collections"))) / collection.replace(".", "/") / "MANIFEST.json"
    return json.loads(path.read_text(encoding="utf-8"))["collection_info"]["version"]


@pytest.mark.parametrize(("collection", "accepted"), load(ROOT / "galaxy.yml")["dependencies"].items())
def test_dependency_is_met_by_the_ansible_package(collection: str, accepted: str) -> None:
    assert bundled_version(collection) in SpecifierSet(accepted)


def test_modules_come_from_declared_collections() -> None:
    declared = (*OWN, *load(ROOT / "galaxy.yml")["dependencies"])
    for role in ROLES:
        for path in role_files(role, "tasks", "handlers"):
            for task in tasks(path):
                names = [key for key in task if KEYWORD.match(key)]
                assert names or set(task) & {*KEYS_OF_BLOCKS}, f"{relative(path)}: {task.get('name')}: no full module name"
                assert not [name for name in names if name.rpartition(".")[0] not in declared], f"{relative(path)}: {task.get('name')}"


def test_artefact_holds_no_development_files(tmp_path: Path) -> None:
    with tarfile.open(build(tmp_path)) as archive:
        names = [member.name for member in archive.getmembers() if member.isfile()]
    assert "roles" in {name.split("/")[0] for name in names}
    assert not [name for name in names if NOT_SHIPPED.search(name)]


def test_scripts_can_be_run() -> None:
    for path in (ROOT / "script").iterdir():
        if path.is_file() and text_of(path).startswith("#!"):
            assert path.stat().st_mode & 0o111, relative(path)
