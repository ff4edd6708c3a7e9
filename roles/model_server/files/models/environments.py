# Kept by labtrack.mlflow.model_server.
# SPDX-License-Identifier: GPL-3.0-or-later
"""Environments of models: what a model's requirements.txt names, from wheels. Versions of a model with the same requirements share one."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

from releases import Installer, ReleaseError, python_tag
from settings import Model, ModelError, Settings

UV_DIR = "/opt/labtrack/uv/environment"
SPECIFIER = r"(===|==|~=|!=|<=|>=|<|>)\s*[A-Za-z0-9.*+!_-]+"
# a package of the index; no address, no file, no option of the installer
REQUIREMENT = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]*\s*(\[[A-Za-z0-9._,\s-]*\])?\s*(\(?\s*{SPECIFIER}(\s*,\s*{SPECIFIER})*\s*\)?)?\s*(;[^#@]*)?")
SERVER = re.compile(r"mlflow(-skinny)?(?![A-Za-z0-9._-])", re.IGNORECASE)
MLFLOW_VERSION = re.compile(r"^mlflow_version:\s*['\"]?([0-9][A-Za-z0-9.]*)", re.MULTILINE)
PYTHON_VERSION = re.compile(r"^\s+python_version:\s*['\"]?(\d+\.\d+)", re.MULTILINE)


def requirements(folder: Path) -> list[str]:
    """What a model needs, its scoring server included; raises ModelError for lines that are not installed here."""
    path = folder / "requirements.txt"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    lines = [line for line in (re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines()) if line]
    for line in lines:
        if not REQUIREMENT.fullmatch(line):
            raise ModelError(
                f"requirements.txt of the model has the line '{line[:200]}': only packages of the index are installed here. Accepted: lines as "
                "'scikit-learn==1.9.1'. Log the model again with pip_requirements that are of this form."
            )
    if not any(SERVER.match(line) for line in lines):
        version = MLFLOW_VERSION.search((folder / "MLmodel").read_text(encoding="utf-8"))
        lines.append(f"mlflow-skinny=={version[1]}" if version else "mlflow-skinny")
    return lines


def other_python(folder: Path) -> str:
    """A sentence where the model was logged with another Python than that of the machine."""
    version = PYTHON_VERSION.search((folder / "MLmodel").read_text(encoding="utf-8"))
    here = ".".join(platform.python_version_tuple()[:2])
    return f"it was logged with Python {version[1]}, and runs with {here} here" if version and version[1] != here else ""


class Environments(Installer):
    """Installs with the uv that role tracking_server has brought; the cache, and with it the files, are shared with MLflow's releases."""

    def __init__(self, settings: Settings):
        super().__init__(_run, "", uv_dir=UV_DIR, index_url=settings.index_url, wheelhouse_dir=settings.wheelhouse_dir, proxy=settings.proxy)
        self.settings = settings

    def install(self, model: Model, version: int) -> bool:
        """Have the environment of a fetched version, and the link to it; False when it was there."""
        folder = self.settings.version_dir(model, version)
        wanted = requirements(folder / "model")
        digest = hashlib.sha256("\n".join([platform.python_version(), *sorted(wanted)]).encode()).hexdigest()[:12]
        environment = self.settings.program_dir / model.name / "environments" / digest
        link = folder / "environment"
        if link.is_symlink() and os.readlink(link) == f"../../environments/{digest}" and is_whole(environment):
            return False
        if not is_whole(environment):
            with self.alone():
                self.replace(environment, lambda partial: self._build(partial, wanted))
        for path in (environment.parent, environment):
            shutil.chown(path, "root", model.user)
            path.chmod(0o750)
        temporary = link.with_name(".environment.partial")
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(f"../../environments/{digest}")
        temporary.rename(link)
        return True

    def _build(self, partial: Path, wanted: list[str]) -> None:
        uv, python = str(self.uv_dir / "bin" / "uv"), str(partial / "bin" / "python")
        self.run([uv, "venv", "--quiet", "--relocatable", "--python", "/usr/bin/python3", str(partial)], self.environment)
        listed = partial / "requirements.txt"
        listed.write_text("\n".join(wanted) + "\n", encoding="utf-8")
        # wheels only: no code of a package runs while it is installed
        self.run([uv, "pip", "install", "--quiet", "--python", python, *self.sources(hashes=False), "-r", str(listed)], self.environment)

    def prune_unused(self, model: Model) -> None:
        """Remove environments that no version links to."""
        home = self.settings.program_dir / model.name
        used = {os.readlink(link).rpartition("/")[2] for link in home.glob("versions/*/environment")}
        for path in (home / "environments").glob("*"):
            if path.name not in used:
                shutil.rmtree(path)
                # what Python has compiled for it
                shutil.rmtree(Path("/var/cache") / f"labtrack-model-{model.name}" / path.relative_to("/"), ignore_errors=True)


def is_whole(environment: Path) -> bool:
    """Whether it was finished, and its Python is still that of the machine."""
    interpreter = environment / "bin" / "python"
    return interpreter.exists() and interpreter.resolve().name == python_tag(environment)


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env={**os.environ, **environment}, check=False, capture_output=True, text=True)
    if done.returncode:
        raise ReleaseError(f"'{' '.join(command[1:4])} …' failed: {(done.stderr or done.stdout).strip()[-1500:]}")
