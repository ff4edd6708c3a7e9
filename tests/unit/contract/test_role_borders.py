# SPDX-License-Identifier: GPL-3.0-or-later
"""A role touches its own variables; seams are the only border."""

from __future__ import annotations

import re

import pytest
import yaml
from contract.collection import ROLES, ROOT, constants, expressions, load, options, relative, role_files, seams, tasks, text_of
from jinja2.nativetypes import NativeEnvironment

pytestmark = pytest.mark.parametrize("role", ROLES)

CODE = ("tasks", "handlers", "templates", "defaults", "vars")
INVENTORY = re.compile(r"\bhostvars\b|\bgroup_names\b|\bgroups\[|\bgroups\.|\bin groups\b|\bgroups \|")
# Variables that Ansible itself sets and that are no injected facts.
MAGIC = (
    "become|check_mode|collection_name|connection|date_time_|diff_mode|facts|failed|host|index_var|inventory|local|loop|managed|parent_role"
    "|password|play|playbook|python_interpreter|role|run_tags|search_path|skip_tags|ssh|user|verbosity|version"
)
INJECTED_FACT = re.compile(rf"(?<![\w.])ansible_(?!{MAGIC})\w+")
REQUIRED = re.compile(r"^\(required")
# Values for seams without a default, so that defaults made of them can be compared.
SAMPLE = {"site_fqdn": "mlflow.example.org", "site_admin_cidrs": ["192.0.2.0/24"], "site_client_cidrs": ["192.0.2.0/24"]}


def evaluate(expression: str) -> object:
    """The value of a Jinja expression at the sample site."""
    known = {name: yaml.safe_load(value) for name, value in seams().items() if "site_" not in value and not REQUIRED.match(value)}
    return NativeEnvironment().compile_expression(expression, undefined_to_none=False)(**{**known, **SAMPLE})


def listed_default(seam: str) -> object:
    """The value that docs/interfaces.md gives the seam at the sample site."""
    text = seams()[seam]
    if "{{" in text:
        return evaluate(re.sub(r"\{\{ (\w+) \}\}(.*)", r"\1 ~ '\2'", text))
    return evaluate(text) if "site_" in text else yaml.safe_load(text)


def arguments_of_default(text: str) -> list[tuple[str, str]]:
    """(seam, argument of its default filter) for each seam of the text; no argument: an empty string."""
    found = []
    for match in re.finditer(r"\b(site_\w+)(\s*\|\s*default\()?", text):
        if not match[2]:
            found.append((match[1], ""))
            continue
        depth, end = 1, match.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        argument = re.sub(r",\s*true$", "", text[match.end() : end - 1].strip())
        found.append((match[1], argument))
    return found


def test_defaults_read_listed_seams_with_the_listed_default(role: str) -> None:
    for path in role_files(role, "defaults"):
        for seam, argument in arguments_of_default(text_of(path)):
            assert seam in seams(), f"{seam} is not listed in docs/interfaces.md"
            if REQUIRED.match(seams()[seam]):
                continue
            assert argument, f"{seam} needs a default filter"
            assert evaluate(argument) == listed_default(seam), f"{seam}: default({argument}), listed {seams()[seam]}"


def test_only_defaults_read_seams(role: str) -> None:
    for path in role_files(role, "tasks", "handlers", "templates", "vars"):
        used = set(re.findall(r"\bsite_\w+", expressions(path))) - {"site_preflight_passed"}
        assert not used & set(seams()), relative(path)


def test_no_variable_of_another_role_is_read(role: str) -> None:
    foreign = {name for other in ROLES if other != role for name in [*options(other), *constants(other)]}
    foreign -= {*options(role), *constants(role)}
    for path in role_files(role, *CODE):
        assert not set(re.findall(r"(?<![\w.])\w+", expressions(path))) & foreign, relative(path)


def test_no_role_knows_the_inventory(role: str) -> None:
    for path in role_files(role, *CODE):
        assert not INVENTORY.findall(expressions(path)), relative(path)


def test_facts_are_read_from_ansible_facts(role: str) -> None:
    for path in role_files(role, *CODE):
        assert not INJECTED_FACT.findall(expressions(path)), relative(path)


def test_internals_have_the_internal_prefix(role: str) -> None:
    prefix = f"__{role}_"
    table = (ROOT / "docs" / "interfaces.md").read_text(encoding="utf-8").partition("| published |")[2]
    published = {f"{role}_packages", *re.findall(rf"^\| `({role}_\w+)`", table, re.M)}
    assert not [name for name in constants(role) if not name.startswith(prefix) and name not in published]
    for path in role_files(role, "tasks", "handlers"):
        for task in tasks(path):
            names = [task.get("register"), task.get("loop_control", {}).get("loop_var"), *task.get("ansible.builtin.set_fact", {})]
            wrong = [name for name in names if name and not name.startswith(prefix) and name != "cacheable"]
            assert not wrong, f"{relative(path)}: {task.get('name')}"


def test_role_has_no_dependencies(role: str) -> None:
    assert load(ROOT / "roles" / role / "meta" / "main.yml")["dependencies"] == []
