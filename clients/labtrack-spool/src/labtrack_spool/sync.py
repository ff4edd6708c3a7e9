# SPDX-License-Identifier: GPL-3.0-or-later
"""One pass: everything that a store has and the server lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

from labtrack_spool.context import Context, Findings, Options
from labtrack_spool.models import Models
from labtrack_spool.places import PathMap
from labtrack_spool.registry import Registry
from labtrack_spool.runs import Experiments, Runs
from labtrack_spool.server import Server
from labtrack_spool.source import Source
from labtrack_spool.state import State
from labtrack_spool.traces import Traces


def chosen_experiments(context: Context) -> list[dict[str, Any]]:
    """The experiments of the store that are to be sent: all that are not deleted; an empty `Default` is left out."""
    wanted, found = context.options.experiments, []
    with_content = {str(row["experiment_id"]) for table in ("runs", "logged_models", "trace_info") for row in context.store.select(table, ("experiment_id",))}
    for row in context.store.experiments():
        if wanted and row["name"] not in wanted:
            continue
        if row["lifecycle_stage"] == "deleted":
            context.findings.note(f"experiment '{row['name']}' is deleted in the spool: not sent")
        elif row["name"] != "Default" or str(row["experiment_id"]) in with_content:
            found.append(row)
    return found


def by_level(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Runs in groups: a run's parent is in an earlier one."""
    known = {row["run_uuid"]: row for row in rows}
    depth: dict[str, int] = {}

    def level(identity: str) -> int:
        chain = []
        while identity in known and identity not in depth and identity not in chain:
            chain.append(identity)
            identity = known[identity]["parent"]
        base = depth.get(identity, -1)
        for number, each in enumerate(reversed(chain), 1):
            depth[each] = base + number
        return base

    for row in rows:
        level(row["run_uuid"])
    groups: list[list[dict[str, Any]]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for row in rows:
        groups[depth[row["run_uuid"]]].append(row)
    return groups


def sync(context: Context, expect: Callable[[str, int], None] | None = None) -> None:
    """Send what is missing.

    Args:
        context: store, server, state, options.
        expect: told how many runs there are, as "total".

    Raises:
        SpoolError: nothing more can be sent.
    """
    store, ids, findings = context.store, context.ids, context.findings
    experiments = Experiments(context)
    context.each(chosen_experiments(context), experiments.send, lambda row: f"experiment '{row['name']}'")
    rows = [row for row in store.runs() if str(row["experiment_id"]) in ids.experiments]
    traces = [row for row in store.traces() if str(row["experiment_id"]) in ids.experiments] if context.options.with_traces else []
    (expect or (lambda _what, _number: None))("total", len(rows))
    models = Models(context)
    runs = Runs(context, experiments, models)
    for group in by_level(rows):
        context.each(group, runs.make, _run_name)
    rows = [row for row in rows if row["run_uuid"] in ids.runs]
    ids.run_locations = {(row["artifact_uri"] or "").removeprefix("file://").rstrip("/"): row["run_uuid"] for row in rows}
    ids.model_locations = {row["artifact_location"].removeprefix("file://").rstrip("/"): row["model_id"] for row in models.rows}
    context.each(models.rows, models.make, lambda row: f"model {row['model_id']}")

    def send_run(row: dict[str, Any]) -> None:
        runs.send(row)
        findings.add("runs looked at")

    context.each(rows, send_run, _run_name)
    context.each(models.without_run(set(ids.runs)), models.send, lambda row: f"model {row['model_id']}")
    if context.options.with_registry:
        registry = Registry(context)
        context.each(store.registered_models(), registry.send, lambda row: f"registered model '{row['name']}'")
    context.each(traces, Traces(context).send, lambda row: f"trace {row['request_id']}")
    for what, number in store.left_behind().items():
        findings.note(f"{number} rows of '{what}' stay in the spool: no sync sends them")


def _run_name(row: dict[str, Any]) -> str:
    return f"run {row['run_uuid']}"


def open_context(source: Source, server: Server, folder: Path, options: Options, findings: Findings) -> Context:
    """What a pass needs, for one source and one server."""
    return Context(source.store(), server, State(folder, server.uri), PathMap(source.base, source.known_paths), options, findings)
