# SPDX-License-Identifier: GPL-3.0-or-later
"""Specification, defaults and README of a role say the same; secrets are marked as such."""

from __future__ import annotations

import pytest
from contract.collection import PRINTABLE_TYPES, ROLES, SECRET_NAME, defaults, nested, options, specification
from suite import variables

pytestmark = pytest.mark.parametrize("role", ROLES)


def test_entry_points_main_and_preflight_share_their_options(role: str) -> None:
    assert specification(role)["preflight"].get("options", {}) == options(role)


def test_every_entry_point_is_described(role: str) -> None:
    for name, entry in specification(role).items():
        assert entry.get("short_description"), f"{name} has no short_description"


def test_defaults_hold_the_same_keys_in_the_same_order(role: str) -> None:
    assert list(defaults(role)) == [name for name, option in options(role).items() if not option.get("required")]


def test_defaults_hold_the_same_values(role: str) -> None:
    specified = {name: option["default"] for name, option in options(role).items() if "default" in option}
    assert defaults(role) == specified


def test_an_option_is_required_or_has_a_default(role: str) -> None:
    unclear = [name for name, option in options(role).items() if bool(option.get("required")) == ("default" in option)]
    assert not unclear


def test_readme_shows_the_table_of_today(role: str) -> None:
    readme = variables.path_of(role).read_text(encoding="utf-8")
    assert readme == variables.updated(role, readme), f"run script/variables {role}"


def test_every_option_is_described(role: str) -> None:
    assert not [name for name, option in nested(options(role)) if not option.get("description")]


def test_names_begin_with_the_role(role: str) -> None:
    assert not [name for name in options(role) if not name.startswith(f"{role}_")]


def test_secrets_are_hidden(role: str) -> None:
    """A failing choice or type prints the value even where no_log is set, so a secret is a plain string."""
    for name, option in nested(options(role)):
        last, kind = name.rsplit(".", 1)[-1], option.get("type", "str")
        if not SECRET_NAME.search(last) or kind in PRINTABLE_TYPES or last.endswith(("_file", "_dir")):
            continue
        assert option.get("no_log") is True, f"{name} needs no_log: true"
        assert "choices" not in option, f"{name} must not have choices"
        assert kind in ("str", "dict") or option.get("elements") in ("str", "dict"), f"{name} is {kind}"
