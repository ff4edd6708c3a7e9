# SPDX-License-Identifier: GPL-3.0-or-later
"""Artifacts: which files changed, where the server wants them, how they get there."""

from __future__ import annotations

import mimetypes
import os
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

from labtrack_spool.context import Context
from labtrack_spool.errors import ApiError, SpoolError
from labtrack_spool.state import Entry

MLMODEL_MAX_BYTES = 1_000_000


def files(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """(path below the folder with slashes, its status) of every regular file, and of links to such; linked folders are not entered."""
    pending = [""]
    while pending:
        prefix = pending.pop()
        try:
            entries = sorted(os.scandir(folder / prefix), key=lambda entry: entry.name)
        except FileNotFoundError:
            continue
        for entry in entries:
            name = f"{prefix}{entry.name}"
            try:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(f"{name}/")
                elif entry.is_file():
                    yield name, entry.stat()
            except FileNotFoundError:
                continue  # removed while we look, by the job


def upload_path(uri: str) -> str:
    """Path of the server's artifact API for a location; empty where artifacts do not go through the server."""
    parts = urllib.parse.urlsplit(uri)
    return "/api/2.0/mlflow-artifacts/artifacts/" + urllib.parse.quote(parts.path.strip("/")) if parts.scheme == "mlflow-artifacts" else ""


def send_folder(context: Context, owner: str, folder: Path | None, uri: str) -> bool:
    """Send what is new or changed; true when everything has arrived.

    Args:
        owner: id of the run or model in the spool.
        folder: where its artifacts are here.
        uri: where the server keeps them.
    """
    if folder is None or not folder.is_dir():
        return True
    complete = True
    known = {key: entry.digest for key, entry in context.state.all(f"artifacts {owner}").items()}
    for name, status in files(folder):
        mark = f"{status.st_size} {status.st_mtime_ns}"
        if known.get(name) == mark:
            continue
        path = folder / name
        try:
            size = send_file(context, path, uri, name)
            after = path.stat()
        except FileNotFoundError:
            continue
        except ApiError as error:
            if error.is_fatal:
                raise
            context.findings.problem(f"artifact '{name}' of {owner}: {error}")  # the others are sent all the same
            complete = False
            continue
        if f"{after.st_size} {after.st_mtime_ns}" != mark:
            complete = False  # written to while it was sent: the next pass sends it again
            continue
        context.state.put(f"artifacts {owner}", name, Entry(digest=mark, done=1))
        context.findings.add("artifacts")
        context.findings.add("bytes", size)
    return complete


def content(context: Context, path: Path) -> bytes | None:
    """The file with the ids of the server, where it is one that names ids (MLmodel); otherwise None: the file goes as it is."""
    if path.name != "MLmodel" or path.stat().st_size > MLMODEL_MAX_BYTES:
        return None
    try:
        return context.ids.translate(path.read_text(encoding="utf-8")).encode()
    except UnicodeDecodeError:
        return None


def send_file(context: Context, path: Path, uri: str, name: str) -> int:
    """Send one file; number of bytes."""
    changed = content(context, path)
    base = upload_path(uri)
    if not base:
        _send_with_mlflow(path, uri, name, changed)
    else:
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        headers = {"Content-Type": kind}
        size = path.stat().st_size if changed is None else len(changed)
        body = (lambda: path.open("rb")) if changed is None and size else (changed or b"")
        context.server.send("PUT", f"{base}/{urllib.parse.quote(name)}", body=body, headers=headers)
    return path.stat().st_size


def _send_with_mlflow(path: Path, uri: str, name: str, changed: bytes | None) -> None:
    """Where clients talk to the object store themselves, MLflow's own code does it."""
    try:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
    except ImportError:
        raise SpoolError(
            f"the server keeps artifacts at '{uri}', where clients write themselves. Accepted: 'mlflow-artifacts:' (the server's default), or an "
            "environment with the mlflow package and what it needs for that store. Install them beside labtrack-spool, or use --no-artifacts."
        ) from None
    import tempfile

    folder, _, base = name.rpartition("/")
    with tempfile.TemporaryDirectory() as temporary:
        if changed is not None:
            path = Path(temporary) / base
            path.write_bytes(changed)
        try:
            get_artifact_repository(uri).log_artifact(str(path), folder or None)
        except Exception as error:  # every store has exceptions of its own
            raise ApiError(f"artifact '{name}' to '{uri}': {error}", status=-1) from error


def listing(context: Context, call: str, fields: dict[str, str], prefix: str = "") -> Iterator[tuple[str, int]]:
    """(path, size) of all artifacts that the server lists for a run or model."""
    for entry in context.server.pages("GET", call, fields | ({"path": prefix} if prefix else {}), "files"):
        if entry.get("is_dir"):
            yield from listing(context, call, fields, entry["path"])
        else:
            yield entry["path"], int(entry.get("file_size", 0))
