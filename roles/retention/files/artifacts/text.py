# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports for people."""

from __future__ import annotations

import time
from typing import Any

LINES = 20


def amount(size: float) -> str:
    """Bytes as people write them."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def sums(found: dict[str, int]) -> str:
    """Objects and bytes."""
    return f"{found['objects']} objects, {amount(found['bytes'])}"


def audit(report: dict[str, Any]) -> str:
    """The audit on a page."""
    bucket, since = report["bucket"], report["since_last"]
    lines = [
        f"Artifacts of {report['root']}, examined {report['examined']} in {report['seconds']} s",
        "",
        f"in the store      {sums(bucket)}",
        *(f"  {name:<14}  {sums(bucket[name])}" for name in ("referenced", "orphaned", "young", "excluded", "outside")),
        f"  kept versions   {bucket['noncurrent_objects']} objects, {amount(bucket['noncurrent_bytes'])}; {bucket['deletion_marks']} deletion marks"
        if bucket["versioned"]
        else "  versions        the store keeps none",
        "",
        f"missing           {report['missing']}",
        *(
            f"  {kind:<16}{found['rows']} in the database, {found['with_objects']} with objects, {found['empty']} without, {found['missing']} missing"
            + "".join(f", {count} in {where}" for where, count in found["elsewhere"].items())
            for kind, found in report["references"].items()
        ),
    ]
    lines += [f"  missing: {entry['kind']} {entry['id']} ({entry['key']})" for entry in report["samples"]["missing"][:LINES]]
    lines += [f"  orphaned: {entry['prefix']} ({sums(entry)})" for entry in report["samples"]["orphans"][:LINES]]
    if report["compared_with"]:
        lines += [
            "",
            f"since {report['compared_with']}: {sums(since['vanished'])} gone, {sums(since['changed'])} overwritten",
            f"  of what is gone, below a run, model or trace that is still there: {sums(since['vanished_referenced'])}",
            *(f"  gone: {entry['key']} ({entry['owner'] or 'no owner'})" for entry in report["samples"]["vanished"][:LINES]),
        ]
    for title, key in (("experiment", "experiments"), ("user", "users")):
        lines += ["", *(f"{title} {name or '(unknown)':<30} {sums(found)}" for name, found in list(report[key].items())[:LINES])]
    return "\n".join([*lines, "", *(f"* {line}" for line in report["knowledge"])]) + "\n"


def probe(report: dict[str, Any]) -> str:
    """One line."""
    return f"{report['tables']} tables; {report['root']} {'is empty' if report['empty'] else 'holds objects'}\n"


def done(report: dict[str, Any]) -> str:
    """The first words of a report on a removal."""
    return "Removed" if report["delete"] else "Would remove (dry run, nothing was changed)"


def gc(report: dict[str, Any]) -> str:
    """What a pass has removed, or would."""
    lines = [
        f"{done(report)}: what was deleted before {report['older_than']} in {report['root']}",
        "  " + ", ".join(f"{count} {kind.replace('_', ' ')}s" for kind, count in report["removed"].items()) + f"; {sums(report)}, {report['seconds']} s",
        *(f"  {entry['kind']} {entry['id']}: {sums(entry)}" for entry in report["list"][:LINES]),
    ]
    if report["unfinished"]:
        lines.append("The time was over before all was done; the next pass goes on.")
    lines += [f"stays: {entry['kind']} {entry['id']}: {entry['reason']}" for entry in report["kept"][:LINES]]
    lines += [f"FAILED: {entry['kind']} {entry['id']}: {entry['reason']}" for entry in report["failed"][:LINES]]
    lines += [
        f"INCOMPLETE: {entry['kind']} {entry['id']} was restored after its removal had begun at {entry['since']}: artifacts below {entry['key']} may be gone. "
        "playbooks/recover_artifacts.yml brings them back while the bucket keeps their versions."
        for entry in report["incomplete"]
    ]
    return "\n".join(lines) + "\n"


def orphans(report: dict[str, Any]) -> str:
    """What belonged to nothing."""
    lines = [
        f"{done(report)}: {sums(report)} in {report['prefixes']} folders of {report['root']} that belong to nothing, older than {report['older_than']}",
        *(f"  {entry['prefix']}: {sums(entry)}" for entry in report["list"][:LINES]),
        *(f"FAILED: {entry['key']}: {entry['reason']}" for entry in report["failed"][:LINES]),
    ]
    return "\n".join(lines) + "\n"


def archive(report: dict[str, Any]) -> str:
    """One line."""
    rest = "; the time was over before all was done" if report["unfinished"] else ""
    return f"{report['archived']} traces older than {report['age_days']} days archived to {report['location']} in {report['seconds']} s{rest}\n"


def recover(report: dict[str, Any]) -> str:
    """What comes back."""
    lines = [
        f"{'Brought back' if report['apply'] else 'Would bring back (dry run, nothing was changed)'} below {', '.join(report['prefixes'])} of {report['root']}"
        + (f", as of {report['until']}" if report["until"] else "")
        + f": {sums(report)}, of {report['looked_at']} names",
        *(f"  {entry['key']} ({amount(entry['size'])}, written {entry['written']}, was {entry['was']})" for entry in report["list"][:LINES]),
        *(f"FAILED: {entry['key']}: {entry['reason']}" for entry in report["failed"][:LINES]),
    ]
    if report["stage"] == "deleted":
        lines.append("It is deleted in MLflow: restore it there, too, before the next gc removes it again.")
    return "\n".join(lines) + "\n"


def rewrite(report: dict[str, Any]) -> str:
    """What the database names now."""
    if "undone" in report:
        return "Old values are back: " + (", ".join(f"{count} {name}" for name, count in report["undone"].items()) or "none") + "\n"
    lines = [
        f"{'Rewritten' if report['apply'] else 'Would rewrite (dry run, nothing was changed)'}: {', '.join(report['old'])} to {report['new']}",
        *(f"  {count} rows of {name}" for name, count in report["rows"].items()),
        f"  {report['models']} MLmodel files",
        *(f"  {count} mentions in {name} stay: they are free text" for name, count in report["mentions"].items()),
    ]
    if report["undo"]:
        lines.append(f"The old values are in {report['undo']}; 'labtrack-artifacts rewrite --keep --option undo={report['undo']}' brings them back.")
    return "\n".join(lines) + "\n"


def counts(report: dict[str, Any]) -> str:
    """Rows by table."""
    return ", ".join(f"{count} {name}" for name, count in report["rows"].items()) + f"; newest run {report['newest_run'] or 'none'}\n"


def adopt(report: dict[str, Any]) -> str:
    """Rows that have arrived."""
    lines = [f"Arrived in {report['seconds']} s: " + ", ".join(f"{count} {name}" for name, count in report["rows"].items())]
    lines += [f"experiment {old} has the number {new} now, because PostgreSQL holds smaller ones" for old, new in report["renumbered"].items()]
    return "\n".join(lines) + "\n"


COLUMNS = {"runs": "runs", "runs_deleted": "deleted", "metric_points": "points", "params": "params", "traces": "traces"}
COLUMNS |= {"logged_models": "models", "model_versions": "versions", "objects": "objects", "bytes": "bytes"}


def shown(name: str, width: int) -> str:
    """A name that people gave, for a terminal: nothing in it is a command for that, and it does not break the table."""
    plain = "".join(sign if sign.isprintable() else "?" for sign in name)
    return plain if len(plain) <= width else f"{plain[: width - 1]}…"


def used(resource: str, value: float) -> str:
    """A number of the usage report."""
    return amount(value) if resource == "bytes" else f"{value:.0f}"


def kinds(report: dict[str, Any]) -> list[str]:
    """What the usage report has a table of: workspaces where there are several."""
    return ["user", "experiment", *(["workspace"] if len(report["workspaces"]) > 1 else [])]


def usage(report: dict[str, Any]) -> str:
    """Who has how much, as tables."""
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(report["examined_timestamp_seconds"]))
    lines = [f"Usage of {report['site'] or report['root']}, counted {when} in {report['seconds']} s"]
    lines += [
        f"ABOVE THE QUOTA: {entry['kind']} {shown(entry['name'], 40)} has {used(entry['resource'], entry['used'])} of {used(entry['resource'], entry['quota'])}"
        f" {entry['resource']}"
        for entry in report["above_quota"][:LINES]
    ]
    for kind in kinds(report):
        entries = report[f"{kind}s"]
        lines += ["", f"{kind:<30}" + "".join(f"{name:>11}" for name in COLUMNS.values())]
        lines += [f"{shown(entry['name'] or '-', 29):<30}" + "".join(f"{used(field, entry[field]):>11}" for field in COLUMNS) for entry in entries[:LINES]]
        lines += [f"({len(entries) - LINES} more; --json has all)"] if len(entries) > LINES else []
    lines += ["", f"{'all':<30}" + "".join(f"{used(field, report['totals'][field]):>11}" for field in COLUMNS), ""]
    return "\n".join([*lines, *(f"* {line}" for line in report["knowledge"])]) + "\n"
