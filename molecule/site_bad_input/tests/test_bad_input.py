# SPDX-License-Identifier: GPL-3.0-or-later
"""Each mistake is refused before anything is changed, with the variable, its value, what is accepted, what to do."""

from __future__ import annotations

import re

import pytest
from cases import CASES


def test_the_machine_without_mistakes_passes(outcome):
    assert "good" not in outcome.messages, outcome.messages["good"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_mistake(outcome, case):
    assert case.name in outcome.messages, "it was let through"
    message = outcome.messages[case.name]
    for pattern in case.expected:
        assert re.search(pattern, message), message


def test_nothing_was_changed(outcome):
    assert outcome.changed == 0
    assert outcome.before == outcome.after


def test_there_are_thirty():
    assert len(CASES) >= 30
