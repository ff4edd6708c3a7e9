# SPDX-License-Identifier: GPL-3.0-or-later
"""The attacked site and its people."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "script"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from attacked import API3, GATEWAY, ROWS, Person, new_person, on_machine
from testbed.load import Caller
from testbed.site import Site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The deployed site. The tests' own address is not banned, except where a ban is wanted."""
    on_machine("fail2ban-client", "set", "labtrack-login", "addignoreip", GATEWAY)
    return Site.of_scenario(tmp_path_factory.mktemp("ca") / "ca.pem")


@pytest.fixture(scope="session")
def admin(site: Site) -> Person:
    """The first administrator."""
    return Person(site.user, Caller(site, site.user, site.password))


@pytest.fixture(scope="session")
def alice(site: Site, admin: Person) -> Person:
    """Somebody who wants to be left alone."""
    return new_person(site, admin, "alice")


@pytest.fixture(scope="session")
def mallory(site: Site, admin: Person, alice: Person) -> Person:
    """A plain user who may not see what alice has."""
    person = new_person(site, admin, "mallory")
    admin.made(
        API3 + "users/permissions/grant", {"username": person.name, "resource_type": "experiment", "resource_id": alice.experiment, "permission": "DENY"}
    )
    return person


@pytest.fixture
def table():
    """Remember a row: attack, answer."""
    return lambda attack, answer: ROWS.append((attack, str(answer)))


def pytest_terminal_summary(terminalreporter) -> None:
    """Print what was tried."""
    terminalreporter.write_sep("-", "attack | answer")
    for attack, answer in ROWS:
        terminalreporter.write_line(f"{attack:75} | {answer}")
