# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the machine with MLflow's Python: what the transfer programs do when a store breaks off, and with files of many parts. Prints JSON.

usage: failure_program.py PROGRAMS STORE_ENVIRONMENT BUCKET
"""

import asyncio
import http.client
import json
import os
import socket
import sys
import tempfile
import threading
from pathlib import Path

MB = 1 << 20


class Broken:
    """An answer of the store that ends after two of five megabytes."""

    def __init__(self, how: BaseException | None) -> None:
        self.how, self.left, self.closed = how, 2, threading.Event()

    def read(self, size: int) -> bytes:
        if not self.left and self.how:
            raise self.how
        self.left -= 1
        return b"x" * size if self.left >= 0 else b""

    def close(self) -> None:
        self.closed.set()


def download(how: BaseException | None) -> list:
    """What a client of the broken store sees, through layers as MLflow's."""
    import transfers
    import uvicorn
    from fastapi import FastAPI

    body, application = Broken(how), FastAPI()

    @application.middleware("http")
    async def layer(request, call_next):
        return await call_next(request)

    @application.get("/")
    async def answer():
        return transfers.answer_with({"ContentLength": 5 * MB, "ETag": '"x"', "Body": body}, "x.bin")

    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(application, log_level="critical", http="httptools"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
    thread.start()
    connection = http.client.HTTPConnection("127.0.0.1", listener.getsockname()[1], timeout=60)
    connection.request("GET", "/")
    try:
        seen = f"complete: {len(connection.getresponse().read())}"
    except (http.client.IncompleteRead, ConnectionError) as error:
        seen = type(error).__name__
    server.should_exit = True
    return [seen, body.closed.wait(30)]


async def upload(store, name: str, content: bytes, size: int) -> str:
    """As the route does it; the client goes away when its content ends before the size."""
    import streaming_store

    async def chunks():
        for start in range(0, len(content), 100_000):
            yield content[start : start + 100_000]
        if len(content) < size:
            raise ConnectionError("the client went away")

    streaming_store.declared_size.set(size)
    try:
        await store.log_artifact_from_async_stream(chunks(), name, "sub")
    except ConnectionError as error:
        return str(error)
    return "stored"


def main(programs: str, environment: str, bucket: str) -> None:
    """All of it."""
    for line in Path(environment).read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            name, value = line.split("=", 1)
            os.environ[name] = value.strip('"')
    os.environ["MLFLOW_S3_UPLOAD_EXTRA_ARGS"] = json.dumps({"Metadata": {"lab": "yes"}, "CacheControl": "no-store"})
    os.environ["_MLFLOW_SERVER_SERVE_ARTIFACTS"] = "true"
    os.chdir(tempfile.mkdtemp())
    sys.path.insert(0, programs)
    import streaming_store

    found = {"download": [download(None), download(OSError("the store is gone"))]}
    streaming_store.PUT_MAX, streaming_store.PART = 4 * MB, 5 * MB
    store, client, content = streaming_store.StreamingS3Repository(f"s3://{bucket}/failures"), streaming_store.s3_client(), os.urandom(13 * MB + 7)
    found["upload"] = [
        asyncio.run(upload(store, "parts.json.gz", content, len(content))),
        asyncio.run(upload(store, "cut-parts", content, len(content) + 1)),
        asyncio.run(upload(store, "cut-whole", content[: 3 * MB], 3 * MB + 1)),
        asyncio.run(upload(store, "whole", content[: 3 * MB], 3 * MB)),
    ]
    parts = client.get_object(Bucket=bucket, Key="failures/sub/parts.json.gz")
    found["parts"] = [parts["Body"].read() == content, parts["ContentType"], parts["Metadata"], parts["CacheControl"], parts["ETag"].strip('"')[-2:]]
    found["objects"] = [item["Key"] for item in client.list_objects_v2(Bucket=bucket, Prefix="failures/")["Contents"]]
    found["pending"] = [item["Key"] for item in client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])]
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
