# Kept by labtrack.mlflow.model_server.
# SPDX-License-Identifier: GPL-3.0-or-later
"""Models of the registry as services of this machine: `labtrack-models sync`, `status`, `rollback NAME`, `follow NAME`."""

from __future__ import annotations

import argparse
import fcntl
import json
import sys
from contextlib import contextmanager
from pathlib import Path

from deployment import Deployment
from releases import ReleaseError
from settings import ModelError, Settings
from sync import Sync

LOCK = Path("/run/labtrack-models.lock")


@contextmanager
def alone():
    """One run at a time; a second one waits."""
    with LOCK.open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def status(run: Sync) -> list[dict]:
    """What serves, and what is named and kept."""
    found = []
    for model in run.settings.models:
        record = run.record(model)
        serving = record.serving()
        try:
            named = model.version or run.registry.version_of_alias(model)
        except (LookupError, ModelError):
            named = 0
        found.append(
            {
                "name": model.name,
                "registered_model": model.registered_model,
                "follows": f"version {model.version}" if model.version else f"@{model.alias}",
                "serving": serving,
                "active": bool(serving) and Deployment(run.settings, model).is_active(serving),
                "named": named,
                "refused": record.refused,
                "before": record.before(serving) if serving else 0,
                "kept": sorted(int(path.parent.name) for path in (run.settings.program_dir / model.name / "versions").glob("*/environment")),
            }
        )
    return found


def table(rows: list[dict]) -> str:
    """For a person."""
    head = ("model", "serves", "state", "follows", "named", "rolled back", "kept")
    lines = [head]
    for row in rows:
        state = "active" if row["active"] else ("down" if row["serving"] else "waiting")
        numbers = [str(row[key] or "-") for key in ("serving", "named", "refused")]
        lines.append((row["name"], numbers[0], state, row["follows"], numbers[1], numbers[2], " ".join(map(str, row["kept"])) or "-"))
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in lines)


def rollback(run: Sync, name: str, to: int) -> None:
    """Serve the version before; raises ModelError."""
    model = run.settings.model(name)
    record = run.record(model)
    serving = record.serving()
    version = to or record.before(serving)
    folder = run.settings.program_dir / name / "versions"
    kept = sorted(int(path.parent.name) for path in folder.glob("*/environment"))
    others = ", ".join(str(found) for found in kept if found != serving) or "none"
    if not serving or version == serving or version not in kept:
        what = f"version {version} is not kept here or serves already" if version else "no version served before"
        raise ModelError(f"{name}: {what}. Accepted: a version on the disk that does not serve ({others}). Nothing was changed.")
    run.serve(model, record, version, left=serving)


def follow(run: Sync, name: str) -> None:
    """Serve what the alias names, also when it was rolled back."""
    model = run.settings.model(name)
    record = run.record(model)
    record.refused = 0
    record.save()
    run.one(model)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(prog="labtrack-models", description="Models of the registry as services of this machine.")
    found.add_argument("--config", type=Path, required=True, help=argparse.SUPPRESS)
    commands = found.add_subparsers(dest="command", required=True, metavar="COMMAND")
    sync = commands.add_parser("sync", help="serve what the aliases name now")
    sync.add_argument("names", nargs="*", metavar="NAME", help="only these models")
    sync.add_argument("--quiet", action="store_true", help="as the timer does: say only what changes, try a version that failed once an hour")
    back = commands.add_parser("rollback", help="serve the version before")
    back.add_argument("name", metavar="NAME")
    back.add_argument("--to", type=int, default=0, metavar="VERSION", help="serve this one of the versions that are kept")
    commands.add_parser("follow", help="serve what the alias names again").add_argument("name", metavar="NAME")
    shown = commands.add_parser("status", help="what serves")
    commands.add_parser("remove", help="stop all models and remove them from this machine").add_argument("--all", action="store_true", required=True)
    for command in (sync, shown):
        command.add_argument("--json", action="store_true", help="as JSON")
    return found


def main() -> int:
    """Entry point."""
    options = parser().parse_args()
    as_json = getattr(options, "json", False)
    try:
        run = Sync(
            Settings.read(options.config), lambda text: print(text, file=sys.stderr if as_json else sys.stdout, flush=True), getattr(options, "quiet", False)
        )
        if options.command == "status":
            rows = status(run)
            print(json.dumps(rows, indent=1) if as_json else table(rows))
            return 0
        with alone():
            if options.command == "sync":
                run.all(options.names)
            elif options.command == "remove":
                for name in sorted({model.name for model in run.settings.models} | set(run.leftover())):
                    run.remove(name)
            else:
                if options.command == "rollback":
                    rollback(run, options.name, options.to)
                else:
                    follow(run, options.name)
                run.metrics()
    except (ModelError, ReleaseError, OSError) as error:
        print(f"labtrack-models: {error}", file=sys.stderr)
        return 1
    outcome = run.outcome
    if as_json:
        found = {"changes": outcome.changes, "waiting": outcome.waiting, "notes": outcome.notes, "problems": outcome.problems}
        print(json.dumps({"changed": bool(outcome.changes), **found}, indent=1))
    else:
        for text in outcome.problems:
            print(f"labtrack-models: {text}", file=sys.stderr)
        for text in [] if getattr(options, "quiet", False) else [*outcome.waiting, *outcome.notes]:
            print(text)
    return 1 if outcome.problems else 0


if __name__ == "__main__":
    sys.exit(main())
