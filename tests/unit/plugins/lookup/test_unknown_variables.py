# SPDX-License-Identifier: GPL-3.0-or-later
"""Misspelt variables are found, and nobody else's."""

from __future__ import annotations

import re
from pathlib import Path

from ansible_collections.labtrack.mlflow.plugins.module_utils._variables import SEAMS, unknown_variables

ROLES = {"object_store": ["object_store_bucket"], "object_store_server": ["object_store_server_port"]}


def test_known_and_foreign_names_are_left_alone():
    assert unknown_variables(["object_store_bucket", "object_store_server_port", "site_fqdn", "ansible_host", "vault_x", "__object_store_x"], ROLES) == []


def test_a_misspelt_option_is_named_with_the_nearest():
    (problem,) = unknown_variables(["object_store_bukcet"], ROLES)
    assert problem.startswith("object_store_bukcet is set")
    assert "'object_store_bucket'" in problem


def test_a_misspelt_seam_is_named():
    (problem,) = unknown_variables(["site_fqnd"], ROLES)
    assert "'site_fqdn'" in problem


def test_nothing_near_points_to_the_readme():
    (problem,) = unknown_variables(["object_store_zzzzzzzzzzzzzzzzzzzzzz"], ROLES)
    assert "README" in problem


def test_seams_are_those_of_the_document():
    text = (Path(__file__).resolve().parents[4] / "docs" / "interfaces.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in text.split("## Recorded state")[0].splitlines() if line.startswith("| `site_")]
    assert {name for row in rows for name in re.findall(r"`(site_\w+)`", row)} == SEAMS
