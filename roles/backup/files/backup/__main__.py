# Kept by labtrack.mlflow.backup.
# SPDX-License-Identifier: GPL-3.0-or-later
"""Back up, prove, restore: everything that this machine of the site must not lose. Timers and playbooks call it; so may root.

usage: labtrack-backup [--config FILE] COMMAND
    status                      what there is, as JSON
    backup KIND                 now: full, incremental, configuration, artifacts
    check                       make the repositories where they are missing, and send a WAL segment to pgBackRest's
    check-passphrase            whether the repositories that exist can be opened
    prove                       restore the newest backups into scratch space and compare
    restore-files KIND          configuration or artifacts, back into the machine; what is replaced is kept aside
    restore-database [options]  --mode replace|beside, --target-time TIME, --target-timeline N, --check (only look), --confirmed (replace what is there)
    restored                    the site runs on what was restored
    unpack-dumps                the newest dumps of an external database, for pg_restore
    upgrade-stanza              go on in the same repository after an upgrade of PostgreSQL, and make a full backup
Exit status: 0 good, 1 something failed; the reason is in the journal, or on stderr.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

import bundle
import cluster
import dump
import proof
import replace
from settings import CONFIG, BackupError, alone, fail, load, say
from status import status


def back_up(config: dict, kind: str) -> None:
    """A backup of that kind."""
    if kind in ("full", "incremental") and config["database_mode"] == "dump":
        dump.back_up(config)
    elif kind in ("full", "incremental"):
        found = cluster.back_up(config, kind[:4])
        say(f"{found['type']} backup {found['label']}: {found['info']['size']} bytes of data, {found['info']['repository']['delta']} bytes stored")
    elif kind == "configuration":
        bundle.configuration(config)
    else:
        bundle.artifacts(config)


def check(config: dict) -> None:
    """Make what is missing, and see a WAL segment arrive."""
    bundle.Repository(config).prepare()
    if config["database_mode"] == "server":
        cluster.check(config)


def check_passphrase(config: dict) -> None:
    """A repository that was made with another passphrase is refused; one that is missing, or cannot be reached now, says nothing.

    Raises:
        BackupError: the passphrase is not the repository's.
    """
    for name, part in status(config).items():
        if isinstance(part, dict) and re.search("wrong password|CryptoError|cipher", part.get("error", "")):
            raise BackupError(
                f"the passphrase of the backups is not the one that the repository ({name}) was made with. Accepted: that one. Put it back into "
                "site_backup_passphrase, or into the record backup_passphrase_file on the control machine. Without it these backups cannot be read; "
                "to begin anew, give another backup_s3_prefix or backup_posix_dir. The earlier configuration is in place."
            )


def upgrade_stanza(config: dict) -> None:
    """After pg_upgrade, with the new cluster running."""
    cluster.pgbackrest(config, "stanza-upgrade")
    back_up(config, "full")


def restore_database(config: dict, options: argparse.Namespace) -> None:
    """Print the result as the last line, for the playbook; the tables stand in last_restore.json."""
    restore = replace.Restore(config, options.mode, options.target_time, options.target_timeline)
    if options.check:
        if not restore.finished_before():
            restore.check(options.confirmed)
        return
    found = restore.run(options.confirmed)
    say(json.dumps({key: value for key, value in found.items() if key != "databases"}))


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="labtrack-backup", description="Back up, prove, restore.")
    parser.add_argument("--config", type=Path, default=CONFIG)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("status", "check", "check-passphrase", "prove", "restored", "unpack-dumps", "upgrade-stanza"):
        commands.add_parser(name)
    commands.add_parser("backup").add_argument("kind", choices=["full", "incremental", "configuration", "artifacts"])
    commands.add_parser("restore-files").add_argument("kind", choices=["configuration", "artifacts"])
    database = commands.add_parser("restore-database")
    database.add_argument("--mode", choices=["replace", "beside"], default="replace")
    database.add_argument("--target-time", default="")
    database.add_argument("--target-timeline", default="")
    database.add_argument("--check", action="store_true")
    database.add_argument("--confirmed", action="store_true")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> int:
    """Entry point."""
    options = parse(arguments)
    commands = {
        "backup": lambda config: back_up(config, options.kind),
        "check": check,
        "check-passphrase": check_passphrase,
        "prove": proof.prove,
        "restore-files": lambda config: bundle.restore(config, options.kind),
        "restore-database": lambda config: restore_database(config, options),
        "restored": replace.opened,
        "unpack-dumps": dump.unpack,
        "upgrade-stanza": upgrade_stanza,
    }
    try:
        config = load(options.config)
        if options.command == "status":
            say(json.dumps(status(config)))
            return 0
        with alone(options.command, Path(config["state_dir"], "lock")):
            commands[options.command](config)
    except (BackupError, OSError) as error:
        fail(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
