# SPDX-License-Identifier: GPL-3.0-or-later
"""The side of the job: a folder with one SQLite store and its artifacts, which an unmodified MLflow client writes to."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import re
import shlex
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from labtrack_spool import jobs
from labtrack_spool.errors import SetupError
from labtrack_spool.places import filesystem_type, is_local

FORMAT = 1
SETTINGS_FILE, STORE_FILE, ARTIFACTS = "spool.json", "mlflow.db", "artifacts"

# MLflow gives an experiment without an explicit location the folder mlruns/<id> of the working directory. These triggers put it into the spool instead,
# for every client and version, and without a change in the job's code.
TRIGGERS = """
CREATE TABLE IF NOT EXISTS labtrack_spool_root (root TEXT NOT NULL);
CREATE TRIGGER IF NOT EXISTS labtrack_spool_new AFTER INSERT ON experiments
WHEN NEW.artifact_location LIKE '%mlruns/' || NEW.experiment_id AND EXISTS (SELECT 1 FROM labtrack_spool_root) BEGIN
  UPDATE experiments SET artifact_location = (SELECT root FROM labtrack_spool_root) || '/artifacts/' || NEW.experiment_id
  WHERE experiment_id = NEW.experiment_id;
END;
CREATE TRIGGER IF NOT EXISTS labtrack_spool_located AFTER UPDATE OF artifact_location ON experiments
WHEN NEW.artifact_location LIKE '%mlruns/' || NEW.experiment_id AND EXISTS (SELECT 1 FROM labtrack_spool_root) BEGIN
  UPDATE experiments SET artifact_location = (SELECT root FROM labtrack_spool_root) || '/artifacts/' || NEW.experiment_id
  WHERE experiment_id = NEW.experiment_id;
END;
"""
LOCATIONS = (("experiments", "artifact_location"), ("runs", "artifact_uri"), ("logged_models", "artifact_location"), ("trace_tags", "value"))


def job_name() -> str:
    """Name of the spool of this job or array task; all ranks of a job get the same one."""
    return jobs.name() or f"{time.strftime('%Y%m%d-%H%M%S')}-{socket.gethostname().split('.')[0]}-{os.getpid()}"


def choose(directory: str | Path | None) -> Path:
    """The folder: what is given; else LABTRACK_SPOOL_PATH, which `env` has set; else one for this job below LABTRACK_SPOOL_DIR."""
    if directory:
        return Path(directory).absolute()
    if os.environ.get("LABTRACK_SPOOL_PATH"):
        return Path(os.environ["LABTRACK_SPOOL_PATH"]).absolute()
    base = os.environ.get("LABTRACK_SPOOL_DIR")
    if not base:
        advice = "Accepted: a folder that a node with network sees, too. Set LABTRACK_SPOOL_DIR, for instance to $SCRATCH/labtrack-spool, or name the spool."
        raise SetupError(f"LABTRACK_SPOOL_DIR is not set: it is not known where the spool shall be. {advice}")
    return Path(base).absolute() / job_name()


def mlflow_command() -> tuple[list[str], str]:
    """(command line of MLflow, its version): of this Python, else of PATH.

    Raises:
        SetupError: there is none.
    """
    for package in ("mlflow", "mlflow-skinny"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return [sys.executable, "-m", "mlflow"], importlib.metadata.version(package)
    found = shutil.which("mlflow")
    if found:
        answer = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
        return [found], (re.findall(r"\d[\w.]+", answer) or ["unknown"])[-1]
    raise SetupError("mlflow is not installed here. Accepted: mlflow, or mlflow-skinny with sqlalchemy and alembic. Run this in the environment of the job.")


def template() -> Path:
    """An empty store of this MLflow, made once for each version: MLflow needs some seconds for one, which an array job would pay in every task."""
    command, version = mlflow_command()
    folder = Path(os.environ.get("LABTRACK_SPOOL_TEMPLATES") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "labtrack-spool")
    path = folder / f"mlflow-{version}.db"
    if path.is_file():
        return path
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    work = Path(tempfile.mkdtemp(prefix="labtrack-spool-", dir=folder if writable else None))
    made = work / STORE_FILE
    env = {key: value for key, value in os.environ.items() if key not in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")} | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run([*command, "db", "upgrade", f"sqlite:///{made}"], env=env, cwd=work, capture_output=True, text=True, check=False)
    if done.returncode or not made.is_file():
        shutil.rmtree(work, ignore_errors=True)
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise SetupError(f"MLflow {version} cannot make a SQLite store ({last}). Accepted: mlflow, or mlflow-skinny with sqlalchemy and alembic. Install them.")
    with contextlib.closing(sqlite3.connect(made)) as connection:
        connection.executescript(TRIGGERS)
        connection.execute("PRAGMA journal_mode = DELETE")
    if not writable:
        return made
    os.replace(made, path)
    shutil.rmtree(work, ignore_errors=True)
    return path


def create(folder: Path) -> None:
    """Make the spool where there is none yet. Several processes may do this at once."""
    try:
        (folder / ARTIFACTS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError(f"the spool '{folder}' cannot be made ({error.strerror}). Accepted: a folder that you may write to. Choose another one.") from None
    store = folder / STORE_FILE
    if store.exists():
        return
    handle, name = tempfile.mkstemp(prefix=".new-", dir=folder)
    os.close(handle)
    shutil.copyfile(template(), name)
    try:
        os.link(name, store)
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        if not store.exists():
            os.replace(name, store)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name)


def settings(folder: Path) -> dict[str, Any]:
    """What the spool says about itself; empty where it says nothing."""
    try:
        return json.loads((folder / SETTINGS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _note(folder: Path, server: str) -> None:
    """Keep under which paths writers saw the spool, and for which server it is."""
    known = settings(folder)
    roots = known.get("roots", [])
    content = known | {"format": FORMAT, "roots": roots if str(folder) in roots else [*roots, str(folder)]}
    content |= {"created": known.get("created", time.strftime("%Y-%m-%dT%H:%M:%S%z")), "host": socket.gethostname(), "journal": _journal(folder)}
    content |= {"filesystem": filesystem_type(folder)} | ({"server": server} if server else {})
    job, wrote = jobs.note(), known.get("jobs", [])
    content |= {"jobs": [*wrote, job]} if job and job not in wrote else {}
    if content == known:
        return
    handle, name = tempfile.mkstemp(prefix=".new-", dir=folder)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump(content, stream, indent=1)
    os.replace(name, folder / SETTINGS_FILE)


def _journal(folder: Path) -> str:
    return "WAL" if is_local(folder) else "DELETE"


def place(folder: Path) -> None:
    """Let the store speak of the folder under the path by which this process sees it."""
    with contextlib.closing(sqlite3.connect(folder / STORE_FILE, timeout=60)) as connection:
        connection.execute("PRAGMA busy_timeout = 60000")
        row = connection.execute("SELECT root FROM labtrack_spool_root").fetchone()
        if row and row[0] == str(folder):
            return
        connection.execute(f"PRAGMA journal_mode = {_journal(folder)}")
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("DELETE FROM labtrack_spool_root")
            connection.execute("INSERT INTO labtrack_spool_root VALUES (?)", (str(folder),))
            tables = {each[0] for each in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            for table, column in LOCATIONS if row else ():
                if table in tables:
                    old = row[0] + "/"
                    sql = f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?"
                    connection.execute(sql, (f"{folder}/", len(old) + 1, len(old), old))


def variables(directory: str | Path | None = None, experiment: str = "") -> dict[str, str]:
    """Make the spool, and say what the environment of the job must hold.

    Args:
        directory: the spool; one for this job below LABTRACK_SPOOL_DIR where it is not given.
        experiment: name of the experiment; MLFLOW_EXPERIMENT_NAME or `Default` where it is not given.

    Raises:
        SetupError: the spool cannot be made.
    """
    folder = choose(directory)
    create(folder)
    place(folder)
    before = os.environ.get("MLFLOW_TRACKING_URI", "")
    server = before if before.startswith("http") else os.environ.get("LABTRACK_SPOOL_SERVER", "")
    _note(folder, server)
    uri = f"sqlite:///{folder / STORE_FILE}"
    found = {"MLFLOW_TRACKING_URI": uri, "MLFLOW_REGISTRY_URI": uri, "LABTRACK_SPOOL_PATH": str(folder), "MLFLOW_DISABLE_TELEMETRY": "true"}
    return found | ({"LABTRACK_SPOOL_SERVER": server} if server else {}) | ({"MLFLOW_EXPERIMENT_NAME": experiment} if experiment else {})


def activate(directory: str | Path | None = None, experiment: str = "") -> Path:
    """Let MLflow in this process, and in those that it starts, write to a spool. Call it before the first use of MLflow.

    Returns:
        The folder of the spool.
    """
    found = variables(directory, experiment)
    os.environ.update(found)
    if "mlflow" in sys.modules:  # an address that was set in code wins over the environment
        module = sys.modules["mlflow"]
        module.set_tracking_uri(found["MLFLOW_TRACKING_URI"])
        module.set_registry_uri(found["MLFLOW_REGISTRY_URI"])
    return Path(found["LABTRACK_SPOOL_PATH"])


def shell_lines(values: dict[str, str]) -> str:
    """For `eval "$(labtrack-spool env)"`."""
    return "".join(f"export {key}={shlex.quote(value)}\n" for key, value in values.items())
