# SPDX-License-Identifier: GPL-3.0-or-later
"""Uploads and downloads that pass through the server while they arrive, where the store is S3.

Logins, permissions, workspaces and the checks of paths are MLflow's; so are other stores and the answer for a directory. Only the inner
part of MLflow's two routes (mlflow/server/artifact_router.py) is replaced.
"""

from __future__ import annotations

import asyncio
import json
import posixpath
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from incoming import PIECE
from mlflow.exceptions import MlflowException
from mlflow.server import artifact_router as mlflow_router
from mlflow.store.artifact.artifact_repository_registry import _artifact_repository_registry
from mlflow.utils.mime_type_utils import _guess_mime_type
from streaming_store import STEPS, StreamingS3Repository, declared_size

RECEIVE = "labtrack.receive"
RANGE = re.compile(r"bytes=(\d+-\d*|-\d+)")


class Source:
    """Around MLflow's application: remembers where a body comes from.

    All layers see the request, but none of MLflow 3.17's looks into these bodies, and three of them pass each piece on in tasks of its own:
    half of the server's time for an upload.
    """

    def __init__(self, application: Callable) -> None:
        self.application = application

    async def __call__(self, scope: dict, receive: Callable, send: Callable) -> None:
        """What ASGI calls."""
        if scope["type"] == "http":
            scope[RECEIVE] = receive
        await self.application(scope, receive, send)


async def pieces(body: Any) -> AsyncIterator[bytes]:
    """The next piece is fetched while one is sent. boto3 raises an error when there are fewer bytes than the store had announced."""
    loop = asyncio.get_running_loop()
    fetched = loop.run_in_executor(STEPS, body.read, PIECE)
    try:
        while piece := await fetched:
            fetched = loop.run_in_executor(STEPS, body.read, PIECE)
            yield piece
    finally:
        fetched.add_done_callback(lambda future: (future.cancelled() or future.exception(), body.close()))


def answer_with(found: dict[str, Any], name: str) -> Response:
    """The headers are MLflow's, and what a client needs to go on with a download that broke off."""
    if found.get("Status"):
        return Response(status_code=found["Status"])
    headers = {
        "Content-Type": _guess_mime_type(name),
        "Content-Disposition": mlflow_router._content_disposition(name),
        "X-Content-Type-Options": "nosniff",
        "Content-Length": str(found["ContentLength"]),
        "Accept-Ranges": "bytes",
        "ETag": found["ETag"],
    }
    status = 200
    if "ContentRange" in found:
        headers["Content-Range"], status = found["ContentRange"], 206
    if isinstance(found["Body"], bytes):
        return Response(found["Body"], status, headers)
    return StreamingResponse(pieces(found["Body"]), status, headers)


def routes(own_download: Callable, own_upload: Callable) -> dict[Callable, Callable]:
    """By MLflow's function the one that takes its place."""

    async def download(artifact_path: str, request: Request) -> Response:
        if not mlflow_router._is_serving_proxied_artifacts():
            return await own_download(artifact_path)
        try:
            path = mlflow_router._get_workspace_scoped_path(mlflow_router.validate_path_is_safe(artifact_path))
            store = mlflow_router._get_artifact_repo()
            found = None
            if isinstance(store, StreamingS3Repository):
                wanted = request.headers.get("range", "")
                headers = {"Range": wanted} if RANGE.fullmatch(wanted) and "if-range" not in request.headers else {}
                found = await asyncio.get_running_loop().run_in_executor(STEPS, store.open_object, path, headers)
        except MlflowException as error:
            return JSONResponse(json.loads(error.serialize_as_json()), error.get_http_status_code())
        return answer_with(found, posixpath.basename(path)) if found else await own_download(artifact_path)

    async def upload(artifact_path: str, request: Request) -> Response:
        length = request.headers.get("content-length")
        declared_size.set(None if length is None else int(length))
        return await own_upload(artifact_path, Request(request.scope, request.scope.get(RECEIVE, request.receive)))

    return {own_download: download, own_upload: upload}


def install(application: FastAPI) -> Source:
    """Our two routes go before all others of MLflow's application, for the methods that MLflow's own have: the rest is protected elsewhere."""
    _artifact_repository_registry.register("s3", StreamingS3Repository)
    ours = routes(mlflow_router.download_artifact, mlflow_router.upload_artifact)
    for route in mlflow_router.artifact_router.routes:
        application.router.add_api_route(route.path, ours[route.endpoint], methods=list(route.methods))
        application.router.routes.insert(0, application.router.routes.pop())
    return Source(application)
