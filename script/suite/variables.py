# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of variables in a role's README.md, generated from its argument specification."""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

from suite.paths import ROOT

MARKER = "<!-- variables -->"
HEADER = "| variable | type | default | meaning |\n|---|---|---|---|\n"
MARKUP = re.compile(r"\b([BICVOERLUMP])\(([^()]*)\)")


class VariablesError(Exception):
    """A README or specification that cannot be used; one sentence."""


def roles() -> list[str]:
    """Names of the roles that have a specification."""
    return sorted(path.parent.parent.name for path in ROOT.glob("roles/*/meta/argument_specs.yml"))


def options(role: str) -> dict[str, Any]:
    """The options of the role's main entry point."""
    text = (ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    return yaml.safe_load(text)["argument_specs"]["main"].get("options", {})


def _prose(description: str | list[str]) -> str:
    text = " ".join([description] if isinstance(description, str) else description)
    text = MARKUP.sub(lambda match: f"`{match[2]}`" if match[1] in "CVOERMP" else match[2], text)
    return " ".join(text.split()).replace("|", "\\|")


def _code(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split()).replace("|", "\\|")
    return f"`{text}`" if text else "`''`"


def _type(option: dict[str, Any]) -> str:
    kind = option.get("type", "str")
    if kind == "list":
        kind = f"list of {option.get('elements', 'str')}"
    if option.get("choices"):
        kind += ": " + ", ".join(_code(choice) for choice in option["choices"])
    return f"{kind}, secret" if option.get("no_log") else kind


def _default(option: dict[str, Any]) -> str:
    if option.get("required"):
        return "**required**"
    return _code(option["default"]) if option.get("default") is not None else ""


def _rows(found: dict[str, Any], prefix: str = "") -> list[str]:
    rows = []
    for name, option in found.items():
        cells = [f"`{prefix}{name}`", _type(option), _default(option), _prose(option.get("description", ""))]
        rows.append("| " + " | ".join(cells) + " |\n")
        if option.get("options"):
            suffix = "[]." if option.get("type") == "list" else "."
            rows += _rows(option["options"], f"{prefix}{name}{suffix}")
    return rows


def table(role: str) -> str:
    """The generated table."""
    return HEADER + "".join(_rows(options(role)))


def updated(role: str, readme: str) -> str:
    """The README with the table of today.

    Raises:
        VariablesError: the place of the table is not marked.
    """
    parts = readme.split(MARKER)
    if len(parts) not in (2, 3):
        raise VariablesError(f"roles/{role}/README.md has {len(parts) - 1} lines '{MARKER}'. Accepted: two, around the table. Add them.")
    return f"{parts[0]}{MARKER}\n{table(role)}{MARKER}\n{parts[-1].lstrip() and chr(10) + parts[-1].lstrip()}"


def path_of(role: str) -> Path:
    """The role's README.md."""
    return ROOT / "roles" / role / "README.md"


def main() -> int:
    """Write the tables, or say which are out of date."""
    parser = argparse.ArgumentParser(prog="script/variables", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, fail where a table is out of date")
    parser.add_argument("roles", nargs="*", metavar="ROLE")
    arguments = parser.parse_args()
    stale = 0
    for role in arguments.roles or roles():
        if role not in roles():
            sys.exit(f"script/variables: '{role}' is no role with a specification. Accepted: {', '.join(roles())}.")
        path = path_of(role)
        try:
            before = path.read_text(encoding="utf-8") if path.exists() else ""
            after = updated(role, before)
        except VariablesError as error:
            print(f"script/variables: {error}", file=sys.stderr)
            stale += 1
            continue
        if before == after:
            continue
        if arguments.check:
            print(f"roles/{role}/README.md is out of date: run script/variables {role}")
            stale += 1
        else:
            path.write_text(after, encoding="utf-8")
            print(f"roles/{role}/README.md written")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
