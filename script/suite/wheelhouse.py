# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory of wheels for computers without network: labtrack-spool of this checkout, built by its own build backend, and what pip finds for the rest.

The wheel is built again only where the sources have changed, so that the role hpc_client sees the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
from pathlib import Path

from suite.paths import STATE, uv_environment
from suite.spool import PACKAGE

# what a cluster of today runs; pip takes every wheel for these or older
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
STAMP = ".sources"


def fingerprint(folder: Path) -> str:
    """Changes with every source file."""
    found = hashlib.sha256()
    for path in sorted([folder / "pyproject.toml", folder / "README.md", *(folder / "src").rglob("*.py")]):
        found.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return found.hexdigest()


def build(directory: Path) -> Path:
    """The wheel of labtrack-spool in the directory, and no older one."""
    directory.mkdir(parents=True, exist_ok=True)
    stamp, wanted, there = directory / STAMP, fingerprint(PACKAGE), sorted(directory.glob("labtrack_spool-*.whl"))
    if len(there) == 1 and stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return there[0]
    for path in there:
        path.unlink()
    command = [str(STATE / "uv" / "bin" / "uv"), "build", "--quiet", "--wheel", "--no-create-gitignore", "--python", sys.executable]
    subprocess.run([*command, "--out-dir", str(directory), str(PACKAGE)], env=uv_environment(SOURCE_DATE_EPOCH="1767225600"), check=True)
    stamp.write_text(wanted, encoding="utf-8")
    print("built", flush=True)  # playbooks/hpc_client.yml reads it
    return next(directory.glob("labtrack_spool-*.whl"))


def download(directory: Path, wheel: Path, requirements: list[str], python: str) -> None:
    """Wheels of the requirements, of labtrack-spool's needs, and of theirs, in versions that fit each other."""
    pip = [str(STATE / "uv" / "bin" / "uv"), "run", "--quiet", "--no-project", "--with", "pip", "--python", sys.executable, "python", "-m", "pip"]
    command = [*pip, "download", "--quiet", "--disable-pip-version-check", "--only-binary=:all:", "--implementation", "cp", "--python-version", python]
    command += [word for platform in PLATFORMS for word in ("--platform", platform)]
    subprocess.run([*command, "--dest", str(directory), str(wheel), *requirements], env=uv_environment(), check=True)


def main(words: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="script/wheelhouse", description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--python", default="", metavar="VERSION", help="of the cluster, for example 3.11: wheels of labtrack-spool's needs are added, too")
    parser.add_argument("requirements", nargs="*", metavar="REQUIREMENT")
    arguments = parser.parse_intermixed_args(words)  # directory, option, requirements: as the usage says
    if arguments.requirements and not arguments.python:
        parser.error("--python is not given: wheels differ between versions of Python. Accepted: that of the cluster, for example 3.11. Add it.")
    wheel = build(arguments.directory)
    if arguments.python:
        download(arguments.directory, wheel, arguments.requirements, arguments.python)
    print(wheel)
    return 0


if __name__ == "__main__":
    sys.exit(main())
