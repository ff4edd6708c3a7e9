# Kept by labtrack.mlflow.artifact_copy.
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy the artifacts of an MLflow server to a second place with rclone, then compare both.

usage: labtrack-artifact-copy [--check-only|--probe] [CONFIG]

A configuration with `layout: plain` copies once, as for a move: nothing is removed at the target, and there are no such folders.

What is new or changed is copied to `current/`. What is no longer there, or was changed, is moved to `removed/<time>/` and stays for the days that are
configured, so a deletion at the site deletes nothing at the copy. What still differs afterwards is in the report.
Exit status: 0 both are the same, 1 something failed, 3 something differs.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.append("/usr/local/lib/labtrack")

from labtrack_files import environment_of, write

CONFIG = "/etc/labtrack/artifact_copy/config.json"
STAMP = "%Y-%m-%dT%H%M%SZ"
# how two places are compared without a request for each object
COMPARE = {("s3", "s3"): ["--checksum"], ("s3", "local"): ["--use-server-modtime"], ("local", "s3"): ["--update", "--use-server-modtime"]}
WORDS = {"+": "missing in the copy", "-": "only in the copy", "*": "different", "!": "could not be read"}
LIST = 1000


class CopyError(Exception):
    """One sentence for the journal."""


def place(files: list[str], name: str) -> tuple[str, dict[str, str], str]:
    """(place in rclone's words, rclone's settings for it, its CA), read where MLflow reads it, so a changed key is used at once."""
    values: dict[str, str] = {}
    for path in files:
        values.update(environment_of(Path(path).read_text(encoding="utf-8")))
    root = values.get("MLFLOW_ARTIFACTS_DESTINATION") or values["MLFLOW_DEFAULT_ARTIFACT_ROOT"]
    if not root.startswith("s3://"):
        return root.removeprefix("file://"), {}, ""
    remote = {
        "TYPE": "s3",
        "PROVIDER": "Other",
        "ACCESS_KEY_ID": values["AWS_ACCESS_KEY_ID"],
        "SECRET_ACCESS_KEY": values["AWS_SECRET_ACCESS_KEY"],
        "REGION": values.get("AWS_DEFAULT_REGION", ""),
        "ENDPOINT": values.get("MLFLOW_S3_ENDPOINT_URL", ""),
        "FORCE_PATH_STYLE": "false" if values.get("MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE") == "virtual" else "true",
    }
    settings = {f"RCLONE_CONFIG_{name.upper()}_{key}": value for key, value in remote.items()}
    return f"{name}:{root[5:].rstrip('/')}", settings, values.get("AWS_CA_BUNDLE", "")


class Copy:
    """One run."""

    def __init__(self, config: dict[str, Any], folder: str) -> None:
        self.config, self.folder = config, Path(folder)
        self.source, settings, authority = place(config["environment_files"], "source")
        self.target, more, other = config.get("target", "").rstrip("/"), {}, config.get("target_ca_file", "")
        if config.get("target_environment_files"):  # as in a move, where the target is another store of MLflow
            self.target, more, other = place(config["target_environment_files"], "target")
        self.remote = bool(more) or config.get("target_is_remote", False)
        self.plain = config.get("layout") == "plain"
        self.current = self.target if self.plain else f"{self.target}/current"
        kinds = ("s3" if settings else "local", "s3" if self.remote else "local")
        self.compare = COMPARE.get(kinds, [])
        bundle = self.folder / "ca.pem"
        files = [Path(path) for path in ("/etc/ssl/certs/ca-certificates.crt", authority, other) if path]
        bundle.write_text("\n".join(path.read_text(encoding="utf-8") for path in files if path.exists()), encoding="utf-8")
        common = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "RCLONE_CONFIG": config.get("rclone_config", "/dev/null"), "RCLONE_CA_CERT": str(bundle)}
        self.environment = {**common, **settings, **more, "RCLONE_S3_NO_CHECK_BUCKET": "true"}
        self.filters = [word for prefix in config["excluded_prefixes"] for word in ("--exclude", f"/{prefix}**")]
        self.filters += [word for pattern in config.get("excluded_patterns", []) for word in ("--exclude", pattern)]

    def rclone(self, *words: str, good: tuple[int, ...] = (0,)) -> str:
        """Run rclone; what it prints.

        Raises:
            CopyError: it failed. Its messages have gone to the journal.
        """
        limit = ["--bwlimit", self.config["bandwidth"]] if self.config["bandwidth"] else []
        options = ["--fast-list", "--stats", "0", "--transfers", str(self.config["transfers"]), "--retries", "3", "--log-level", "NOTICE", *limit]
        done = subprocess.run(["rclone", *words, *options], env=self.environment, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode not in good:
            raise CopyError(f"'rclone {words[0]}' failed with exit status {done.returncode}; its messages are above.")
        return done.stdout

    def some(self, place: str) -> bool:
        """Whether there is anything at a place. A directory that does not exist (3) holds nothing."""
        return bool(self.rclone("lsf", place, "--max-depth", "1", *self.filters, good=(0, 3)).strip())

    def bring(self) -> None:
        """Copy; move away what was changed or has gone."""
        if not self.some(self.source) and self.some(self.current):
            raise CopyError(f"{self.source} is empty or gone, and the copy is not: the copy is left as it is. Bring the artifacts back from it.")
        if self.plain:
            self.rclone("copy", self.source, self.current, *self.compare, *self.filters)
            return
        away = f"{self.target}/removed/{time.strftime(STAMP, time.gmtime())}"
        self.rclone("sync", self.source, self.current, "--backup-dir", away, *self.compare, *self.filters)

    def differences(self, only: Path | None = None) -> tuple[Counter, list[str]]:
        """(how many by kind, the first of them) of what differs."""
        path = self.folder / "combined"
        words = ["--files-from-raw", str(only)] if only else list(self.filters)
        words += ["--one-way"] if self.plain else []
        words += ["--download"] if self.config.get("download") else []
        # 1: they differ
        self.rclone("check", self.source, self.current, "--combined", str(path), *words, good=(0, 1))
        counts: Counter = Counter()
        found = []
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                counts[line[0]] += 1
                if line[0] != "=" and len(found) < LIST:
                    found.append(line.rstrip("\n"))
        return counts, found

    def settle(self) -> tuple[Counter, list[str]]:
        """Compare; what people wrote meanwhile is copied and compared once more, alone."""
        counts, found = self.differences()
        late = [line[2:] for line in found if line[0] in "+*"]
        if not late:
            return counts, found
        names = self.folder / "late"
        names.write_text("".join(f"{name}\n" for name in late), encoding="utf-8")
        self.rclone("copy", self.source, self.current, "--files-from-raw", str(names), *self.compare)
        again, still = self.differences(names)
        rest = [line for line in found if line[0] not in "+*"]
        counts.update(again)
        counts.subtract({sign: sum(1 for line in found if line[0] == sign) for sign in "+*"})
        return counts, rest + still

    def forget(self) -> int:
        """Delete what was moved away longer ago than it is kept; how many runs' worth."""
        oldest, gone = time.strftime(STAMP, time.gmtime(time.time() - self.config["keep_days"] * 86400)), 0
        for name in self.rclone("lsf", f"{self.target}/removed", "--dirs-only", good=(0, 3)).splitlines():
            stamp = name.rstrip("/")
            if re.fullmatch(r"\d{4}-\d\d-\d\dT\d{6}Z", stamp) and stamp < oldest:
                self.rclone("purge", f"{self.target}/removed/{stamp}")
                gone += 1
        return gone


def metrics(counts: Counter, differ: int) -> str:
    """For node exporter's textfile collector."""
    values = {
        "labtrack_backup_copy_objects": (counts["="], "Artifacts that are the same in the store and in its copy."),
        "labtrack_backup_copy_differences": (differ, "Artifacts that differ after the copy."),
    }
    return "".join(f"# HELP {name} {text}\n# TYPE {name} gauge\n{name} {value}\n" for name, (value, text) in values.items())


def main(arguments: list[str]) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="labtrack-artifact-copy", description="Copy the artifacts to a second place, then compare both.")
    parser.add_argument("--check-only", action="store_true", help="compare only")
    parser.add_argument("--probe", action="store_true", help="see whether both places can be reached")
    parser.add_argument("config", nargs="?", default=CONFIG)
    options = parser.parse_args(arguments)
    os.umask(0o077)
    try:
        config = json.loads(Path(options.config).read_text(encoding="utf-8"))
        with tempfile.TemporaryDirectory(prefix="labtrack-artifact-copy-") as folder:
            work = Copy(config, folder)
            if options.probe:
                found = {place: "holds artifacts" if work.some(place) else "is empty" for place in (work.source, work.target)}
                if work.remote:
                    work.rclone("lsf", "/".join(work.target.split("/")[:1]), "--max-depth", "1")  # the bucket must be there
                print("; ".join(f"{place} {what}" for place, what in found.items()))
                return 0
            if not options.check_only:
                work.bring()
            counts, found = work.differences() if options.check_only else work.settle()
            forgotten = 0 if options.check_only or work.plain else work.forget()
        differ = sum(counts[sign] for sign in WORDS)
        lines = [f"{WORDS[line[0]]}: {line[2:]}" for line in found]
        head = f"{counts['=']} artifacts are the same in {work.source} and {work.current}, {differ} differ; {forgotten} old removals were deleted."
        write(Path(config["state_dir"], "report.txt"), "\n".join([head, *lines]) + "\n", 0o600)
        if config["metrics_dir"]:
            write(Path(config["metrics_dir"], "labtrack_backup_copy.prom"), metrics(counts, differ), 0o644)
    except (CopyError, OSError, KeyError, ValueError) as error:
        print(f"labtrack-artifact-copy: {error}", file=sys.stderr)
        return 1
    print("\n".join([head, *lines[:20]]))
    return 3 if differ else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
