# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What happened to each host of a run, as JSON and as a page. Plain Python, knows nothing of Ansible."""

from __future__ import annotations

import html
from pathlib import Path

KEPT = 40
OUTCOMES = {"done": "done", "unchanged": "nothing to do", "failed": "failed", "unreachable": "not reachable", "stopped": "stopped"}
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #1d2733 }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .45rem .6rem; border-bottom: 1px solid #d5dce4 }
.failed, .unreachable, .stopped { color: #9f1d20; font-weight: 600 } .done, .unchanged { color: #1f6b36; font-weight: 600 }
pre { white-space: pre-wrap; background: #f5f7f9; padding: .6rem; margin: .3rem 0 0 } ul { margin: 0; padding-left: 1.1rem }
caption { text-align: left; padding: .4rem 0 }
@media (prefers-color-scheme: dark) { body { background: #14181d; color: #dfe6ee } pre { background: #1f252c } th, td { border-color: #313a44 }
  .failed, .unreachable, .stopped { color: #ff8a8a } .done, .unchanged { color: #7fd79a } }
"""


class Host:
    """One host: its steps (roles) with seconds and changes, and how it ended."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.steps: dict[str, dict[str, float | int]] = {}
        self.failure: dict[str, str] = {}
        self.facts: dict[str, str] = {}
        self.finished = True

    def add(self, step: str, seconds: float, changed: bool) -> None:
        """A task of a step has ended."""
        entry = self.steps.setdefault(step, {"seconds": 0.0, "changes": 0})
        entry["seconds"] = round(entry["seconds"] + seconds, 2)
        entry["changes"] += int(changed)

    def fail(self, kind: str, task: str, message: str) -> None:
        """The first failure counts: the others follow from it."""
        if not self.failure:
            self.failure = {"kind": kind, "task": task, "message": message}

    @property
    def outcome(self) -> str:
        """One of the keys of OUTCOMES."""
        if self.failure:
            return self.failure["kind"]
        if not self.finished:
            return "stopped"
        return "done" if any(step["changes"] for step in self.steps.values()) else "unchanged"

    def as_dict(self) -> dict[str, object]:
        """For the JSON report."""
        seconds = round(sum(step["seconds"] for step in self.steps.values()), 2)
        return {"host": self.name, "outcome": self.outcome, **self.facts, "seconds": seconds, "steps": self.steps, "failure": self.failure or None}


def report(playbook: str, started: str, seconds: float, hosts: list[Host]) -> dict[str, object]:
    """The whole report; `seconds` is the wall time of the run."""
    rows = [host.as_dict() for host in sorted(hosts, key=lambda host: host.name)]
    counts = {key: sum(row["outcome"] == key for row in rows) for key in OUTCOMES}
    return {"playbook": playbook, "started": started, "seconds": round(seconds, 1), "counts": counts, "hosts": rows}


def _steps(row: dict[str, object]) -> str:
    items = [
        f"<li>{html.escape(name)}: {step['seconds']:.1f} s{', ' + str(step['changes']) + ' changed' if step['changes'] else ''}</li>"
        for name, step in row["steps"].items()
    ]
    changes = sum(step["changes"] for step in row["steps"].values())
    return f"<details><summary>{len(items)} steps{f', {changes} changed' if changes else ''}</summary><ul>{''.join(items)}</ul></details>"


def _row(row: dict[str, object]) -> str:
    failure = row["failure"]
    cause = f"{html.escape(failure['task'])}<pre>{html.escape(failure['message'])}</pre>" if failure else ""
    shown = [html.escape(str(row.get(key, ""))) for key in ("site", "host", "url", "versions")]
    outcome = f'<td class="{row["outcome"]}">{OUTCOMES[row["outcome"]]}</td>'
    return f"<tr>{''.join(f'<td>{text}</td>' for text in shown)}{outcome}<td>{row['seconds']:.0f} s</td><td>{_steps(row)}</td><td>{cause}</td></tr>"


def page(data: dict[str, object]) -> str:
    """The report as one HTML page without anything from elsewhere."""
    counts = ", ".join(f"{count} {OUTCOMES[key]}" for key, count in data["counts"].items() if count) or "no hosts"
    title = f"{html.escape(data['playbook'])}, {html.escape(data['started'])}"
    head = "".join(f"<th>{name}</th>" for name in ("Site", "Host", "Address", "Versions", "Outcome", "Time", "Steps", "Cause"))
    rows = "\n".join(_row(row) for row in data["hosts"])
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style></head>\n'
        f"<body><h1>{title}</h1><table><caption>{counts}; {data['seconds']:.0f} s in all</caption><tr>{head}</tr>\n{rows}\n</table></body></html>\n"
    )


def write(folder: Path, name: str, contents: dict[str, str]) -> list[Path]:
    """Write `<name><suffix>` for each suffix, readable for the owner only, and remove the oldest beyond KEPT; the paths."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    paths = []
    for suffix, text in contents.items():
        path = folder / f"{name}{suffix}"
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        paths.append(path)
        for old in sorted(folder.glob(f"*{suffix}"))[:-KEPT]:
            old.unlink()
    return paths
