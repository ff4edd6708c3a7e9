# SPDX-License-Identifier: GPL-3.0-or-later
"""Each alert's cause, made on the running machine: Alertmanager gets the alert, and forgets it when the cause is gone."""

from __future__ import annotations

import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from causes import ALONE, BUCKET, NOT_MADE, SLOW, STOPPED, TOGETHER
from rule_cases import CASES
from stack import wait_until
from testbed.site import scenario_host

MACHINE = scenario_host()["testbed_machine"]
SECONDS = 420  # a target that is no longer asked is remembered for five minutes
OF_THE_HOST = {"OutOfMemoryKill"}  # the kernel's counter: what else runs on it may be killed, too


def run(script, check=True):
    """A script on the machine, as root. What takes back a cause that was not made may fail."""
    command = ["docker", "exec", "-i", MACHINE, "sh", "-c", f"B={BUCKET}; {script}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0 or not check, f"{script}\n{done.stdout}{done.stderr}"


def quiet(stack):
    """Nothing is told any more."""
    wait_until(lambda: not stack.told() - OF_THE_HOST, 400, "no alert")


def test_every_alert_is_made_or_has_a_reason():
    made = {name for cause in [*TOGETHER, *ALONE, STOPPED, SLOW] for name in cause.alerts}
    assert made | set(NOT_MADE) == set(CASES)
    assert not made & set(NOT_MADE)


def test_what_can_be_wrong_together(stack):
    quiet(stack)
    wanted = {name for cause in TOGETHER for name in cause.alerts}
    seen: set[str] = set()

    def all_seen():
        for cause in TOGETHER:
            if cause.again:
                run(cause.again)
        seen.update(stack.told())
        return wanted <= seen

    try:
        for cause in TOGETHER:
            run(cause.make)
        run("systemctl start labtrack-bucket_metrics")
        wait_until(all_seen, SECONDS, f"all of {wanted}, missing at last")
    finally:
        print("fired:", sorted(seen & wanted), "missing:", sorted(wanted - seen))
        for cause in TOGETHER:
            run(cause.undo, check=False)
        run("systemctl start labtrack-bucket_metrics")
    quiet(stack)


@pytest.mark.parametrize("cause", ALONE, ids=lambda cause: "+".join(sorted(cause.alerts)))
def test_what_disturbs_others(stack, cause):
    try:
        run(cause.make)
        wait_until(lambda: cause.alerts <= stack.told(), SECONDS, f"{cause.alerts}")
    finally:
        run(cause.undo)
    quiet(stack)


def ask(site):
    """One REST call, whatever becomes of it."""
    site.status("/api/2.0/mlflow/experiments/search?max_results=1", "--max-time", "50", login=True)


def test_requests_that_fail(site, stack):
    try:
        run(STOPPED.make)

        def told():
            for _ in range(5):
                ask(site)
            return STOPPED.alerts <= stack.told()

        wait_until(told, SECONDS, "HighErrorRate")
    finally:
        run(STOPPED.undo)
    wait_until(lambda: site.status("/health") == 200)
    quiet(stack)


def test_requests_that_are_slow(site, stack):
    """MLflow is held for eight seconds at a time, with calls of 25 people waiting."""
    over = threading.Event()

    def people():
        while not over.is_set():
            ask(site)

    try:
        with ThreadPoolExecutor(25) as pool:
            for _ in range(25):
                pool.submit(people)

            def told():
                run(SLOW.make)
                over.wait(8)
                run(SLOW.undo)
                return SLOW.alerts <= stack.told()

            try:
                wait_until(told, SECONDS, "HighLatency")
            finally:
                over.set()
    finally:
        run(SLOW.undo)
    quiet(stack)
