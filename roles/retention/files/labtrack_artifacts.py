# Kept by labtrack.mlflow.retention.
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look after the artifacts of an MLflow server. Works as root only to read the settings; everything else runs as the service's user.

usage: labtrack-artifacts [--config FILE] COMMAND [--json] [--option NAME=VALUE …]

probe             reads one row and one page, to see that database and store answer
audit             compares the database with the store; changes nothing
usage             says how much each user, experiment and workspace has, and what is above its quota; changes nothing
counts            says how much is in the database
adopt             takes the rows of an SQLite database (sqlite=FILE) into an empty site
rewrite           lets the database name another place of the same artifacts, or the earlier one again (undo=FILE)
gc                removes for good what was deleted in MLflow longer ago than age_days; without delete=true it says what it would remove
orphans           the same for objects that belong to nothing
archive           moves the spans of old traces from the database to the store
recover           brings back what was deleted or overwritten, from the bucket's versions; without apply=true it says what
The answer is a report for people, with --json one for programs. Options are those of the command, as JSON values (or plain text).
Exit status: 0 done, 1 something failed, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import pwd
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import Any

sys.path.append("/usr/local/lib/labtrack")

from labtrack_files import Samples, environment_of, metric, write

CONFIG = "/etc/labtrack/retention/main.json"
COMMANDS = ["probe", "audit", "gc", "orphans", "archive", "recover", "rewrite", "counts", "adopt", "usage"]
LARGEST = 10  # names with metrics of their own: the largest by each of these
SIZES = ("bytes", "metric_points", "runs")
ABOVE = 100  # names above a quota with a metric of their own


class ArtifactError(Exception):
    """One sentence for the journal."""


def settings(config: dict[str, Any]) -> tuple[dict[str, str], dict[str, Any]]:
    """(environment of the worker, what every request holds), read where the service reads it.

    Raises:
        ArtifactError: the server is not configured.
    """
    try:
        environment: dict[str, str] = {}
        for path in config["environment_files"]:
            environment.update(environment_of(Path(path).read_text(encoding="utf-8")))
        uri = Path(config["database_uri_file"]).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ArtifactError(f"{error.filename} cannot be read: {error.strerror}. Run site.yml first.") from error
    proxied = environment.get("MLFLOW_ARTIFACTS_DESTINATION")
    request = {
        "tracking_uri": uri,
        "root": proxied or environment["MLFLOW_DEFAULT_ARTIFACT_ROOT"],
        "proxied": bool(proxied),
        "server_dir": config["server_dir"],
        "excluded_prefixes": config["excluded_prefixes"],
        "site": config.get("site", ""),
        "batch_delete": batch_delete(config["store_record_file"]),
    }
    kept = {name: value for name, value in environment.items() if name.startswith(("AWS_", "MLFLOW_S3_", "MLFLOW_BOTO_"))}
    base = {"PATH": "/usr/bin:/bin", "HOME": "/var/tmp", "LANG": "C.UTF-8", "MLFLOW_DISABLE_TELEMETRY": "true", "PGCONNECT_TIMEOUT": "10"}
    return {**base, **kept}, request


def batch_delete(path: str) -> bool:
    """Whether the store deletes several objects at once, as far as the role `object_store` has tried it."""
    try:
        return bool(json.loads(Path(path).read_text(encoding="utf-8"))["settings"].get("batch_delete", True))
    except (OSError, ValueError, KeyError):
        return True


def work(config: dict[str, Any], command: str, environment: dict[str, str], request: dict[str, Any]) -> dict[str, Any]:
    """Run the worker as the service's user; its answer.

    Raises:
        ArtifactError: it failed. What it wrote to standard error has been passed on.
    """
    account = pwd.getpwnam(config["user"])
    done = subprocess.run(
        [config["python"], "-B", config["worker"], command],
        input=json.dumps(request),
        stdout=subprocess.PIPE,
        check=False,
        text=True,
        env=environment,
        cwd="/",
        umask=0o077,
        **({"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}),
    )
    if done.returncode or not done.stdout:
        raise ArtifactError(f"'{command}' failed with exit status {done.returncode}; nothing is reported.")
    return json.loads(done.stdout)


def exposition(values: dict[str, tuple[float, str]]) -> str:
    """Metrics in Prometheus' text format."""
    return "".join(f"# HELP {name} {text}\n# TYPE {name} gauge\n{name} {value}\n" for name, (value, text) in values.items())


def audit_metrics(report: dict[str, Any], config: dict[str, Any]) -> dict[str, tuple[float, str]]:
    """What the monitoring wants of an audit."""
    bucket, since = report["bucket"], report["since_last"]["vanished_referenced"]
    found = {
        "labtrack_artifacts_missing": (report["missing"], "Artifacts that the database names and the store lacks."),
        "labtrack_artifacts_vanished": (since["objects"], "Objects of what is still there that have gone since the last audit."),
        "labtrack_artifacts_orphaned_objects": (bucket["orphaned"]["objects"], "Objects that belong to nothing in the database."),
        "labtrack_artifacts_orphaned_bytes": (bucket["orphaned"]["bytes"], "Their size."),
        "labtrack_bucket_objects": (bucket["objects"], "Current objects in the bucket or directory."),
        "labtrack_bucket_bytes": (bucket["bytes"], "Their size."),
        "labtrack_bucket_noncurrent_objects": (bucket["noncurrent_objects"], "Earlier versions that the bucket keeps."),
        "labtrack_bucket_noncurrent_bytes": (bucket["noncurrent_bytes"], "Their size."),
        "labtrack_artifacts_audit_timestamp_seconds": (int(time.time()), "End of the last audit."),
    }
    for name, held in (("objects", bucket["objects"] + bucket["noncurrent_objects"]), ("bytes", bucket["bytes"] + bucket["noncurrent_bytes"])):
        limit = config["limits"][name]
        found[f"labtrack_bucket_{name}_limit"] = (limit, "Where the site wants to be warned; 0: never.")
        found[f"labtrack_bucket_{name}_above_limit"] = (int(0 < limit < held), "Whether current and earlier versions together are more.")
    return found


def after_audit(report: dict[str, Any], config: dict[str, Any]) -> None:
    """Metrics, and warnings for the journal."""
    metrics = audit_metrics(report, config)
    for name in ("objects", "bytes"):
        if metrics[f"labtrack_bucket_{name}_above_limit"][0]:
            print(f"WARNING: the store holds more {name} than the limit of {config['limits'][name]}.", file=sys.stderr)
    if config["metrics_dir"]:
        write(Path(config["metrics_dir"], "labtrack_artifacts.prom"), exposition(metrics), 0o644)


def after_gc(report: dict[str, Any], config: dict[str, Any]) -> None:
    """Metrics of a pass."""
    kinds = "".join(f'labtrack_gc_{"removed" if report["delete"] else "removable"}{{kind="{kind}"}} {count}\n' for kind, count in report["removed"].items())
    name = "removed" if report["delete"] else "removable"
    values = {
        f"labtrack_gc_{name}_bytes": (report["bytes"], "Size of the artifacts of what was removed, or could be."),
        "labtrack_gc_failures": (report["failures"], "What could not be removed in the last pass."),
        "labtrack_gc_incomplete": (len(report["incomplete"]), "Runs, models and experiments that were restored after their removal had begun."),
    }
    text = f"# HELP labtrack_gc_{name} Runs, models and experiments in the last pass.\n# TYPE labtrack_gc_{name} gauge\n{kinds}{exposition(values)}"
    if config["metrics_dir"]:
        write(Path(config["metrics_dir"], "labtrack_gc.prom"), text, 0o644)


def named(**labels: str) -> dict[str, str]:
    """Labels of a metric, those without a value left out."""
    return {key: value for key, value in labels.items() if value}


def usage_metrics(report: dict[str, Any]) -> str:
    """A bounded number of them: the largest of each kind, and what is above its quota; how many are above it in all."""
    values: dict[str, Samples] = {}
    for kind in ("user", "experiment", "workspace"):
        entries = {(entry["name"], entry.get("id", "")): entry for size in SIZES for entry in heapq.nlargest(LARGEST, report[f"{kind}s"], key=itemgetter(size))}
        for (name, identity), entry in entries.items():
            for field, value in entry.items():
                if isinstance(value, int):
                    values.setdefault(field, []).append((named(kind=kind, name=name, id=identity), value))
    above = [(named(**{label: entry[label] for label in ("kind", "name", "id", "resource")}), 1) for entry in report["above_quota"][:ABOVE]]
    counts = Counter((entry["kind"], entry["resource"]) for entry in report["above_quota"])
    limited = [({"kind": kind, "resource": resource}, counts[kind, resource]) for kind, resource in report["limited"]]
    sums = (metric(f"labtrack_usage_{field}", "Of the largest users, experiments and workspaces.", found) for field, found in values.items())
    return (
        "".join(sums)
        + metric("labtrack_usage_above_quota", "Has more than its quota; the worst only.", above)
        + metric("labtrack_usage_names_above_quota", "How many users, experiments or workspaces have more than their quota.", limited)
        + exposition({"labtrack_usage_timestamp_seconds": (report["examined_timestamp_seconds"], "When this was counted.")})
    )


def after_usage(report: dict[str, Any], config: dict[str, Any]) -> None:
    """Metrics."""
    if config["metrics_dir"]:
        write(Path(config["metrics_dir"], "labtrack_usage.prom"), usage_metrics(report), 0o644)


def publish(answer: dict[str, Any], folder: Path) -> None:
    """The page with what it links to. The folder's group is the web server's, and its files get it."""
    for name, text in (("index.html", answer["page"]), ("usage.txt", answer["text"]), ("usage.json", json.dumps(answer["report"], indent=1) + "\n")):
        write(folder / name, text, 0o640)


AFTER: dict[str, Callable[[dict[str, Any], dict[str, Any]], None]] = {"audit": after_audit, "gc": after_gc, "usage": after_usage}


def option(text: str) -> tuple[str, Any]:
    """NAME=VALUE, the value as JSON where it is."""
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def main(arguments: list[str]) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="labtrack-artifacts", description="Look after the artifacts of an MLflow server.")
    parser.add_argument("--config", default=CONFIG)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--json", action="store_true", help="answer as JSON")
    parser.add_argument("--with-text", action="store_true", help="the report for people as 'text' in the JSON")
    parser.add_argument("--keep", action="store_true", help="write report, lists and metrics where the site keeps them")
    parser.add_argument("--option", type=option, action="append", default=[], metavar="NAME=VALUE")
    options = parser.parse_args(arguments)
    try:
        config = json.loads(Path(options.config).read_text(encoding="utf-8"))
        environment, request = settings(config)
        defaults = config["commands"].get(options.command, {})
        kept = {"folder": str(Path(config["state_dir"], options.command))} if options.keep else {}
        answer = work(config, options.command, environment, {**request, **defaults, **kept, **dict(options.option)})
        if options.keep and options.command in AFTER:
            AFTER[options.command](answer["report"], config)
        if options.keep and "page" in answer:
            publish(answer, Path(config["page_dir"]))
    except (ArtifactError, OSError, KeyError) as error:
        print(f"labtrack-artifacts: {error}", file=sys.stderr)
        return 1
    report = {**answer["report"], **({"text": answer["text"]} if options.with_text else {})}
    print(json.dumps(report) if options.json else answer["text"], end="")
    return int(bool(answer.get("failed")))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
