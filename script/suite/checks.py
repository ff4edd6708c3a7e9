# SPDX-License-Identifier: GPL-3.0-or-later
"""The list of checks: one command each."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from suite.paths import ROOT, tool_environment


@dataclass(frozen=True)
class Check:
    """One command with a name; `undo` runs where the command was interrupted.

    `counts` says what it adds to the totals: itself, the tests that pytest ran in it, or both.
    """

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)
    counts: Literal["itself", "tests", "both"] = "itself"
    is_preparation: bool = False
    undo: list[str] = field(default_factory=list)

    def count(self, output: str, succeeded: bool) -> tuple[int, int]:
        """(passed, failed); a failure without a failed test counts as one, a preparation only where it fails."""
        passed, failed = count_tests(output) if self.counts != "itself" else (0, 0)
        if not succeeded:
            return passed, failed or 1
        if self.counts == "both" or (self.counts == "itself" and not self.is_preparation):
            passed += 1
        return passed, failed


def count_tests(output: str) -> tuple[int, int]:
    """(passed, failed) of every closing line of pytest in the output."""
    passed = failed = 0
    for summary in re.findall(r"^=* ?((?:\d+ \w+(?:, )?)+) in [\d.]+s", output, re.MULTILINE):
        numbers = {word.rstrip("s"): int(number) for number, word in re.findall(r"(\d+) (\w+)", summary)}
        passed += numbers.get("passed", 0)
        failed += numbers.get("failed", 0) + numbers.get("error", 0)
    return passed, failed


def _module(name: str) -> list[str]:
    return [sys.executable, "-m", name]


def _pytest(*arguments: str) -> list[str]:
    return [*_module("pytest"), "-q", "-p", "no:cacheprovider", *arguments]


def shell_files() -> list[str]:
    """Every tracked or new file that a POSIX shell or bash runs."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    found = []
    for name in names:
        path = ROOT / name
        if not path.is_file() or path.is_symlink() or path.suffix == ".j2":
            continue
        with path.open("rb") as stream:
            first = stream.readline(80)
        if re.match(rb"#!.*\b(ba|da)?sh\b", first) or path.suffix == ".sh":
            found.append(name)
    return sorted(found)


SUITE = {"PYTHONPATH": str(ROOT / "script")}


def fast_checks() -> list[Check]:
    """Everything that needs no container."""
    return [
        Check("ansible-lint", ["ansible-lint", "--offline", "--strict"]),
        Check("artefact", _module("suite.artefact"), SUITE),
        Check("contract", _pytest("tests/unit/contract"), counts="tests"),
        Check("unit", _pytest("tests/unit", "--ignore=tests/unit/contract", "--ignore=tests/unit/spool"), counts="tests"),
        Check("yamllint", ["yamllint", "--strict", "."]),
        Check("ruff", ["ruff", "check", "--no-cache", "."]),
        Check("shellcheck", ["shellcheck", *shell_files()]),
        Check("changelog", ["antsibull-changelog", "lint"]),
    ]


def sanity_check() -> Check:
    """ansible-test sanity on the built artefact."""
    return Check("sanity", _module("suite.sanity"), SUITE)


def spool_check() -> Check:
    """labtrack-spool with a real client and server of MLflow, in an environment of their own (700 MB)."""
    return Check("spool", _module("suite.spool"), SUITE, counts="tests")


def scenario_names() -> list[str]:
    """Every scenario; the integrated ones, which take longest, first."""
    names = [path.parent.name for path in (ROOT / "molecule").glob("*/molecule.yml")]
    return sorted(names, key=lambda name: (not name.startswith("site"), name))


def slow_scenarios() -> list[str]:
    """Scenarios that only `script/test all` and their names run: see pyproject.toml."""
    settings = tomllib.loads(Path(ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return settings["tool"]["labtrack"]["slow_scenarios"]


def scenario(name: str) -> Check:
    """One whole Molecule scenario."""
    return Check(name, ["molecule", "test", "-s", name], counts="both", undo=["molecule", "destroy", "-s", name])


def prepare_checks() -> list[Check]:
    """What scenarios need: a Docker engine, the images. Each runs after the one before."""
    return [Check("testbed", [*_module("testbed"), "images"], SUITE, is_preparation=True)]


def testbed(*arguments: str) -> str:
    """Standard output of a short testbed command."""
    return subprocess.run([*_module("testbed"), *arguments], cwd=ROOT, env=tool_environment(**SUITE), stdout=subprocess.PIPE, text=True, check=False).stdout
