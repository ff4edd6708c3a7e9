# SPDX-License-Identifier: GPL-3.0-or-later
"""Command line of labtrack-spool.

exit status:
  0  all is sent, or both sides are equal
  1  something was not sent, or differs; the messages say what
  2  an option, a path or a setting is wrong, or the server cannot be used
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import labtrack_spool
from labtrack_spool import spool, units
from labtrack_spool.context import Options
from labtrack_spool.errors import SetupError, SpoolError
from labtrack_spool.passes import Job, Report, run
from labtrack_spool.progress import Progress

RUNNING_AS = "give runs that never ended this status (after the job); JOB: KILLED as soon as Slurm says that the job is over"
DESCRIPTION = "MLflow for jobs without network: log to one SQLite file, send everything to the tracking server later."


def pair(text: str) -> tuple[str, str]:
    """OLD=NEW."""
    old, sign, new = text.partition("=")
    if not (old and sign and new):
        raise argparse.ArgumentTypeError(f"'{text}' is no pair OLD=NEW")
    return old, new


def parser() -> argparse.ArgumentParser:
    """All commands."""
    epilog = __doc__.split("\n\n", 1)[1]
    found = argparse.ArgumentParser(prog="labtrack-spool", description=DESCRIPTION, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--version", action="version", version=f"labtrack-spool {labtrack_spool.__version__}")
    commands = found.add_subparsers(dest="command", required=True, metavar="COMMAND")
    each = commands.add_parser("env", help='make the spool of this job and print its environment: eval "$(labtrack-spool env)"')
    each.add_argument("directory", nargs="?", help="the spool; otherwise one for this job below $LABTRACK_SPOOL_DIR")
    each.add_argument("--experiment", default="", help="name of the experiment (MLFLOW_EXPERIMENT_NAME)")
    each.add_argument("--format", choices=("shell", "docker", "json"), default="shell", help="docker: for --env-file")
    commands.add_parser("prepare", help="make the empty store of this MLflow version, which jobs then copy (some seconds, once)")
    sending = {
        "sync": "send what the server lacks",
        "verify": "compare both sides through the API",
        "timer": "print systemd user units that sync again and again",
    }
    for name, text in sending.items():
        each = commands.add_parser(name, help=text)
        each.add_argument("paths", nargs="+", metavar="PATH", help="a spool, a folder of spools, an MLflow SQLite file, an mlruns directory")
        _options(each)
        if name == "sync":
            each.add_argument("--watch", type=float, metavar="SECONDS", help="sync again and again, while jobs still write")
            each.add_argument("--until-done", action="store_true", help="with --watch: end when every run has ended and has arrived")
            each.add_argument("--dry-run", action="store_true", help="count what would be sent; change nothing")
            each.add_argument("--verify", action="store_true", help="compare both sides afterwards")
        if name == "timer":
            each.add_argument("--every", default="10min", help="time between two syncs, as systemd writes it (10min)")
            each.add_argument("--install", action="store_true", help="write them to ~/.config/systemd/user, and say how to start them")
    return found


def _options(each: argparse.ArgumentParser) -> None:
    each.add_argument("--to", default="", metavar="URL", help="the server; otherwise LABTRACK_SPOOL_SERVER, MLFLOW_TRACKING_URI, or that of the spool")
    each.add_argument("--workers", type=int, default=8, help="requests side by side (8)")
    each.add_argument("--experiment", action="append", default=[], metavar="NAME", help="only this one; may be repeated")
    each.add_argument("--rename-experiment", type=pair, action="append", default=[], metavar="OLD=NEW", help="send to an experiment of another name")
    each.add_argument("--map-path", type=pair, action="append", default=[], metavar="OLD=NEW", help="artifacts that a job saw below OLD are here below NEW")
    each.add_argument("--running-as", choices=("KILLED", "FAILED", "FINISHED", "JOB"), default="", help=RUNNING_AS)
    each.add_argument("--restore-deleted", action="store_true", help="bring experiments back that were deleted on the server")
    each.add_argument("--recreate", action="store_true", help="make runs again that were removed from the server for good")
    each.add_argument("--no-artifacts", action="store_true", help="leave files out")
    each.add_argument("--no-registry", action="store_true", help="leave registered models out")
    each.add_argument("--no-traces", action="store_true", help="leave traces out")
    each.add_argument("--state-dir", default="", metavar="DIR", help="keep the state there; otherwise beside the store, or in ~/.local/state")
    each.add_argument("--allow-empty", action="store_true", help="a folder without spools is no mistake (--watch and timers think so)")
    each.add_argument("--timeout", type=float, default=120, metavar="SECONDS", help="without a byte from the server (120)")
    each.add_argument("--retries", type=int, default=7, help="repetitions after 429, 5xx or a lost connection (7)")
    each.add_argument("--quiet", action="store_true", help="no progress, no notes")
    each.add_argument("--json", action="store_true", help="the report for programs")


def job_of(arguments: argparse.Namespace) -> Job:
    """What the options ask for."""
    if arguments.workers < 1:
        raise SetupError(f"--workers is {arguments.workers}. Accepted: a whole number from 1. Correct it.")
    options = Options(
        workers=arguments.workers,
        restore_deleted=arguments.restore_deleted,
        recreate=arguments.recreate,
        running_as=arguments.running_as,
        experiments=arguments.experiment,
        rename=dict(arguments.rename_experiment),
        with_artifacts=not arguments.no_artifacts,
        with_registry=not arguments.no_registry,
        with_traces=not arguments.no_traces,
    )
    paths = [(old, str(Path(new).absolute())) for old, new in arguments.map_path]
    allow_empty = arguments.allow_empty or getattr(arguments, "watch", None) is not None
    return Job("send", arguments.to, options, paths, arguments.state_dir, arguments.timeout, arguments.retries, allow_empty)


def show(report: Report, arguments: argparse.Namespace, seconds: float, verb: str) -> None:
    """Print a report."""
    if arguments.json:
        content = {"counts": report.counts, "problems": report.problems, "notes": report.notes, "pending": report.pending, "seconds": round(seconds, 2)}
        print(json.dumps(content), flush=True)
        return
    for text in [] if arguments.quiet else report.notes:
        print(f"note     {text}")
    for text in report.problems:
        print(f"PROBLEM  {text}", file=sys.stderr)
    if not arguments.quiet:
        counts = [f"{number:,} {what}" for what, number in report.counts.items() if number and what not in ("bytes", "runs looked at", "tags")]
        size = f" ({report.counts['bytes'] / 1e6:,.1f} MB)" if report.counts.get("bytes") else ""
        pending = f"; {report.pending} runs have not ended" if report.pending else ""
        print(f"{verb}: {', '.join(counts) or 'nothing new'}{size}, {seconds:.1f} s, {len(report.problems)} problems{pending}", flush=True)


def one_pass(job: Job, arguments: argparse.Namespace, verb: str) -> Report:
    """Run and print."""
    started = time.monotonic()
    with Progress(not arguments.quiet and not arguments.json) as progress:
        report = run(job, arguments.paths, progress.add, progress.say)
    show(report, arguments, time.monotonic() - started, verb)
    return report


def do_sync(arguments: argparse.Namespace) -> int:
    """`sync`."""
    job = job_of(arguments)
    if arguments.dry_run:
        job.action = "plan"
        return int(bool(one_pass(job, arguments, "would send").problems))
    stop = threading.Event()
    if arguments.watch is not None:
        signal.signal(signal.SIGTERM, lambda *_: (stop.set(), signal.default_int_handler(signal.SIGINT, None)))
    report = Report()
    try:
        while True:
            try:
                report = one_pass(job, arguments, "sent")
            except SetupError:
                raise
            except SpoolError as error:  # the server is away for longer than the repetitions last
                if arguments.watch is None:
                    raise
                print(f"PROBLEM  {error}", file=sys.stderr)
                report = Report(problems=[str(error)], pending=1)
            if arguments.watch is None or (arguments.until_done and not report.pending and not report.problems):
                break
            job.options.is_watch_pass = True
            if stop.wait(arguments.watch):
                break
    except KeyboardInterrupt:
        if arguments.watch is None:
            raise
    problems = list(report.problems)
    if arguments.verify:
        job.action = "verify"
        problems += one_pass(job, arguments, "compared").problems
    return int(bool(problems))


def do_verify(arguments: argparse.Namespace) -> int:
    """`verify`."""
    job = job_of(arguments)
    job.action = "verify"
    return int(bool(one_pass(job, arguments, "compared").problems))


def do_env(arguments: argparse.Namespace) -> int:
    """`env`."""
    found = spool.variables(arguments.directory, arguments.experiment)
    if arguments.format == "json":
        print(json.dumps(found))
    elif arguments.format == "docker":
        print("\n".join(f"{key}={value}" for key, value in found.items()))
    else:
        print(spool.shell_lines(found), end="")
    return 0


def do_prepare(_arguments: argparse.Namespace) -> int:
    """`prepare`."""
    print(spool.template())
    return 0


def do_timer(arguments: argparse.Namespace) -> int:
    """`timer`."""
    job_of(arguments)
    return units.main(arguments)


def main(words: list[str] | None = None) -> int:
    """Entry point."""
    arguments = parser().parse_args(words)
    try:
        return {"env": do_env, "prepare": do_prepare, "sync": do_sync, "verify": do_verify, "timer": do_timer}[arguments.command](arguments)
    except SpoolError as error:
        print(f"labtrack-spool: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("labtrack-spool: interrupted; the same command goes on where it was.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


if __name__ == "__main__":
    sys.exit(main())
