# SPDX-License-Identifier: GPL-3.0-or-later
"""MLflow's S3 store with transfers that do not touch the server's disk.

MLflow 3.17 writes each upload to a temporary file before it sends it on, and fetches each download into one before it answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import posixpath
import shutil
import socket
import tempfile
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from functools import cache, partial
from mimetypes import guess_type
from pathlib import Path
from typing import Any, BinaryIO

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError
from incoming import PIECE, CutOffError, Incoming, take
from mlflow.environment_variables import MLFLOW_S3_IGNORE_TLS
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, RESOURCE_DOES_NOT_EXIST
from mlflow.store.artifact.artifact_repo import StreamUploadMixin
from mlflow.store.artifact.s3_artifact_repo import BOTO_TO_MLFLOW_ERROR, S3ArtifactRepository, _get_s3_client
from s3transfer.upload import UploadSubmissionTask

PUT_MAX = 5 << 30  # the largest object that S3 takes in one request
PART = 1 << 30
PART_OPTIONS = (UploadSubmissionTask.UPLOAD_PART_ARGS, UploadSubmissionTask.COMPLETE_MULTIPART_ARGS)
THREADS = {"step": 16, "upload": 64}
STEPS = ThreadPoolExecutor(THREADS["step"], "step")  # a small object, or a piece of a large one
UPLOADS = ThreadPoolExecutor(THREADS["upload"], "upload")  # one for as long as a client sends a large file; further clients wait
STORE_WAIT_SECONDS, STORE_POLL_SECONDS = 20.0, 0.25  # a single-node store that restarts with a new certificate was away for 3 seconds
outage: dict[str, float] = {}
declared_size: ContextVar[int | None] = ContextVar("declared_size", default=None)


@cache
def s3_client() -> Any:
    """MLflow's client with a connection for each thread. TLS protects what is sent: it is not hashed once more for the signature."""
    like = _get_s3_client()
    s3 = {**(like.meta.config.s3 or {}), **({"payload_signing_enabled": False} if _tls(like) else {})}
    config = like.meta.config.merge(Config(s3=s3, max_pool_connections=sum(THREADS.values())))
    client = boto3.client("s3", config=config, endpoint_url=like.meta.endpoint_url, verify=False if MLFLOW_S3_IGNORE_TLS.get() else None)
    client.meta.events.register_last("before-call.s3.PutObject", _send_small_at_once)
    session = client._endpoint.http_session  # boto3 has no option for what follows
    session._socket_options.append((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1))  # header and body are sent one after the other
    session._manager.connection_pool_kw["blocksize"] = PIECE
    return client


def _tls(client: Any) -> bool:
    return client.meta.endpoint_url.startswith("https:")


def _send_small_at_once(params: dict[str, Any], **_others: Any) -> None:
    """Asking the store first whether it wants the body costs more time than a small body."""
    if not isinstance(params["body"], Incoming):
        params["headers"].pop("Expect", None)


def persistently(call: Callable, **parameters: Any) -> Any:
    """Wait for a store that accepts no connection, as one that restarts. Nothing was sent then; boto3's own repetitions take a second at most.

    The time counts from the beginning of an outage, for all requests together: in a long one, the threads are not all waiting, and clients hear of it.
    """
    while True:
        try:
            answer = call(**parameters)
        except (EndpointConnectionError, MlflowException) as error:  # failures.py makes the second one of the first
            refused = isinstance(error, EndpointConnectionError) or isinstance(error.__cause__, EndpointConnectionError)
            if not refused or time.monotonic() > outage.setdefault("began", time.monotonic()) + STORE_WAIT_SECONDS:
                raise
            time.sleep(STORE_POLL_SECONDS)
        else:
            outage.clear()
            return answer


def acknowledge_at_once(body: Any) -> None:
    """Ceph's gateway sends a small body after its header was acknowledged, which Linux would do 40 ms later."""
    with contextlib.suppress(OSError, AttributeError, ValueError):
        connection = socket.socket(fileno=body._raw_stream.fileno())
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        finally:
            connection.detach()


class StreamingS3Repository(S3ArtifactRepository, StreamUploadMixin):
    """What MLflow's server finds for `s3://`."""

    def log_artifact_from_stream(self, stream: BinaryIO, artifact_file_name: str, artifact_path: str | None = None) -> None:
        """As MLflow does: the threaded worker has better things to do than to wait for slow clients."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, posixpath.basename(artifact_file_name))
            with file.open("wb") as target:
                shutil.copyfileobj(stream, target, PIECE)
            self.log_artifact(str(file), artifact_path)

    async def log_artifact_from_async_stream(self, chunks: AsyncIterable[bytes], artifact_file_name: str, artifact_path: str | None = None) -> None:
        """A small file in a request that boto3 can repeat, a large one while it arrives. One that breaks off leaves nothing in the store."""
        name, size, loop = posixpath.basename(artifact_file_name), declared_size.get(), asyncio.get_running_loop()
        arriving = aiter(chunks)
        head = await take(arriving, PIECE + 1)
        if len(head) > PIECE and (size is None or not _tls(s3_client())):
            return await self._log_by_file(head, arriving, name, artifact_path)
        if len(head) <= PIECE and size not in (None, len(head)):
            raise CutOffError(f"{len(head)} of {size} bytes arrived")
        place, body = self._place(artifact_path, name), Incoming(head, arriving, loop) if len(head) > PIECE else None
        try:
            if body is None:
                await loop.run_in_executor(STEPS, partial(persistently, s3_client().put_object, **place, **self._extra(name), Body=head))
            else:
                send = self._send_whole if size <= PUT_MAX else self._send_parts
                await loop.run_in_executor(UPLOADS, send, body, size, place, self._extra(name))
        except ClientError as error:
            raise MlflowException(str(error), BOTO_TO_MLFLOW_ERROR.get(error.response["Error"]["Code"], INTERNAL_ERROR)) from error
        except Exception:
            if body and body.failure:
                raise body.failure from None
            raise
        finally:
            if body:
                body.close()

    def open_object(self, path: str, headers: dict[str, str]) -> dict[str, Any] | None:
        """boto3's answer with the content of a small file as bytes and of a large one as a stream; None for what MLflow must look at.

        Raises:
            MlflowException: there is nothing at this path. MLflow would answer 500, and its clients ask again for minutes.
        """
        if not path or path.endswith("/"):
            return None
        try:
            answer = persistently(s3_client().get_object, **self._place(path), **self._bucket_owner_params, **headers)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code == "NoSuchKey" and not self._is_directory(path):
                raise MlflowException(f"There is no artifact '{path}'.", RESOURCE_DOES_NOT_EXIST) from None
            return {"Status": 416} if code == "InvalidRange" else None
        acknowledge_at_once(answer["Body"])
        if answer["ContentLength"] <= PIECE:
            answer["Body"] = answer["Body"].read()
        return answer

    async def _log_by_file(self, head: bytes, arriving: AsyncIterator[bytes], name: str, artifact_path: str | None) -> None:
        """As MLflow does, where S3 must know the length or a signature of all of it first."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, name)
            with file.open("wb") as target:
                while head:
                    await asyncio.to_thread(target.write, head)
                    head = await take(arriving, PIECE)
            await asyncio.to_thread(self.log_artifact, str(file), artifact_path)

    def _place(self, *names: str | None) -> dict[str, str]:
        bucket, root = self.parse_s3_compliant_uri(self.artifact_uri)
        return {"Bucket": bucket, "Key": posixpath.join(root, *filter(None, names))}

    def _extra(self, name: str) -> dict[str, Any]:
        """What MLflow's `_upload_file` adds."""
        kind, encoding = guess_type(name)
        guessed = {key: value for key, value in {"ContentType": kind, "ContentEncoding": encoding}.items() if value}
        return {**guessed, **self._bucket_owner_params, **(self.get_s3_file_upload_extra_args() or {})}

    @staticmethod
    def _send_whole(body: Incoming, size: int, place: dict, extra: dict) -> None:
        persistently(s3_client().put_object, **place, **extra, Body=body.allow(size), ContentLength=size)

    @staticmethod
    def _send_parts(body: Incoming, size: int, place: dict, extra: dict) -> None:
        client = s3_client()
        for_part, for_end = ({key: extra[key] for key in keys if key in extra} for keys in PART_OPTIONS)
        upload = {**place, "UploadId": persistently(client.create_multipart_upload, **place, **extra)["UploadId"]}
        try:
            parts = []
            for number, start in enumerate(range(0, size, PART), 1):
                length = min(PART, size - start)
                answer = persistently(client.upload_part, **upload, **for_part, PartNumber=number, Body=body.allow(length), ContentLength=length)
                parts.append({"PartNumber": number, "ETag": answer["ETag"]})
            persistently(client.complete_multipart_upload, **upload, **for_end, MultipartUpload={"Parts": parts})
        except BaseException:
            client.abort_multipart_upload(**upload, **{key: extra[key] for key in ("RequestPayer", "ExpectedBucketOwner") if key in extra})
            raise
