# Kept by labtrack.mlflow.model_server.
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bring the files of a version onto the machine: whole, or not at all."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from registry import Registry
from settings import Model, ModelError, Settings

sys.path.append("/usr/local/lib/labtrack")

from labtrack_files import environment_of

# for stores that the server does not pass on: MLflow's own client, in the release that serves here
DIRECT = "import sys; from mlflow.artifacts import download_artifacts; download_artifacts(artifact_uri=sys.argv[1], dst_path=sys.argv[2])"


def shared(folder: Path, group: str) -> None:
    """Give all of it to root and let the group read it."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            shutil.chown(path, "root", group)
            path.chmod(0o750 if path.is_dir() else 0o640)


class Fetcher:
    """Fetches versions."""

    def __init__(self, settings: Settings, registry: Registry):
        self.settings = settings
        self.registry = registry

    def fetch(self, model: Model, version: int) -> bool:
        """Have the version's files on the disk; False when they were."""
        target = self.settings.version_dir(model, version) / "model"
        if target.exists():
            return False
        home = self.settings.program_dir / model.name
        target.parent.mkdir(parents=True, exist_ok=True)
        for folder in (home, target.parent.parent, target.parent):
            shutil.chown(folder, "root", model.user)
            folder.chmod(0o750)
        partial = target.with_name(".model.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        try:
            place = self.registry.place(model, version)
        except LookupError as error:
            raise ModelError(f"version {version} of '{model.registered_model}' is not in the registry ({error}). Choose another version.") from None
        if place.startswith("mlflow-artifacts:"):
            self._passed_on(urlsplit(place).path.strip("/"), partial)
        else:
            self._direct(place, partial)
        if not (partial / "MLmodel").is_file():
            raise ModelError(f"version {version} of '{model.registered_model}' has no file MLmodel: it is no model that MLflow has logged.")
        shared(partial, model.user)
        os.sync()  # or a power-off soon after leaves empty files, which look complete
        partial.rename(target)
        return True

    def _passed_on(self, folder: str, target: Path) -> None:
        for path, size in self.registry.files(folder):
            if (found := self.registry.download(f"{folder}/{path}", target / path)) != size:
                raise ModelError(f"'{path}' arrived with {found} bytes of {size}. Try again.")

    def _direct(self, place: str, target: Path) -> None:
        file = self.settings.s3_environment_file
        environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": "/var/tmp", "MLFLOW_DISABLE_TELEMETRY": "true"}
        environment |= environment_of(file.read_text(encoding="utf-8")) if file.is_file() else {}
        command = [str(self.settings.release / "bin" / "python"), "-I", "-c", DIRECT, place, str(target)]
        done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
        if done.returncode:
            raise ModelError(f"'{place}' was not fetched: {done.stderr.strip()[-500:]}")


def input_example(folder: Path) -> bytes | None:
    """A request that the model was logged with, as its scoring server takes it."""
    path = folder / "serving_input_example.json"
    return path.read_bytes() if path.is_file() and json.loads(path.read_text(encoding="utf-8")) else None
