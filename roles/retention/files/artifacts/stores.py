# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in a store, in the order of the keys, one page at a time: a bucket or a directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from places import Root

BATCH = 1000  # the most that S3 lists or deletes in one request


@dataclass(frozen=True)
class Item:
    """One object or file. `tag` changes with its content: an ETag, or size and time of change. `modified` is in seconds of the epoch."""

    key: str
    size: int
    tag: str
    modified: float


@dataclass
class Totals:
    """What a listing has passed, the current objects aside: kept versions, deletion marks, uploads that were begun."""

    noncurrent_objects: int = 0
    noncurrent_bytes: int = 0
    deletion_marks: int = 0
    versioned: bool = False
    failed: dict[str, str] = field(default_factory=dict)


def s3_client(environment: dict[str, str] | None = None) -> Any:
    """A client as MLflow makes it, from the environment that `object_store` writes."""
    import boto3
    from botocore.config import Config

    values = os.environ if environment is None else environment
    style = values.get("MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE", "auto")
    options: dict[str, Any] = {"s3": {"addressing_style": style}, "connect_timeout": 10, "read_timeout": 120, "retries": {"max_attempts": 5}}
    for name in ("request_checksum_calculation", "response_checksum_validation"):
        if values.get(f"AWS_{name.upper()}"):
            options[name] = values[f"AWS_{name.upper()}"]
    session = boto3.session.Session(
        aws_access_key_id=values.get("AWS_ACCESS_KEY_ID"),
        aws_secret_access_key=values.get("AWS_SECRET_ACCESS_KEY"),
        region_name=values.get("AWS_DEFAULT_REGION"),
    )
    session.events.register("before-call.s3.DeleteObjects", _add_md5)
    return session.client("s3", endpoint_url=values.get("MLFLOW_S3_ENDPOINT_URL") or None, verify=values.get("AWS_CA_BUNDLE") or None, config=Config(**options))


def _add_md5(params: dict[str, Any], **_others: Any) -> None:
    """Older stores want the checksum that boto3 sent until 1.36; the release's own module knows how."""
    from deletions import add_md5

    add_md5(params)


class S3Store:
    """A bucket."""

    def __init__(self, root: Root, client: Any, *, batch_delete: bool = True) -> None:
        self.root, self.client, self.batch_delete = root, client, batch_delete

    def items(self, prefix: str, totals: Totals) -> Iterator[Item]:
        """Current objects below the prefix, in the order of their keys; what else is passed goes to the totals."""
        if self.versioned():
            totals.versioned = True
            for page in self.client.get_paginator("list_object_versions").paginate(Bucket=self.root.bucket, Prefix=prefix):
                totals.deletion_marks += len(page.get("DeleteMarkers", []))
                for found in page.get("Versions", []):
                    if found["IsLatest"]:
                        yield _item(found)
                    else:
                        totals.noncurrent_objects += 1
                        totals.noncurrent_bytes += found["Size"]
            return
        for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.root.bucket, Prefix=prefix):
            yield from map(_item, page.get("Contents", []))

    def versioned(self) -> bool:
        """Whether the store keeps versions, or has kept some; one that does not know the question keeps none."""
        try:
            return bool(self.client.get_bucket_versioning(Bucket=self.root.bucket).get("Status"))
        except self.client.exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] in (403, 404, 405, 501):
                return False
            raise

    def delete(self, keys: list[str]) -> dict[str, str]:
        """Delete objects, in one request where the store takes that; what was refused, with the reason."""
        failed: dict[str, str] = {}
        for start in range(0, len(keys), BATCH):
            batch = keys[start : start + BATCH]
            failed.update(self._batch(batch) if self.batch_delete else self._singly(batch))
        return failed

    def _batch(self, keys: list[str]) -> dict[str, str]:
        objects = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
        try:
            answer = self.client.delete_objects(Bucket=self.root.bucket, Delete=objects)
        except self.client.exceptions.ClientError:
            self.batch_delete = False
            return self._singly(keys)
        return {error["Key"]: f"{error['Code']}: {error.get('Message', '')}" for error in answer.get("Errors", [])}

    def _singly(self, keys: list[str]) -> dict[str, str]:
        from botocore.exceptions import BotoCoreError, ClientError

        failed = {}
        for key in keys:
            try:
                self.client.delete_object(Bucket=self.root.bucket, Key=key)
            except (ClientError, BotoCoreError) as error:
                failed[key] = str(error)
        return failed


def _item(found: dict[str, Any]) -> Item:
    return Item(found["Key"], found["Size"], found.get("ETag", "").strip('"'), found["LastModified"].timestamp())


class DirectoryStore:
    """A directory of the machine."""

    def __init__(self, root: Root) -> None:
        self.root = root

    def items(self, prefix: str, _totals: Totals) -> Iterator[Item]:
        """Files below the prefix, in the order in which a bucket would list them."""
        top = Path(self.root.prefix, prefix.rpartition("/")[0])
        if top.is_dir():
            yield from (item for item in self._walk(str(top), prefix.rpartition("/")[0]) if item.key.startswith(prefix))

    def _walk(self, path: str, above: str) -> Iterator[Item]:
        with os.scandir(path) as found:
            entries = sorted(found, key=lambda entry: entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name)
        for entry in entries:
            key = f"{above}/{entry.name}" if above else entry.name
            try:
                if entry.is_dir(follow_symlinks=False):
                    yield from self._walk(entry.path, key)
                elif entry.is_file(follow_symlinks=False):
                    state = entry.stat(follow_symlinks=False)
                    yield Item(key, state.st_size, f"{state.st_size:x}-{state.st_mtime_ns:x}", state.st_mtime)
            except FileNotFoundError:
                continue  # deleted while it was looked at

    def delete(self, keys: list[str]) -> dict[str, str]:
        """Delete files, and directories that are empty then; what was refused, with the reason."""
        failed, folders = {}, set()
        for key in keys:
            path = Path(self.root.prefix, key)
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                failed[key] = error.strerror or str(error)
            folders.update(parent for parent in path.parents if parent.is_relative_to(self.root.prefix) and str(parent) != self.root.prefix)
        for folder in sorted(folders, key=lambda path: -len(path.parts)):
            try:
                folder.rmdir()
            except OSError:
                continue  # not empty
        return failed


def open_store(root: Root, *, batch_delete: bool = True) -> S3Store | DirectoryStore:
    """The store at the root."""
    return S3Store(root, s3_client(), batch_delete=batch_delete) if root.bucket else DirectoryStore(root)
