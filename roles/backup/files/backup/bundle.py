# SPDX-License-Identifier: GPL-3.0-or-later
"""Files in an encrypted repository of restic: configuration and generated secrets, artifacts of a site without a store, dumps of an external database."""

from __future__ import annotations

import contextlib
import filecmp
import grp
import json
import os
import pwd
import shutil
import stat
import time
import typing as t
from pathlib import Path

from settings import BackupError, environment, run, say, write

OWNERS = "owners.json"


def is_missing(error: BackupError) -> bool:
    """Whether restic said that there is no repository yet."""
    return any(words in str(error) for words in ("Is there a repository at the following location", "repository does not exist"))


class Repository:
    """restic with this site's repository, key and password."""

    def __init__(self, config: dict) -> None:
        self.config = config
        self.options = ["--quiet", "--option=s3.bucket-lookup=path"] + ([f"--cacert={config['ca_file']}"] if config["ca_file"] else [])
        secrets = environment(Path(config["environment_file"]))
        self.env = {
            **secrets,
            "RESTIC_REPOSITORY": config["restic_repository"],
            "RESTIC_PASSWORD_FILE": config["passphrase_file"],
            "RESTIC_CACHE_DIR": "/var/cache/labtrack-backup",
        }

    def restic(self, *arguments: str, accepted: tuple[int, ...] = (0,)) -> str:
        """Output of restic.

        Raises:
            BackupError: it failed.
        """
        return run(["restic", *arguments, *self.options], env=self.env, accepted=accepted).stdout

    def prepare(self) -> bool:
        """Make the repository where there is none; whether that was done."""
        try:
            self.restic("cat", "config", "--no-lock")
        except BackupError as error:
            if not is_missing(error):
                raise
            self.restic("init")
            return True
        # what a killed run left: restic removes only locks whose process is gone or that are old
        self.restic("unlock")
        return False

    def snapshots(self, tag: str) -> list[dict[str, t.Any]]:
        """Snapshots with a tag, oldest first."""
        found = json.loads(self.restic("snapshots", "--json", "--no-lock", f"--tag={tag}"))
        return sorted(found or [], key=lambda each: each["time"])

    def back_up(self, tag: str, paths: list[str], excludes: list[str]) -> None:
        """Add a snapshot of what exists, and forget what the site no longer keeps."""
        self.prepare()
        there = [path for path in paths if Path(path).exists()]
        if not there:
            raise BackupError(f"none of {', '.join(paths)} exists, so there is nothing to back up.")
        self.restic("backup", f"--tag={tag}", f"--host={self.config['host']}", *(f"--exclude={each}" for each in excludes), *there)
        keep = [f"--keep-{period}={count}" for period, count in self.config["keep"].items() if count]
        self.restic("forget", f"--tag={tag}", "--group-by=tags", *keep, "--prune")

    def restore(self, tag: str, target: Path) -> dict[str, t.Any]:
        """Unpack the newest snapshot with a tag below a directory.

        Raises:
            BackupError: there is none.
        """
        found = self.snapshots(tag)
        if not found:
            raise BackupError(f"the repository {self.config['restic_repository']} has no backup of {tag} of {self.config['host']}.")
        self.restic("restore", found[-1]["id"], f"--target={target}")
        return found[-1]


def owners_file(config: dict) -> Path:
    """Names of users and groups by number: another machine gives its system users other numbers."""
    path = Path(config["state_dir"], OWNERS)
    users, groups = {each.pw_uid: each.pw_name for each in pwd.getpwall()}, {each.gr_gid: each.gr_name for each in grp.getgrall()}
    write(path, json.dumps({"users": users, "groups": groups}, indent=1, sort_keys=True) + "\n")
    return path


def configuration(config: dict) -> None:
    """Back up configuration and generated secrets."""
    Repository(config).back_up("configuration", [*config["configuration_paths"], str(owners_file(config))], config["configuration_excludes"])


def backed_up(config: dict) -> t.Iterator[Path]:
    """Files of the configuration that its backup holds, on this machine; excludes as restic reads them, absolute or a name."""
    for base in map(Path, config["configuration_paths"]):
        for directory, names, files in os.walk(base):
            inside = [Path(directory, name) for name in names]
            names[:] = [path.name for path in inside if not _excluded(config, path)]
            yield from (Path(directory, name) for name in files if not _excluded(config, Path(directory, name)))


def _excluded(config: dict, path: Path) -> bool:
    return any(path.match(pattern) for pattern in config["configuration_excludes"])


def artifacts(config: dict) -> None:
    """Back up the artifacts of a site without an object store."""
    Repository(config).back_up("artifacts", [config["artifacts_dir"], str(owners_file(config))], [])


def files_of(base: Path) -> list[Path]:
    """Every file and link below a directory, relative to it."""
    return sorted(path.relative_to(base) for path in base.rglob("*") if path.is_symlink() or path.is_file())


def differences(unpacked: Path, snapshot_time: float) -> tuple[int, list[str]]:
    """How many files a backup holds, and which of them differ from the machine's own, although these are older than the backup."""
    wrong, found = [], files_of(unpacked)
    for relative in found:
        live, copy = Path("/", relative), unpacked / relative
        if not os.path.lexists(live) or live.lstat().st_ctime >= snapshot_time or copy.is_symlink():
            continue
        if not filecmp.cmp(live, copy, shallow=False) or stat.S_IMODE(live.stat().st_mode) != stat.S_IMODE(copy.stat().st_mode):
            wrong.append(str(live))
    return len(found), wrong


def leave_out(config: dict, unpacked: Path) -> None:
    """An older backup may hold what is no longer a part of it, such as the mark of the data volume that was lost."""
    for relative in files_of(unpacked):
        if _excluded(config, Path("/", relative)):
            (unpacked / relative).unlink()


class Owners:
    """Who owns a restored file on this machine: the user of the same name; root where there is none (yet), and the roles give it its owner."""

    def __init__(self, path: Path) -> None:
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        self.users, self.groups = found.get("users", {}), found.get("groups", {})

    def apply(self, path: Path, was: os.stat_result) -> None:
        """Give a file its owner."""
        user = group = 0
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(self.users[str(was.st_uid)]).pw_uid
        with contextlib.suppress(KeyError):
            group = grp.getgrnam(self.groups[str(was.st_gid)]).gr_gid
        os.chown(path, user, group, follow_symlinks=False)


def put_back(unpacked: Path, kept: Path, owners: Owners) -> dict[str, int]:
    """Put every file of a backup in its place; what it replaces is kept aside."""
    counts = {"restored": 0, "same": 0, "replaced": 0}
    for relative in files_of(unpacked):
        copy, live = unpacked / relative, Path("/", relative)
        if os.path.lexists(live):
            if not live.is_symlink() and not copy.is_symlink() and filecmp.cmp(live, copy, shallow=False):
                owners.apply(live, copy.lstat())
                counts["same"] += 1
                continue
            counts["replaced"] += 1
            (kept / relative).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            shutil.copy2(live, kept / relative, follow_symlinks=False)
        make_parents(unpacked, relative, owners)
        temporary = live.with_name(f".{live.name}.labtrack")
        temporary.unlink(missing_ok=True)
        shutil.copy2(copy, temporary, follow_symlinks=False)
        owners.apply(temporary, copy.lstat())
        os.replace(temporary, live)
        counts["restored"] += 1
    return counts


def make_parents(unpacked: Path, relative: Path, owners: Owners) -> None:
    """Make missing directories with the mode and owner that they had."""
    for parent in reversed(relative.parents):
        live = Path("/", parent)
        if not live.exists():
            live.mkdir()
            owners.apply(live, (unpacked / parent).stat())
            os.chmod(live, stat.S_IMODE((unpacked / parent).stat().st_mode))


def restore(config: dict, tag: str) -> None:
    """Put the newest backup of that kind back into the machine, and print what was done."""
    base = Path(config["state_dir"])
    unpacked = base / f"restored_{tag}"
    shutil.rmtree(unpacked, ignore_errors=True)
    unpacked.mkdir(parents=True, mode=0o700)
    try:
        snapshot = Repository(config).restore(tag, unpacked)
        if tag == "configuration":
            leave_out(config, unpacked)
        owners = Owners(unpacked / str(base).lstrip("/") / OWNERS)
        counts = put_back(unpacked, base / f"before_restore_{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}", owners)
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    say(json.dumps({"taken": snapshot["time"], **counts}))
