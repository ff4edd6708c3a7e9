# SPDX-License-Identifier: GPL-3.0-or-later
"""The usage report as a page beside the status page, and looking like it. What people have named is escaped."""

from __future__ import annotations

from typing import Any

from site_status import STYLE, amount, moment, text
from text import kinds

ROWS = 500
NUMBERS = {
    "runs": "runs",
    "runs_deleted": "of them deleted",
    "metric_points": "metric points",
    "params": "parameters",
    "traces": "traces",
    "logged_models": "models",
    "model_versions": "versions",
    "objects": "objects",
    "bytes": "bytes",
}
EXTRA = """
body { max-width: 90rem } section { margin: 1rem 0 } .name { overflow-wrap: anywhere; min-width: 8rem } .number { text-align: right; white-space: nowrap }
"""
NOBODY = {"user": "(no name)", "experiment": "(none)", "workspace": "(none)"}


def number(field: str, value: float) -> str:
    """As people read it."""
    return amount(value) if field == "bytes" else f"{value:,.0f}"


def label(kind: str, entry: dict[str, Any]) -> str:
    """Name of a row; experiments of several workspaces may have the same."""
    name = text(entry["name"] or NOBODY[kind])
    if not entry.get("id"):
        return name
    state = ", deleted" if entry.get("state") == "deleted" else ""
    return f"{name} <small>{text(entry['id'])}{state}</small>"


def table(kind: str, entries: list[dict[str, Any]], above: set[tuple[str, str, str, str]]) -> str:
    """Every entry of one kind; what is above its quota stands out."""
    rows = []
    for entry in entries[:ROWS]:
        cells = [f'<td class="name">{label(kind, entry)}</td>']
        for field in NUMBERS:
            bad = " failed" if (kind, entry["name"], entry.get("id", ""), field) in above else ""
            cells.append(f'<td class="number{bad}">{number(field, entry[field])}</td>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    head = "".join(f'<th class="number">{name}</th>' for name in NUMBERS.values())
    rest = f"<p>{len(entries) - ROWS:,} more are in usage.json.</p>" if len(entries) > ROWS else ""
    return f"<section><h2>By {kind}</h2><table><tr><th>{kind}</th>{head}</tr>{''.join(rows)}</table>{rest}</section>"


def quotas(report: dict[str, Any]) -> str:
    """What is above its quota."""
    if not report["limited"]:
        return "<p>The site has set no quotas.</p>"
    rows = [
        f'<tr><td>{entry["kind"]}</td><td class="name">{label(entry["kind"], entry)}</td><td>{NUMBERS[entry["resource"]]}</td>'
        f'<td class="number failed">{number(entry["resource"], entry["used"])}</td><td class="number">of {number(entry["resource"], entry["quota"])}</td></tr>'
        for entry in report["above_quota"][:ROWS]
    ]
    return f"<section><h2>Above the quota</h2>{'<table>' + ''.join(rows) + '</table>' if rows else '<p>Nothing is.</p>'}</section>"


def page(report: dict[str, Any]) -> str:
    """The whole page, without anything from elsewhere."""
    above = {(entry["kind"], entry["name"], entry["id"], entry["resource"]) for entry in report["above_quota"]}
    title = f"Usage of {text(report['site'])}"
    sums = ", ".join(f"{number(field, report['totals'][field])} {name}" for field, name in NUMBERS.items() if field not in ("bytes", "runs_deleted"))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}{EXTRA}</style></head>\n<body><h1>{title}</h1>"
        f"<p>Counted {moment(report['examined_timestamp_seconds'])}: {sums}, {amount(report['totals']['bytes'])}. For administrators. "
        '<a href="usage.json">JSON</a>, <a href="usage.txt">text</a>, <a href="../status/">state of the site</a></p>'
        f"{quotas(report)}{''.join(table(kind, report[f'{kind}s'], above) for kind in kinds(report))}"
        f"<section><h2>What is counted</h2><ul>{''.join(f'<li>{text(line)}</li>' for line in report['knowledge'])}</ul></section></body></html>\n"
    )
