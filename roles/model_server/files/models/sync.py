# Kept by labtrack.mlflow.model_server.
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have each model served in the version that its alias or the inventory names."""

from __future__ import annotations

import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from deployment import KINDS, UNITS_DIR, Deployment, systemctl
from environments import Environments, other_python
from fetch import Fetcher, input_example
from record import Record
from registry import Registry
from releases import ReleaseError
from settings import Model, ModelError, Settings

sys.path.append("/usr/local/lib/labtrack")

from labtrack_files import write

SYSUSERS_FILE = "/etc/sysusers.d/labtrack-models.conf"


@dataclass
class Outcome:
    """What a run has done, for a person and for the role."""

    changes: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Sync:
    """One run."""

    def __init__(self, settings: Settings, say: Callable[[str], None], is_timer: bool = False):
        self.settings = settings
        self.is_timer = is_timer
        self.say = say
        self.registry = Registry(settings)
        self.fetcher = Fetcher(settings, self.registry)
        self.environments = Environments(settings)
        self.outcome = Outcome()

    def record(self, model: Model) -> Record:
        """What is remembered of the model."""
        return Record.read(self.settings.state_dir / model.name)

    def all(self, names: list[str]) -> Outcome:
        """Every model, or those of the names; one that fails does not keep the others."""
        for name in self.leftover():
            self.remove(name)
        for model in [self.settings.model(name) for name in names] or self.settings.models:
            try:
                self.one(model)
            except (ModelError, ReleaseError, OSError) as error:
                self.outcome.problems.append(f"{model.name}: {error}")
        self.metrics()
        return self.outcome

    def one(self, model: Model) -> None:
        """The version that is wanted serves."""
        record = self.record(model)
        wanted = self.wanted(model, record)
        if not wanted:
            return
        # a version that cannot serve would otherwise be started by the timer again and again
        if self.is_timer and wanted != record.serving() and (reason := record.failed_lately(wanted)):
            raise ModelError(f"{reason} The timer tries it once an hour, 'labtrack-models sync' at once.")
        try:
            self.serve(model, record, wanted)
        except (ModelError, ReleaseError) as error:
            if wanted != record.serving():
                record.note_failure(wanted, str(error))
            raise

    def wanted(self, model: Model, record: Record) -> int:
        """The version to serve; 0: there is none yet."""
        try:
            named = model.version or self.registry.version_of_alias(model)
        except LookupError as error:
            serving = record.serving()
            self.outcome.waiting.append(
                f"{model.name}: {str(error).rstrip('.')}." + (f" Version {serving} goes on." if serving else " It is served as soon as it is there.")
            )
            return serving
        except ModelError:
            # what serves is looked after all the same
            if serving := record.serving():
                self.serve(model, record, serving)
            raise
        if record.refused and named != record.refused:
            record.refused = 0
            record.save()
        if named == record.refused:
            self.outcome.notes.append(f"{model.name}: version {named} was rolled back; 'labtrack-models follow {model.name}' serves it again")
            return record.serving()
        return named

    def serve(self, model: Model, record: Record, version: int, left: int = 0) -> None:
        """Fetch, install, start, ask, switch, retire. `left`: the version that a person takes back."""
        deployment, serving = Deployment(self.settings, model), record.serving()
        self.have_user(model)
        if self.fetcher.fetch(model, version):
            self.change(model, f"fetched version {version}")
        if self.environments.install(model, version):
            self.change(model, f"installed what version {version} needs")
        if version == serving and self.goes_on(model, record, deployment):
            self.tidy(model, record, deployment)
            return
        if warning := other_python(self.settings.version_dir(model, version) / "model"):
            self.outcome.notes.append(f"{model.name}: {warning}")
        systemctl("daemon-reload")
        deployment.start(version)
        try:
            deployment.ask(version, input_example(self.settings.version_dir(model, version) / "model"))
        except ModelError:
            if version != serving:
                deployment.stop(version)
            raise
        if left:
            record.note_return(left, version)
        elif version != serving or version not in record.history:
            record.note(version)
        record.started_with = {str(version): deployment.digest()}
        record.point_to(deployment.socket(version))
        deployment.at_boot(version)
        self.change(model, f"version {version} serves" + (f" instead of {serving}" if serving not in (0, version) else ""))
        self.tidy(model, record, deployment)

    def goes_on(self, model: Model, record: Record, deployment: Deployment) -> bool:
        """Whether the version that serves does so with today's units; restarts it where it does not."""
        version, digest = record.serving(), deployment.digest()
        if not deployment.is_active(version):
            return False
        if record.started_with.get(str(version)) != digest:
            deployment.restart(version)
            record.started_with = {str(version): digest}
            record.save()
            self.change(model, f"version {version} was restarted with changed settings")
        try:
            deployment.ask(version, None)
        except ModelError as error:
            self.say(f"{model.name}: {error} It is restarted.")
            deployment.restart(version)
            deployment.ask(version, None)
            self.change(model, f"version {version} did not answer and was restarted")
        return True

    def tidy(self, model: Model, record: Record, deployment: Deployment) -> None:
        """Other versions stop; those that are not kept leave the disk. What an interrupted run has left goes, too."""
        serving = record.serving()
        for version in sorted(deployment.running() - {serving}):
            deployment.retire(version)
            self.change(model, f"version {version} was stopped")
        kept = {serving, record.refused, *record.history[-self.settings.keep :]}
        for path in (self.settings.program_dir / model.name / "versions").glob("*"):
            if path.name.isdigit() and int(path.name) not in kept:
                shutil.rmtree(path)
        self.environments.prune_unused(model)

    def have_user(self, model: Model) -> None:
        """The role has declared it."""
        try:
            pwd.getpwnam(model.user)
        except KeyError:
            done = subprocess.run(["systemd-sysusers", SYSUSERS_FILE], check=False, capture_output=True, text=True)
            if done.returncode:
                raise ModelError(f"the user {model.user} was not made: {done.stderr.strip()}") from None

    def change(self, model: Model, what: str) -> None:
        """Note it and tell it at once."""
        self.outcome.changes.append(f"{model.name}: {what}")
        self.say(f"{model.name}: {what}")

    def leftover(self) -> list[str]:
        """Models that are here and no longer declared."""
        declared = {model.name for model in self.settings.models}
        units = {path.name[len("labtrack-model-") :].partition("@")[0] for kind in KINDS for path in UNITS_DIR.glob(f"labtrack-model-*@.{kind}")}
        folders = {path.name for parent in (self.settings.program_dir, self.settings.state_dir) for path in parent.glob("*") if path.is_dir()}
        return sorted((units | folders) - declared)

    def remove(self, name: str) -> None:
        """Stop a model and take everything of it away; the registry keeps it."""
        model = Model(name, name, "", 0)
        deployment = Deployment(self.settings, model)
        record = self.record(model)
        record.link.unlink(missing_ok=True)
        for version in sorted(deployment.running()):
            deployment.retire(version)
        if units := sorted({path.name for path in UNITS_DIR.glob(f"*.wants/labtrack-model-{name}@*")}):
            systemctl("disable", "--quiet", *units)
        for kind in KINDS:
            (UNITS_DIR / f"labtrack-model-{name}@.{kind}").unlink(missing_ok=True)
        systemctl("daemon-reload")
        for folder in (self.settings.program_dir / name, self.settings.state_dir / name, Path(f"/var/cache/labtrack-model-{name}")):
            shutil.rmtree(folder, ignore_errors=True)
        self.change(model, "is no longer served")

    def metrics(self) -> None:
        """What the monitoring reads."""
        found = {key: [] for key in ("up", "version", "switched_timestamp_seconds")}
        for model in self.settings.models:
            record = self.record(model)
            version = record.serving()
            values = (int(bool(version) and Deployment(self.settings, model).is_active(version)), version, record.switched)
            for lines, value in zip(found.values(), values):
                lines.append(f'{{model="{model.name}"}} {value}\n')
        text = "".join(f"# TYPE labtrack_model_{key} gauge\n" + "".join(f"labtrack_model_{key}{line}" for line in lines) for key, lines in found.items())
        write(self.settings.metrics_dir / "labtrack_models.prom", text)
