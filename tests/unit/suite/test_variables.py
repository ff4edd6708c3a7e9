# SPDX-License-Identifier: GPL-3.0-or-later
"""script/variables: the table of a role's README."""

from __future__ import annotations

import pytest
from suite import variables

OPTIONS = {
    "x_port": {"type": "int", "default": 8080, "description": "Port."},
    "x_mode": {"type": "str", "default": "a|b", "choices": ["a|b", "c"], "description": ["One.", "With O(x_port)\nand V(c)."]},
    "x_password": {"type": "str", "required": True, "no_log": True, "description": "Secret."},
    "x_users": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "description": "People.",
        "options": {"name": {"type": "str", "required": True, "description": "Login."}},
    },
    "x_empty": {"type": "str", "default": "", "description": "Nothing."},
}


@pytest.fixture(autouse=True)
def example(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variables, "options", lambda _role: OPTIONS)


def test_rows() -> None:
    assert variables.table("x").splitlines()[2:] == [
        "| `x_port` | int | `8080` | Port. |",
        "| `x_mode` | str: `a\\|b`, `c` | `a\\|b` | One. With `x_port` and `c`. |",
        "| `x_password` | str, secret | **required** | Secret. |",
        "| `x_users` | list of dict | `[]` | People. |",
        "| `x_users[].name` | str | **required** | Login. |",
        "| `x_empty` | str | `''` | Nothing. |",
    ]


def test_the_table_is_replaced_and_the_rest_is_kept() -> None:
    before = f"# x\n\n{variables.MARKER}\nold\n{variables.MARKER}\n\nafter\n"
    after = variables.updated("x", before)
    assert after == f"# x\n\n{variables.MARKER}\n{variables.table('x')}{variables.MARKER}\n\nafter\n"
    assert variables.updated("x", after) == after


def test_one_marker_becomes_two() -> None:
    after = variables.updated("x", f"# x\n\n{variables.MARKER}\n")
    assert after == f"# x\n\n{variables.MARKER}\n{variables.table('x')}{variables.MARKER}\n"
    assert variables.updated("x", after) == after


def test_a_readme_without_a_place_is_refused() -> None:
    with pytest.raises(variables.VariablesError, match=r"roles/x/README.md has 0 lines"):
        variables.updated("x", "# x\n")
