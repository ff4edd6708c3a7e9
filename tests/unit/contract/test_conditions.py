# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-core 2.19 and newer refuse a condition that is a list or a mapping, but only when the task runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jinja2
import pytest
from contract.collection import KEYS_OF_EXPRESSIONS, ROOT, load, relative
from jinja2 import nodes

KEYS = {*KEYS_OF_EXPRESSIONS} - {"var"}
COLLECTIONS = {
    "combine",
    "dict2items",
    "difference",
    "intersect",
    "items2dict",
    "list",
    "map",
    "reject",
    "rejectattr",
    "select",
    "selectattr",
    "split",
    "union",
}
FILES = sorted(path for place in ("roles", "playbooks") for path in (ROOT / place).rglob("*.yml") if {"tasks", "handlers", "playbooks"} & {*path.parts})


def is_collection(node: nodes.Node) -> bool:
    """Whether the expression may give a list or a mapping."""
    if isinstance(node, nodes.And | nodes.Or):
        return is_collection(node.left) or is_collection(node.right)
    if isinstance(node, nodes.CondExpr):
        return is_collection(node.expr1) or bool(node.expr2 and is_collection(node.expr2))
    if isinstance(node, nodes.Filter):
        return node.name in COLLECTIONS or (node.name == "default" and bool(node.args) and is_collection(node.args[0]))
    return isinstance(node, nodes.List | nodes.Dict)


def conditions(found: Any) -> Iterator[str]:
    """Every condition below a parsed file."""
    if isinstance(found, list):
        for item in found:
            yield from conditions(item)
    elif isinstance(found, dict):
        for key, value in found.items():
            if key in KEYS:
                yield from (str(item) for item in (value if isinstance(value, list) else [value]) if not isinstance(item, dict))
            else:
                yield from conditions(value)


def broken(text: str) -> bool:
    """Whether a condition is one that is refused."""
    return is_collection(jinja2.Environment(autoescape=True).parse("{{ " + text + " }}").body[0].nodes[0])


@pytest.mark.filterwarnings("ignore:invalid escape")  # regular expressions in YAML
@pytest.mark.parametrize("path", FILES, ids=relative)
def test_conditions_are_true_or_false(path):
    assert [text for text in conditions(load(path)) if broken(text)] == []


@pytest.mark.parametrize("text", ["a | intersect(['b'])", "a and b | default([])", "a | map('trim') | list if b else c", "a or {}"])
def test_what_is_refused_is_seen(text):
    assert broken(text)


@pytest.mark.parametrize(
    "text", ["a | intersect(['b']) | length > 0", "not (a or b | list)", "a | default('') == ''", "a is defined", "'b' in a | list", "true"]
)
def test_what_is_accepted_is_not(text):
    assert not broken(text)
