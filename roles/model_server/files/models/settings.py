# Kept by labtrack.mlflow.model_server.
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role has written for the program: the models, and where things are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


class ModelError(Exception):
    """What went wrong with one model, and what a person has to do."""


@dataclass(frozen=True)
class Model:
    """One model of the inventory. version: 0 for that of the alias."""

    name: str
    registered_model: str
    alias: str
    version: int

    @property
    def user(self) -> str:
        """The system user that runs it."""
        return f"lt-model-{self.name}"

    def unit(self, version: int, kind: str) -> str:
        """Name of a unit of one version."""
        return f"labtrack-model-{self.name}@{version}.{kind}"


@dataclass(frozen=True)
class Settings:
    """The file of the role."""

    models: tuple[Model, ...]
    program_dir: Path
    state_dir: Path
    metrics_dir: Path
    socket: str
    credentials_file: Path
    release: Path
    s3_environment_file: Path
    index_url: str
    wheelhouse_dir: str
    proxy: str
    keep: int
    drain_seconds: int
    code_dir: Path

    @classmethod
    def read(cls, path: Path) -> Settings:
        """The file as the role has written it."""
        found = json.loads(path.read_text(encoding="utf-8"))
        models = tuple(Model(**model) for model in found.pop("models"))
        paths = {
            name: Path(found.pop(name))
            for name in ("program_dir", "state_dir", "metrics_dir", "credentials_file", "release", "s3_environment_file", "code_dir")
        }
        return cls(models=models, **paths, **found)

    def model(self, name: str) -> Model:
        """The model of that name."""
        for model in self.models:
            if model.name == name:
                return model
        known = ", ".join(model.name for model in self.models)
        raise ModelError(f"'{name}' is not served here. Accepted: {known}. Correct the name.")

    def version_dir(self, model: Model, version: int) -> Path:
        """Where a fetched version is, with a link to its environment."""
        return self.program_dir / model.name / "versions" / str(version)
