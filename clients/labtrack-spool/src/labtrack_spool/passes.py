# SPDX-License-Identifier: GPL-3.0-or-later
"""Passes over any number of stores, side by side."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Callable

from labtrack_spool import artifacts, jobs
from labtrack_spool.context import Context, Findings, Options
from labtrack_spool.errors import SetupError, SpoolError
from labtrack_spool.server import Server
from labtrack_spool.source import Source, find
from labtrack_spool.state import locked
from labtrack_spool.sync import chosen_experiments, open_context, sync
from labtrack_spool.verify import Verifier


@dataclass
class Report:
    """What happened.

    Attributes:
        counts: what was sent or compared, by kind.
        problems: what was not sent, or differs; empty means that all is well.
        notes: what was left as it is, by the rules.
        pending: runs that have not ended, or whose files still change.
    """

    counts: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    pending: int = 0


@dataclass
class Job:
    """What is asked for.

    Attributes:
        action: `send`, `verify` or `plan`.
        known_paths: pairs (path as a writer saw it, path here).
        allow_empty: whether a folder without any store is as good as one that has been sent.
    """

    action: str = "send"
    server: str = ""
    options: Options = field(default_factory=Options)
    known_paths: list[tuple[str, str]] = field(default_factory=list)
    state_dir: str = ""
    timeout: float = 120
    retries: int = 7
    allow_empty: bool = False


def server_of(job: Job, sources: list[Source]) -> str:
    """Address of the server: given, of the environment, or that for which the spools were made.

    Raises:
        SetupError: none is known, or the spools belong to several.
    """
    environment = os.environ.get("MLFLOW_TRACKING_URI", "")
    chosen = job.server or os.environ.get("LABTRACK_SPOOL_SERVER") or (environment if environment.startswith("http") else "")
    if chosen:
        return chosen
    of_spools = {source.server for source in sources if source.server}
    if len(of_spools) > 1:
        raise SetupError(f"the spools are for several servers ({', '.join(sorted(of_spools))}). Accepted: one. Give --to URL.")
    return of_spools.pop() if of_spools else environment


def status_of(source: Source, options: Options, queue: jobs.Jobs) -> str:
    """Status for runs of the spool that never ended; empty leaves them running. `JOB` means: KILLED when Slurm says that the job is over."""
    if options.running_as != "JOB":
        return options.running_as
    return "KILLED" if queue.ended(source.settings, source.path.stat().st_uid) else ""


def run(job: Job, paths: Iterable[str | Path], progress: Callable[[str, int], None] | None = None, on_retry: Callable[[str], None] | None = None) -> Report:
    """Do the job for all stores that the paths stand for.

    Raises:
        SpoolError: nothing more can be done.
    """
    stores = list(dict.fromkeys(each for path in paths for each in find(Path(path), job.allow_empty)))
    if not stores:
        return Report()
    sources = [Source(each, job.known_paths, job.state_dir) for each in stores]
    server = Server(server_of(job, sources), job.timeout, job.retries, on_retry)
    total = Report()
    side_by_side = min(len(sources), job.options.workers)
    options = replace(job.options, workers=max(1, job.options.workers // side_by_side))
    queue = jobs.Jobs()
    statuses = {source.path: status_of(source, options, queue) for source in sources}

    def one(source: Source) -> tuple[Findings, int]:
        findings = Findings(progress)
        try:
            own = replace(options, running_as=statuses[source.path])
            return findings, _one(job.action, source, server, own, findings, progress)
        finally:
            source.close()

    with ThreadPoolExecutor(side_by_side) as pool:
        futures = [pool.submit(one, source) for source in sources]
        try:
            for source, future in zip(sources, futures):
                try:
                    findings, pending = future.result()
                except SetupError as error:
                    if len(sources) == 1:
                        raise
                    total.problems.append(str(error))
                    continue
                prefix = f"{source.path.parent.name}: " if len(sources) > 1 else ""
                total.problems += [prefix + text for text in findings.problems]
                total.notes += [prefix + text for text in findings.notes]
                total.pending += pending
                for what, number in findings.counts.items():
                    total.counts[what] = total.counts.get(what, 0) + number
        except BaseException:
            server.stop()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return total


def _one(action: str, source: Source, server: Server, options: Options, findings: Findings, progress: Callable[[str, int], None] | None) -> int:
    with locked(source.folder) as mine:
        if not mine and action == "send":
            holder = (source.folder / "lock").read_text(encoding="utf-8").strip()
            findings.note(f"{source.path}: another sync is sending it ({holder})")
            return 1
        context = open_context(source, server, source.folder, options, findings)
        try:
            if action == "send":
                sync(context, progress)
            elif action == "verify":
                Verifier(context).all()
            else:
                plan(context)
            known = context.state.all("run")
            return sum(not known[row["run_uuid"]].done for row in context.store.runs() if row["run_uuid"] in known)
        finally:
            context.state.close()


def plan(context: Context) -> None:
    """Count what a sync would send; nothing is written, here or there."""
    store, findings = context.store, context.findings
    chosen = {str(row["experiment_id"]): row["name"] for row in chosen_experiments(context)}
    for name in chosen.values():
        wanted = context.options.rename.get(name, name)
        try:
            found = context.server.call("GET", "experiments/get-by-name", {"experiment_name": wanted})["experiment"]
        except SpoolError as error:
            if getattr(error, "code", "") != "RESOURCE_DOES_NOT_EXIST":
                raise
            findings.add("experiments to make")
        else:
            if found["lifecycle_stage"] == "deleted" and not context.options.restore_deleted:
                findings.problem(f"experiment '{wanted}' is deleted on the server: --restore-deleted brings it back")
    known = context.state.all("run")
    owners = [(row["run_uuid"], row["artifact_uri"]) for row in store.runs() if str(row["experiment_id"]) in chosen]
    for run, _location in owners:
        entry = known.get(run)
        findings.add("runs", 0 if entry and entry.target else 1)
        findings.add("metrics", store.count_metrics(run) - (store.count_metrics(run, entry.cursor) if entry else 0))
    models = [row for row in store.models() if str(row["experiment_id"]) in chosen]
    findings.add("models", sum(not context.state.get("model", row["model_id"]).target for row in models))
    for owner, location in owners + [(row["model_id"], row["artifact_location"]) for row in models]:
        folder = context.paths.find(location or "")
        sent = context.state.all(f"artifacts {owner}")
        for name, status in artifacts.files(folder) if folder and folder.is_dir() else ():
            if name not in sent or sent[name].digest != f"{status.st_size} {status.st_mtime_ns}":
                findings.add("artifacts")
                findings.add("bytes", status.st_size)
    findings.add("traces", sum(str(row["experiment_id"]) in chosen and not context.state.get("trace", row["request_id"]).target for row in store.traces()))
    for row in store.registered_models() if context.options.with_registry else ():
        findings.add("model versions", len(store.versions(row["name"])))


def send(paths: str | Path | Iterable[str | Path], server: str = "", **options: object) -> Report:
    """Send spools, stores or mlruns directories to a server; twice makes nothing new.

    Args:
        paths: what to send.
        server: address; otherwise MLFLOW_TRACKING_URI, or the server that the spool was made for.
        options: fields of labtrack_spool.context.Options, for instance workers=4, running_as="KILLED".

    Raises:
        SpoolError: nothing more can be sent.
    """
    listed = [paths] if isinstance(paths, (str, Path)) else list(paths)
    return run(Job(server=server, options=Options(**options)), listed)
