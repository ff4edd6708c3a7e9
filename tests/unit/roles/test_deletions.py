# SPDX-License-Identifier: GPL-3.0-or-later
"""A deletion of several objects carries the checksum that old stores want, on every client that MLflow makes."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
from pathlib import Path

import boto3
import pytest
from botocore.awsrequest import AWSResponse

PROGRAM = Path(__file__).resolve().parents[3] / "roles" / "tracking_server" / "files" / "server" / "deletions.py"


@pytest.fixture
def deletions(monkeypatch):
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    specification = importlib.util.spec_from_file_location("deletions", PROGRAM)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    module.install()
    return module


class Answer:
    """What urllib3 would give."""

    def stream(self):
        """The body."""
        yield b"<DeleteResult/>"


def test_content_md5_is_that_of_the_body(deletions):
    sent = []

    def send(request, **_others):
        sent.append(request)
        return AWSResponse(request.url, 200, {}, Answer())

    client = boto3.client("s3", region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b", endpoint_url="https://store.invalid")
    client.meta.events.register("before-send.s3.DeleteObjects", send)
    client.delete_objects(Bucket="b", Delete={"Objects": [{"Key": "k"}]})
    (request,) = sent
    expected = base64.b64encode(hashlib.md5(request.body, usedforsecurity=False).digest())
    assert request.headers["Content-MD5"] in (expected, expected.decode())
