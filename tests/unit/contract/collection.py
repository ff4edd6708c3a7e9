# SPDX-License-Identifier: GPL-3.0-or-later
"""What the contract tests read of this collection: roles, their variables, the table of seams."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if (path / "tasks").is_dir())
SECRET_NAME = re.compile(r"password|secret|token|private_key|passphrase")
PRINTABLE_TYPES = ("bool", "float", "int", "path")
KEYS_OF_EXPRESSIONS = ("when", "until", "failed_when", "changed_when", "that", "var")
MARKED = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
KEYS_OF_BLOCKS = ("block", "rescue", "always")


class _Loader(yaml.SafeLoader):
    """YAML with Ansible's own tags read as plain text."""


for _tag in ("!vault", "!unsafe", "!vault-encrypted"):
    _Loader.add_constructor(_tag, lambda loader, node: loader.construct_scalar(node))


def load(path: Path) -> Any:
    """A YAML file."""
    return _Loader(path.read_text(encoding="utf-8")).get_single_data()


@cache
def tracked() -> list[Path]:
    """Every file that is, or would be, in git."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file() and not (ROOT / name).is_symlink()]


def text_of(path: Path) -> str:
    """The text of a file, empty for a binary one."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


def relative(path: Path) -> str:
    """The path as a person writes it."""
    return str(path.relative_to(ROOT))


@cache
def specification(role: str) -> dict[str, Any]:
    """Every entry point of the role, none where it has no such file."""
    path = ROOT / "roles" / role / "meta" / "argument_specs.yml"
    return load(path)["argument_specs"] if path.exists() else {"main": {}}


def options(role: str) -> dict[str, Any]:
    """The options of the main entry point."""
    return specification(role)["main"].get("options", {})


def nested(found: dict[str, Any], prefix: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Every option, sub-options included, by its full name."""
    result = []
    for name, option in found.items():
        result.append((prefix + name, option))
        result += nested(option.get("options", {}), f"{prefix}{name}.")
    return result


@cache
def defaults(role: str) -> dict[str, Any]:
    """The role's defaults, empty where it has no such file."""
    path = ROOT / "roles" / role / "defaults" / "main.yml"
    return (load(path) or {}) if path.exists() else {}


@cache
def constants(role: str) -> dict[str, Any]:
    """The role's vars/, all files."""
    result: dict[str, Any] = {}
    for path in sorted((ROOT / "roles" / role / "vars").glob("*.yml")):
        result.update(load(path) or {})
    return result


def role_files(role: str, *folders: str) -> list[Path]:
    """The role's YAML files and templates in the folders."""
    base = ROOT / "roles" / role
    return sorted(path for folder in folders for path in (base / folder).rglob("*") if path.is_file() and path.suffix != ".pyc")


def _strings(found: Any, is_expression: bool = False) -> list[str]:
    """Every Jinja expression of some YAML content; string literals inside are emptied."""
    if isinstance(found, dict):
        return [text for key, value in found.items() for text in _strings(value, key in KEYS_OF_EXPRESSIONS)]
    if isinstance(found, list):
        return [text for value in found for text in _strings(value, is_expression)]
    if not isinstance(found, str):
        return []
    return [found] if is_expression else MARKED.findall(found)


def expressions(path: Path) -> str:
    """The Jinja code of a YAML file or template, without its string literals."""
    return _without_literals(_strings(load(path)) if path.suffix == ".yml" else MARKED.findall(text_of(path)))


def expressions_of(task: dict[str, Any]) -> str:
    """The Jinja code of a task."""
    return _without_literals(_strings(task))


def _without_literals(found: list[str]) -> str:
    return "\n".join(re.sub(r"'[^']*'|\"[^\"]*\"", "''", text) for text in found)


def tasks(path: Path) -> list[dict[str, Any]]:
    """Every task of a file, those of blocks included, blocks themselves too."""
    return _flatten(load(path) or [])


def _flatten(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    result = []
    for task in found:
        result.append(task)
        for key in KEYS_OF_BLOCKS:
            result += _flatten(task.get(key, []))
    return result


@cache
def seams() -> dict[str, str]:
    """The table of docs/interfaces.md: name of the seam, text of its default."""
    rows = re.findall(r"^\| (`site_.+?) \| .+? \| (.+?) \|", (ROOT / "docs" / "interfaces.md").read_text(encoding="utf-8"), re.MULTILINE)
    return {name: default.strip("`") for names, default in rows for name in re.findall(r"site_\w+", names)}
