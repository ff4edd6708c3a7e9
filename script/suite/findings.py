# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a failed check's output a reader needs: Molecule ends by removing the machines, so the end of the log alone does not say why."""

from __future__ import annotations

import re

MOST_LINES = 60
END_LINES = 20
RESULT_LINES = 15

# pytest's reasons and its closing list; Ansible's failed tasks; Molecule's and a program's own last words
_REASON = re.compile(r"^(E   |(FAILED|ERROR) \S+::|CRITICAL (?!'molecule/default)|\w*Error: |=+ .*\b(failed|error)\b.* in [\d.]+s)")
_FAILED_TASK = re.compile(r"^(fatal|failed): \[")
_TASK = re.compile(r"^(TASK|RUNNING HANDLER) \[")


def findings(output: str) -> list[str]:
    """The lines that say what failed, then the end; at most MOST_LINES + END_LINES lines."""
    lines = output.splitlines()
    found: list[str] = []
    task = ""
    for number, line in enumerate(lines):
        if _TASK.match(line):
            task = line.rstrip("* ")
        elif _FAILED_TASK.match(line):
            found += [task, line, *_indented(lines[number + 1 : number + 1 + RESULT_LINES])]
        elif _REASON.match(line):
            found.append(line)
    # the closing lines matter more than the first ones
    return [*found[-MOST_LINES:], "…", *lines[-END_LINES:]]


def _indented(lines: list[str]) -> list[str]:
    """The lines before the first that is not indented."""
    return lines[: next((number for number, line in enumerate(lines) if not line.startswith(" ")), len(lines))]
