# SPDX-License-Identifier: GPL-3.0-or-later
"""Nobody chooses what the server opens with its own rights.

The server reads and writes artifacts with its key of the bucket, and files as its own user. MLflow 3.17 lets every person say where: as the location
of an experiment, the source of a model version, a tag of a trace. Whoever names another bucket of the project, or the folder of somebody else's run,
reads it through the server, whatever the permissions are. So a location is accepted only where the server itself would have put it, or below one
that the lab allows (`tracking_server_artifact_locations`). This sits at the stores, behind all ways in which a request can be written.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable
from functools import wraps
from urllib.parse import unquote, urlsplit

# the server's own names for things that MLflow checks itself, with the permissions of the person
RESOLVED = ("runs", "models", "mlflow-artifacts")
PLACEHOLDERS = ("dummy-source", "prompt-template")  # sources of prompts, which have no artifacts; mlflow.prompt.constants names them since 3.17
TRACE_TAGS = ("mlflow.artifactLocation", "mlflow.trace.archiveLocation", "mlflow.trace.spansLocation")


def is_below(uri: str, roots: Iterable[str]) -> bool:
    """Whether a URI is one of the roots or lies below; without `..`, in whatever encoding, and without anything behind the path."""
    plain = uri
    while plain != (plain := unquote(plain)):
        pass
    parts = urlsplit(plain)
    crooked = parts.query or parts.fragment or "\\" in plain or ".." in parts.path.split("/")
    if crooked or posixpath.normpath(parts.path or "/") != (parts.path or "/").rstrip("/"):
        return False
    return any(plain == root.rstrip("/") or plain.startswith(root.rstrip("/") + "/") for root in roots if root)


def refuse(what: str, value: str, accepted: str) -> None:
    """Raises MlflowException, which becomes status 400."""
    from mlflow.exceptions import MlflowException

    raise MlflowException.invalid_parameter_value(
        f"{what} is '{value}': the server does not open places that others choose. Accepted: {accepted}. "
        "An administrator can allow further ones with tracking_server_artifact_locations."
    )


def without(tags: dict[str, str] | None) -> dict[str, str]:
    """Tags of a trace without those that the server follows; a client that copies a trace sends them along."""
    return {key: value for key, value in (tags or {}).items() if key not in TRACE_TAGS or value in ("TRACKING_STORE", "ARTIFACT_REPO")}


def around(store: type, name: str, guard: Callable) -> None:
    """Calls `guard(store, arguments by name)` before a method of a store; it may raise, or change the arguments."""
    import inspect

    own = getattr(store, name)
    signature = inspect.signature(own)

    @wraps(own)
    def guarded(*arguments, **named):
        bound = signature.bind(*arguments, **named)
        guard(arguments[0], bound.arguments)
        return own(*bound.args, **bound.kwargs)

    setattr(store, name, guarded)


def install(allowed: list[str], tracking: Callable) -> None:
    """`tracking` returns the tracking store, for the folder of a run."""
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Registry
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Tracking

    def experiment(_store, arguments: dict) -> None:
        location = arguments.get("artifact_location")
        if location and not is_below(location, allowed):
            refuse("artifact_location", location, "none, then the server chooses the folder")

    def version(_store, arguments: dict) -> None:
        source, run, model = arguments["source"], arguments.get("run_id"), arguments.get("model_id")
        if not source or source in PLACEHOLDERS or urlsplit(source).scheme in RESOLVED or is_below(source, allowed):
            return
        own = [tracking().get_run(run).info.artifact_uri] if run else []
        own += [tracking().get_logged_model(model).artifact_location] if model else []
        if not is_below(source, own):
            refuse("source", source, "runs:/, models:/, or the artifacts of the run or model that is named")

    def tag(_store, arguments: dict) -> None:
        if arguments["key"] in TRACE_TAGS:
            refuse("key", arguments["key"], "other tags of a trace")

    def trace(_store, arguments: dict) -> None:
        arguments["trace_info"].tags = without(arguments["trace_info"].tags)

    def tags(_store, arguments: dict) -> None:
        arguments["tags"] = without(arguments.get("tags"))

    around(Tracking, "create_experiment", experiment)
    around(Registry, "create_model_version", version)
    around(Tracking, "set_trace_tag", tag)
    around(Tracking, "start_trace", trace)
    for name in ("deprecated_start_trace_v2", "deprecated_end_trace_v2"):
        around(Tracking, name, tags)
