# SPDX-License-Identifier: GPL-3.0-or-later
"""site_lock: one run at a time, a message for the second, and no lock that a killed run leaves for ever."""

from __future__ import annotations

import os
import subprocess

import pytest
from ansible_collections.labtrack.mlflow.plugins.action import site_lock as action
from ansible_collections.labtrack.mlflow.plugins.module_utils._site_lock import (
    GRACE_SECONDS,
    LEASE_SECONDS,
    Holder,
    SiteLock,
    SiteLockedError,
    connection_of,
    is_open,
    start_time,
)

NOW = 1_800_000_000.0


@pytest.fixture
def lock(tmp_path):
    return SiteLock(str(tmp_path / "run" / "site.lock"))


def ada(**more):
    return Holder(**{"token": "laptop|1|x", "who": "ada@laptop", "purpose": "site.yml", "since": NOW, **more})


def grace(**more):
    return Holder(**{"token": "desk|2|y", "who": "grace@desk", "purpose": "upgrade.yml", "since": NOW + 60, **more})


def own_process():
    return f"{os.getpid()}:{start_time(os.getpid())}"


def test_the_second_is_told_who_when_and_what_to_do(lock):
    lock.take(ada(connection=own_process()))
    with pytest.raises(SiteLockedError) as raised:
        lock.take(grace())
    message = raised.value.args[0]
    for words in ("'site.yml' of ada@laptop", "2027-01-15 08:00 UTC", "1 min; it is connected", "Accepted: one run at a time", "site_lock_take_over=true"):
        assert words in message


def test_given_back_it_is_free(lock):
    lock.take(ada())
    assert lock.give_back("laptop|1|x", "site.yml") == ""
    assert lock.take(grace()) is None


def test_a_run_may_take_it_again_and_a_part_of_it_does_not_give_it_back(lock):
    lock.take(ada(purpose="upgrade.yml"))
    lock.take(ada(purpose="site.yml"))
    lock.give_back("laptop|1|x", "site.yml")
    with pytest.raises(SiteLockedError, match="upgrade"):
        lock.take(grace())


def test_a_run_that_its_computer_knows_to_be_dead_is_no_obstacle(lock):
    lock.take(ada())
    assert lock.take(grace(), dead="laptop|1|x").who == "ada@laptop"


def test_only_that_very_run_counts_as_dead(lock):
    lock.take(ada())
    with pytest.raises(SiteLockedError):
        lock.take(grace(), dead="laptop|1|earlier")


@pytest.mark.parametrize(("connection", "seconds"), [("999999999:5", GRACE_SECONDS), ("", LEASE_SECONDS)])
def test_a_killed_run_of_another_computer_is_waited_for_and_then_forgotten(lock, connection, seconds):
    lock.take(ada(connection=connection))
    with pytest.raises(SiteLockedError, match="no connection of it is open, and its lock ends at"):
        lock.take(grace(since=NOW + seconds - 1))
    assert lock.take(grace(since=NOW + seconds + 1))


def test_a_run_that_is_connected_keeps_it_for_as_long_as_it_takes(lock):
    lock.take(ada(connection=own_process()))
    with pytest.raises(SiteLockedError):
        lock.take(grace(since=NOW + 100 * LEASE_SECONDS))


def test_another_process_with_the_same_number_is_not_the_connection():
    assert is_open(own_process())
    assert not is_open(f"{os.getpid()}:1")
    assert not is_open("")


def test_taken_over_by_force_the_first_one_hears_of_it(lock):
    lock.take(ada())
    lock.take(grace(), force=True)
    assert "'upgrade.yml' of grace@desk has taken" in lock.give_back("laptop|1|x", "site.yml")
    with pytest.raises(SiteLockedError):
        lock.take(ada())


@pytest.mark.parametrize("left", ["", "{", "[]", '{"token": 1}'])
def test_what_a_full_disk_left_is_no_lock(lock, tmp_path, left):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "site.lock").write_text(left)
    assert lock.take(ada()) is None


def test_a_reboot_frees_it(lock, tmp_path):
    lock.take(ada())
    (tmp_path / "run" / "site.lock").unlink()
    assert lock.give_back("laptop|1|x", "site.yml") == ""
    assert lock.take(grace()) is None


def test_the_connection_is_the_sshd_above(tmp_path):
    for pid, name, parent in ((30, "python3", 20), (20, "sudo", 10), (10, "sshd-session", 1)):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "status").write_text(f"Name:\t{name}\nPPid:\t{parent}\n")
        (tmp_path / str(pid) / "stat").write_text(f"{pid} (a b) S {' '.join(str(number) for number in range(2, 40))}\n")
    assert connection_of(30, tmp_path) == "10:20"
    assert connection_of(10**9) == ""


def test_this_computer_knows_whether_a_run_has_ended():
    assert not action.has_ended(action.token_of(os.getpid()))
    ended = subprocess.Popen(["sleep", "100"])
    token = action.token_of(ended.pid)
    assert not action.has_ended(token)
    ended.kill()
    ended.wait()
    assert action.has_ended(token)
    assert not action.has_ended("elsewhere|1|x")
    assert not action.has_ended("")
