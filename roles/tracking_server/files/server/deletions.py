# SPDX-License-Identifier: GPL-3.0-or-later
"""Deletions that old S3 stores accept, too.

boto3 since 1.36 sends a CRC32 with a deletion of several objects. Swift until 2.31 wants the Content-MD5 that boto3 sent before, and others take it as well.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import boto3


def install() -> None:
    """For every client that is made from now on as MLflow makes it."""
    boto3.setup_default_session()
    boto3.DEFAULT_SESSION.events.register("before-call.s3.DeleteObjects", add_md5)


def add_md5(params: dict[str, Any], **_others: Any) -> None:
    """The checksum of the body, as a header."""
    digest = hashlib.md5(params["body"], usedforsecurity=False).digest()
    params["headers"]["Content-MD5"] = base64.b64encode(digest).decode()
