# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line of script/test."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time

from suite.checks import Check, fast_checks, prepare_checks, sanity_check, scenario, scenario_names, slow_scenarios, spool_check, testbed
from suite.runner import Runner


def groups() -> dict[str, list[str]]:
    """Names that stand for several checks."""
    scenarios, slow = scenario_names(), slow_scenarios()
    fast = [check.name for check in fast_checks()]
    quick = [name for name in scenarios if name not in slow]
    return {
        "fast": fast,
        "scenarios": quick,
        "default": ["sanity", "spool", *fast, *quick],
        "all": ["sanity", "spool", *fast, *scenarios],
    }


def choose(names: list[str]) -> tuple[list[Check], list[Check]]:
    """(checks without containers, scenarios) that the names of the command line stand for."""
    local = {check.name: check for check in [*fast_checks(), sanity_check(), spool_check()]}
    scenarios, known = scenario_names(), groups()
    chosen = list(dict.fromkeys(single for name in names or ["default"] for single in known.get(name, [name])))
    for name in chosen:
        if name not in local and name not in scenarios:
            accepted = ", ".join([*known, *local, *scenarios])
            sys.exit(f"script/test: '{name}' is neither a check nor a scenario. Accepted: {accepted}.")
    return [local[name] for name in chosen if name in local], [scenario(name) for name in chosen if name in scenarios]


def jobs() -> int:
    """How many checks run side by side: LABTRACK_JOBS, or two."""
    value = os.environ.get("LABTRACK_JOBS", "2")
    if not value.isdigit() or int(value) < 1:
        sys.exit(f"script/test: LABTRACK_JOBS is '{value}'. Accepted: a whole number from 1. Correct or unset it.")
    return int(value)


def summary(runner: Runner, seconds: float) -> int:
    """Print the table and the closing line; the exit code."""
    print(f"\n{'check':34} {'passed':>7} {'failed':>7} {'seconds':>8}")
    for result in runner.results:
        print(f"{result.check.name:34} {result.passed:7} {result.failed:7} {result.seconds:8.0f}")
    passed = sum(result.passed for result in runner.results)
    failed = sum(result.failed for result in runner.results)
    print(f"{'':50} {seconds:8.0f}\n\n{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def run_scenarios(runner: Runner, scenarios: list[Check]) -> None:
    """Images first, then the scenarios; at the end nothing of this checkout is left, unless its test machines ran before."""
    print("Scenarios")
    if not runner.run(prepare_checks()):
        return
    before = testbed("ls", "--own")
    try:
        runner.run(scenarios)
    finally:
        if not before:
            testbed("purge", "--purpose", "test", "--own")


def main() -> int:
    """Run what was asked for."""
    known, slow = groups(), ", ".join(slow_scenarios()) or "none"
    parser = argparse.ArgumentParser(
        prog="script/test",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Check the collection. Without a name: every check, then every scenario that is not slow.",
        epilog=f"fast       {' '.join(known['fast'])}\n"
        "sanity     ansible-test on the built artefact\nspool      labtrack-spool with a real MLflow\n"
        f"scenarios  {' '.join(known['scenarios'])}\n"
        f"all        everything, and the slow scenarios: {slow}\n\n"
        "Logs are in .labtrack/log/. LABTRACK_JOBS is how many run side by side, two unless said.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="a group, a check or a scenario of the lists below")
    local, scenarios = choose(parser.parse_args().names)
    runner = Runner(jobs())
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    started = time.monotonic()
    try:
        if local:
            print("Checks without containers")
            runner.run(local)
        if scenarios:
            run_scenarios(runner, scenarios)
    except KeyboardInterrupt:
        print("\nscript/test: interrupted, what was running has been stopped and removed.", file=sys.stderr)
        return 130
    return summary(runner, time.monotonic() - started)


if __name__ == "__main__":
    sys.exit(main())
