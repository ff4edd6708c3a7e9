# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of one or several sites as a page. Plain Python, knows nothing of Ansible: the role monitoring installs this file on the server, too."""

from __future__ import annotations

import html
from datetime import UTC, datetime
from typing import Any

STALE_SECONDS = 300
STATES = {
    "ok": "Everything works",
    "warning": "Works, with warnings",
    "critical": "Needs help now",
    "unknown": "State not known",
    "unreachable": "Not reachable",
}
NAMES = {"mlflow": "MLflow", "postgresql": "PostgreSQL", "debian": "Debian"}
JOB_STATES = {"ok": "ok", "failed": "the last run failed", "never": "has never succeeded", "old": "too old"}
EXPIRY_DAYS = 14
DISK_PERCENT = 15
STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --line: #d5dce4; --back: #fff; --card: #f5f7f9; --good: #1f6b36; --soon: #8a5a00; --bad: #9f1d20 }
@media (prefers-color-scheme: dark) { :root { --ink: #dfe6ee; --line: #313a44; --back: #14181d; --card: #1f252c; --good: #7fd79a; --soon: #f0c36d;
  --bad: #ff8a8a } }
body { font: 16px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 70rem; padding: 1rem; color: var(--ink); background: var(--back) }
h1 { font-size: 1.4rem; margin: .2rem 0 } h2 { font-size: 1.05rem; margin: 0 0 .4rem } a { color: inherit } small { opacity: .8; white-space: nowrap }
.state { border-left: .5rem solid; padding: .6rem .9rem; margin: .8rem 0; background: var(--card); font-weight: 600 }
.ok { color: var(--good) } .warning, .old, .never { color: var(--soon) } .critical, .unknown, .unreachable, .failed { color: var(--bad) }
.alert { border-left: .3rem solid; padding: .3rem .8rem; margin: .5rem 0; background: var(--card) } .alert p { margin: .2rem 0; color: var(--ink) }
.alert code { white-space: pre-wrap; overflow-wrap: anywhere }
.grid { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)) }
section { background: var(--card); padding: .7rem .9rem; overflow-x: auto } table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .25rem .5rem .25rem 0; border-bottom: 1px solid var(--line) }
th { font-weight: 600 }
"""
OLD = "This page is old: the monitoring of the site does not write it any more."
# an old page must not look like a good state; a browser without scripts still reads the time
SCRIPT = """
const old = document.getElementById('old'), made = Number(old.dataset.made);
function look() { old.hidden = Date.now() / 1000 - made < Number(old.dataset.limit); }
look(); setInterval(look, 10000);
"""


def text(value: object) -> str:
    """Safe in HTML."""
    return html.escape(str(value))


def moment(seconds: float) -> str:
    """A time as people read it; empty for none."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC") if seconds else "never"


def ago(seconds: float) -> str:
    """A length of time in its largest unit."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if abs(seconds) >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def amount(value: float) -> str:
    """Bytes as people read them."""
    for unit in ("B", "KB", "MB", "GB"):
        if abs(value) < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def _row(*cells: str) -> str:
    return f"<tr>{''.join(cell if cell.startswith('<td') else f'<td>{cell}</td>' for cell in cells)}</tr>"


def _section(title: str, rows: list[str], empty: str) -> str:
    body = f"<table>{''.join(rows)}</table>" if rows else f"<p>{empty}</p>"
    return f"<section><h2>{title}</h2>{body}</section>"


def _alerts(data: dict[str, Any]) -> str:
    parts = [
        f'<div class="alert {text(alert["severity"])}"><strong>{text(alert["summary"] or alert["name"])}</strong>'
        f"<p>{text(alert['description'])} <small>{text(alert['name'])}, since {text(alert['since'][:16].replace('T', ' '))} UTC</small></p>"
        f"<p><code>{text(alert['action'])}</code></p></div>"
        for alert in data.get("alerts", [])
    ]
    return "".join(parts) if parts else "<p>No open alerts.</p>" if data["state"] != "unknown" else ""


def _jobs(data: dict[str, Any], now: float) -> list[str]:
    rows = []
    for job in data.get("jobs", []):
        last = job.get("last_success_timestamp_seconds", 0)
        when = f"{ago(now - last)} ago <small>{moment(last)}</small>" if last else "never"
        rows.append(_row(text(job["job"].replace("_", " ")), f'<td class="{job["state"]}">{JOB_STATES[job["state"]]}</td>', when))
    return rows


def _expiry(data: dict[str, Any], now: float) -> list[str]:
    rows = []
    for entry in data.get("expiry", []):
        days = (entry["timestamp_seconds"] - now) / 86400
        kind = "critical" if days < 3 else "warning" if days < EXPIRY_DAYS else "ok"
        what, when = f"{entry['kind'].replace('_', ' ')} {entry.get('name', '')}", moment(entry["timestamp_seconds"])[:10]
        rows.append(_row(text(what), f'<td class="{kind}">in {days:.0f} days</td>', when))
    return rows


def _disks(data: dict[str, Any]) -> list[str]:
    rows = []
    for disk in data.get("disks", []):
        percent = disk["free_bytes"] / disk["size_bytes"] * 100
        kind = "critical" if percent < 5 else "warning" if percent < DISK_PERCENT else "ok"
        space = f"{amount(disk['free_bytes'])} of {amount(disk['size_bytes'])}"
        rows.append(_row(text(disk["mountpoint"]), f'<td class="{kind}">{percent:.0f} % free</td>', space))
    return rows


def _activity(data: dict[str, Any]) -> list[str]:
    load, bucket = data.get("load", {}), data.get("bucket", {})
    rows = [_row(text(f"{table} (estimate)"), f"{count:,}") for table, count in sorted(data.get("rows", {}).items())]
    rows += [_row(label, f"{load[key]:,.0f}{unit}") for key, label, unit in LOAD if key in load]
    if "objects" in bucket:
        part = "" if bucket.get("count_complete", 1) else " at least"
        rows.append(_row("bucket", f"{part} {bucket['objects']:,.0f} objects, {amount(bucket.get('bytes', 0))}"))
    if data.get("usage"):
        rows.append(_row("users and experiments", f'<a href="{text(data["url"])}/labtrack/usage/">usage</a>, for administrators'))
    return rows


LOAD = (("requests", "requests in the last hour", ""), ("errors", "of them failed", ""), ("memory", "memory available", " %"))


def site(data: dict[str, Any], now: float) -> str:
    """One site, as the inner part of a page."""
    made = data["generated_timestamp_seconds"]
    head = f'<h1 id="{text(data["site"])}">{text(data["site"])} <small><a href="{text(data["url"])}">{text(data["url"])}</a></small></h1>'
    banner = f'<div class="state {text(data["state"])}">{STATES[data["state"]]}{": " + text(data["reason"]) if data.get("reason") else ""}</div>'
    if data["state"] == "unreachable":
        return head + banner
    up = {True: '<td class="ok">up</td>', False: '<td class="failed">down</td>'}
    services = [_row(text(entry["name"]), up[entry["up"]]) for entry in data.get("services", [])]
    versions = [_row(text(NAMES.get(name, name)), text(version)) for name, version in data.get("versions", {}).items() if version]
    proof = [_row(text(name.replace("_", " ")), moment(value) if "timestamp" in name else f"{value:,.10g}") for name, value in data.get("proof", {}).items()]
    sections = [
        _section("Services", services, "Not measured."),
        _section("Backups and other jobs: last success", _jobs(data, now), "None has run."),
        _section("Last proof of a restore", proof, "None yet."),
        _section("Versions", versions, "Not known."),
        _section("What ends when", _expiry(data, now), "Nothing is known to end."),
        _section("Disks", _disks(data), "Not measured."),
        _section("Data and load", _activity(data), "Not measured."),
    ]
    return f'{head}<p>State of {moment(made)}</p>{banner}{_alerts(data)}<div class="grid">{"".join(sections)}</div>'


def overview(sites: list[dict[str, Any]], now: float) -> str:
    """One line for each site."""
    rows = []
    for data in sites:
        backups = [job.get("last_success_timestamp_seconds", 0) for job in data.get("jobs", []) if job["job"] in ("backup_full", "backup_incremental")]
        proofs = [job.get("last_success_timestamp_seconds", 0) for job in data.get("jobs", []) if job["job"] == "backup_proof"]
        ends = [entry["timestamp_seconds"] for entry in data.get("expiry", [])]
        rows.append(
            _row(
                f'<a href="#{text(data["site"])}">{text(data["site"])}</a>',
                f'<td class="{text(data["state"])}">{STATES[data["state"]]}</td>',
                str(len(data.get("alerts", []))),
                *(f"{ago(now - max(times))} ago" if times and max(times) else "none" for times in (backups, proofs)),
                text(", ".join(f"{NAMES.get(name, name)} {version}" for name, version in data.get("versions", {}).items() if version)),
                f"in {(min(ends) - now) / 86400:.0f} days" if ends else "",
            )
        )
    head = "".join(f"<th>{name}</th>" for name in ("Site", "State", "Alerts", "Last backup", "Last proof", "Versions", "First to end"))
    return f"<section><table><tr>{head}</tr>{''.join(rows)}</table></section>"


def page(sites: list[dict[str, Any]], now: float, refresh_seconds: int = 0) -> str:
    """The whole page, without anything from elsewhere."""
    title = f"{sites[0]['site']}: {STATES[sites[0]['state']]}" if len(sites) == 1 else f"{len(sites)} sites"
    refresh = f'<meta http-equiv="refresh" content="{refresh_seconds}">' if refresh_seconds else ""
    oldest = min(data["generated_timestamp_seconds"] for data in sites)
    warning = f'<div class="state critical" id="old" hidden data-made="{oldest}" data-limit="{STALE_SECONDS}">{OLD}</div><script>{SCRIPT}</script>'
    stale = warning if refresh_seconds else ""
    body = stale + (overview(sites, now) if len(sites) > 1 else "") + "".join(site(data, now) for data in sites)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">{refresh}'
        f"<title>{text(title)}</title><style>{STYLE}</style></head>\n<body>{body}</body></html>\n"
    )
