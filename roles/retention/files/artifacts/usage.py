# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of the database and of the store belongs to each user, experiment and workspace, and who has more than the site's quota. Reads only."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import audit
import references
import usage_page
from places import Root
from stores import Totals, open_store

page = usage_page.page
KINDS = ("user", "experiment", "workspace")
RESOURCES = ("runs", "metric_points", "params", "traces", "logged_models", "model_versions", "objects", "bytes")
FIELDS = ("runs", "runs_deleted", *RESOURCES[1:])
GB = 10**9
KNOWLEDGE = """\
A user is the name that the client gave when it made the run: MLflow's own client gives its login, and the server does not compare the two.
'unknown' is what a client writes that gives none. Traces belong to an experiment; MLflow notes no user with them.
A logged model belongs to the user of its run, a registered version to its own user or that of its run. Prompts are not counted.
Deleted runs count until gc has removed them for good. Objects and bytes are current ones; earlier versions in the bucket are not counted.
Objects that belong to no run, model, version or trace are nobody's here; the audit counts them.
A quota blocks nothing.""".splitlines()

# each answers experiment, user, workspace where it is another than the experiment's, number; a table is read once, and runs are joined to its sums
OF_RUNS = """select r.experiment_id::text, r.user_id, null, sum(x.n)
    from (select run_uuid, count(*) as n from {} group by 1) x join runs r using (run_uuid) group by 1, 2"""
COUNTS = {
    "runs": "select experiment_id::text, user_id, null, count(*) from runs group by 1, 2",
    "runs_deleted": "select experiment_id::text, user_id, null, count(*) from runs where lifecycle_stage = 'deleted' group by 1, 2",
    "metric_points": OF_RUNS.format("metrics"),
    "params": OF_RUNS.format("params"),
    "traces": "select experiment_id::text, null, null, count(*) from trace_info group by 1",
    "logged_models": """select m.experiment_id::text, r.user_id, null, count(*)
        from logged_models m left join runs r on r.run_uuid = m.source_run_id group by 1, 2""",
    "model_versions": """select r.experiment_id::text, coalesce(v.user_id, r.user_id), v.workspace, count(*)
        from model_versions v left join runs r on r.run_uuid = v.run_id
        where v.current_stage is distinct from 'Deleted_Internal'
            and not exists (select from registered_model_tags t where (t.workspace, t.name) = (v.workspace, v.name) and t.key = 'mlflow.prompt.is_prompt')
        group by 1, 2, 3""",
}
EXPERIMENTS = "select experiment_id::text, name, workspace, lifecycle_stage from experiments"


class Count(NamedTuple):
    """One number of one user in one experiment; empty where the database names none."""

    field: str
    experiment: str
    user: str
    workspace: str
    number: int


class Experiment(NamedTuple):
    """What the report says of an experiment."""

    id: str
    name: str
    workspace: str
    state: str


def rows_of(connection: Any) -> tuple[list[Experiment], list[Count]]:
    """Experiments, and every number, from one snapshot: one query each."""
    with connection.cursor() as cursor:
        cursor.execute(EXPERIMENTS)
        experiments = [Experiment(*row) for row in cursor.fetchall()]
        counts = []
        for field, query in COUNTS.items():
            cursor.execute(query)
            counts += [Count(field, experiment or "", user or "", workspace or "", int(number)) for experiment, user, workspace, number in cursor.fetchall()]
    return experiments, counts


def counts_of(owned: audit.Sums) -> list[Count]:
    """Objects and bytes of the store by the same names."""
    found = (("objects", owned.objects), ("bytes", owned.bytes))
    return [Count(field, experiment, user, "", number) for field, sums in found for (experiment, user), number in sums.items()]


def tally(experiments: list[Experiment], counts: Iterable[Count]) -> dict[str, list[dict[str, Any]]]:
    """An entry for each user, experiment and workspace, the largest first."""
    known = {found.id: found for found in experiments}
    sums: dict[str, dict[str, Counter]] = {kind: defaultdict(Counter) for kind in KINDS}
    for found in experiments:
        sums["experiment"][found.id].update()
        sums["workspace"][found.workspace].update()
    for count in counts:
        home = count.workspace or (known[count.experiment].workspace if count.experiment in known else "")
        for kind, key in (("user", count.user), ("experiment", count.experiment), ("workspace", home)):
            sums[kind][key][count.field] += count.number
    named: dict[str, list[dict[str, Any]]] = {"user": [{"name": name} for name in sums["user"]], "workspace": [{"name": name} for name in sums["workspace"]]}
    named["experiment"] = [known.get(key, Experiment(key, "", "", ""))._asdict() for key in sums["experiment"]]
    for kind, entries in named.items():
        for entry in entries:
            entry.update({field: sums[kind][entry["id" if kind == "experiment" else "name"]][field] for field in FIELDS})
        entries.sort(key=lambda entry: (-entry["bytes"], -entry["metric_points"], -entry["runs"], entry["name"]))
    return named


class Quotas:
    """The site's quotas: those with a name, and those for each one that has none of its own."""

    def __init__(self, given: list[dict[str, Any]]) -> None:
        self.of: dict[tuple[str, str], dict[str, float]] = {}
        self.each: dict[str, dict[str, float]] = {kind: {} for kind in KINDS}
        for entry in given:
            limits = {name: float(entry[name]) for name in RESOURCES if entry.get(name) is not None}
            if entry.get("bytes_gb") is not None:
                limits["bytes"] = float(entry["bytes_gb"]) * GB
            if entry.get("each"):
                self.each[entry["each"]].update(limits)
            for kind in KINDS:
                if entry.get(kind):
                    self.of.setdefault((kind, str(entry[kind])), {}).update(limits)

    def limits(self, kind: str, name: str) -> dict[str, float]:
        """By resource; nobody's things have none."""
        found = {**self.each[kind], **self.of.get((kind, name), {})} if name else {}
        return {resource: limit for resource, limit in found.items() if limit > 0}

    def resources(self) -> list[tuple[str, str]]:
        """Every kind and resource that is limited somewhere."""
        limited = {(kind, resource) for kind, limits in self.each.items() for resource in limits}
        return sorted(limited | {(kind, resource) for (kind, _name), limits in self.of.items() for resource in limits})

    def above(self, named: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
        """Whatever is more than its quota, the worst first."""
        found = [
            {"kind": kind, "name": entry["name"], "id": entry.get("id", ""), "resource": resource, "used": entry[resource], "quota": limit}
            for kind, entries in named.items()
            for entry in entries
            for resource, limit in self.limits(kind, entry["name"]).items()
            if entry[resource] > limit
        ]
        return sorted(found, key=lambda entry: -entry["used"] / entry["quota"])


def usage(request: dict[str, Any]) -> dict[str, Any]:
    """The whole of it. `request`: as that of an audit, with `quotas` and `site`."""
    root, began = Root.parse(request["root"]), time.time()
    with references.scratch_folder() as scratch:
        with references.snapshot(request["tracking_uri"], request.get("database", "")) as connection:
            experiments, counts = rows_of(connection)
            counted = time.time()
            found = references.gather(connection, root, Path(scratch))
        work = audit.Audit(root, found, began=began, grace_seconds=0, excluded=list(request.get("excluded_prefixes", [])), folder=None)
        work.run(open_store(root).items("", Totals()))
    named, quotas = tally(experiments, [*counts, *counts_of(work.owners)]), Quotas(request.get("quotas", []))
    return {
        "site": request.get("site", ""),
        "root": root.uri,
        "examined_timestamp_seconds": int(began),
        "seconds": round(time.time() - began, 1),
        "database_seconds": round(counted - began, 1),
        "totals": {field: sum(entry[field] for entry in named["user"]) for field in FIELDS},
        **{f"{kind}s": entries for kind, entries in named.items()},
        "limited": quotas.resources(),
        "above_quota": quotas.above(named),
        "knowledge": KNOWLEDGE,
    }
