# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Try what MLflow needs of an S3 store. Runs by C(_s3_python) in the Python of the MLflow release: nothing but boto3 is imported.

All is done in a bucket of its own, which is removed in the end. Where the key may not make buckets, objects are tried below a prefix
of the bucket that exists, and what would change that bucket is not tried.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import time
import urllib.parse

PART = 5 * 2**20
MODES = ("when_supported", "when_required")


class Probe:
    """The checks; `results` holds one entry for each."""

    def __init__(self, params):
        self.params, self.results = params, {}
        self.bucket, self.prefix, self.own_bucket = "", "probe/", False
        self.clients = {}

    def client(self, mode="when_required", style="path"):
        """Client with that checksum mode; a boto3 older than 1.36 has no modes."""
        import boto3
        from botocore.config import Config

        if (mode, style) not in self.clients:
            options = {"s3": {"addressing_style": style}, "retries": {"max_attempts": 2}, "connect_timeout": 10, "read_timeout": 60}
            if "request_checksum_calculation" in Config.OPTION_DEFAULTS:
                options.update(request_checksum_calculation=mode, response_checksum_validation=mode)
            keys = {"aws_access_key_id": self.params["access_key"], "aws_secret_access_key": self.params["secret_key"]}
            place = {"endpoint_url": self.params["endpoint"], "region_name": self.params["region"], "verify": self.params["ca_file"] or None}
            self.clients[mode, style] = boto3.session.Session().client("s3", config=Config(**options), **keys, **place)
            self.clients[mode, style].meta.events.register("before-call.s3.DeleteObjects", add_md5)
        return self.clients[mode, style]

    def step(self, name, function, *arguments):
        """Run a check; an exception is its result."""
        from botocore.exceptions import BotoCoreError, ClientError

        started = time.monotonic()
        try:
            value, error = function(*arguments), {}
        except (BotoCoreError, ClientError, OSError, ValueError, KeyError) as problem:
            response = getattr(problem, "response", None) or {}
            code = response.get("Error", {}).get("Code", "") if isinstance(response, dict) else ""
            value, error = None, {"error": type(problem).__name__, "code": str(code), "detail": str(problem).splitlines()[0][:200]}
        self.results[name] = {"ok": not error, "seconds": round(time.monotonic() - started, 3), **error}
        if value is not None:
            self.results[name]["value"] = value
        return not error

    def make_bucket(self, name):
        """The bucket of the probe."""
        self.client().create_bucket(Bucket=name)
        self.bucket, self.own_bucket = name, True

    def put_get(self, mode):
        """A small object comes back as it was: a store that does not know the checksum trailer may store the framing with it."""
        client, key, body = self.client(mode), f"{self.prefix}small-{mode}", os.urandom(70_000)
        client.put_object(Bucket=self.bucket, Key=key, Body=body)
        expect(client.get_object(Bucket=self.bucket, Key=key)["Body"].read() == body, "the object came back changed")

    def multipart(self, mode):
        """Two parts, as for a large artifact."""
        client, key, body = self.client(mode), f"{self.prefix}large-{mode}", os.urandom(1024) * 5120 + b"last part"
        upload = client.create_multipart_upload(Bucket=self.bucket, Key=key)["UploadId"]
        where = {"Bucket": self.bucket, "Key": key, "UploadId": upload}
        try:
            parts = []
            for number, part in enumerate((body[:PART], body[PART:]), 1):
                parts.append({"ETag": client.upload_part(**where, PartNumber=number, Body=part)["ETag"], "PartNumber": number})
            client.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
        except Exception:
            client.abort_multipart_upload(**where)
            raise
        found = client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        expect(hashlib.sha256(found).digest() == hashlib.sha256(body).digest(), "the object came back changed")

    def last_part(self, client):
        """The highest part number of S3: where a store ends earlier, large artifacts do not fit."""
        where = {"Bucket": self.bucket, "Key": f"{self.prefix}parts"}
        where["UploadId"] = client.create_multipart_upload(**where)["UploadId"]
        try:
            client.upload_part(**where, PartNumber=10_000, Body=b"x")
        finally:
            client.abort_multipart_upload(**where)

    def ranged(self, client, mode):
        """A part of an object."""
        answer = client.get_object(Bucket=self.bucket, Key=f"{self.prefix}small-{mode}", Range="bytes=100-199")
        expect(len(answer["Body"].read()) == 100, "the range was not respected")

    def listing(self, client):
        """Pages and common prefixes."""
        for number in range(5):
            client.put_object(Bucket=self.bucket, Key=f"{self.prefix}list/{number}", Body=b"x")
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=f"{self.prefix}list/", PaginationConfig={"PageSize": 2})
        expect([len(page.get("Contents", [])) for page in pages] == [2, 2, 1], "pages are wrong")
        answer = client.list_objects_v2(Bucket=self.bucket, Prefix=self.prefix, Delimiter="/")
        expect(f"{self.prefix}list/" in [item["Prefix"] for item in answer.get("CommonPrefixes", [])], "prefixes are missing")

    def batch_delete(self, client):
        """Several objects in one call, as `mlflow gc` does."""
        keys = [{"Key": f"{self.prefix}list/{number}"} for number in range(5)]
        expect(not client.delete_objects(Bucket=self.bucket, Delete={"Objects": keys}).get("Errors"), "some objects were not deleted")

    def presigned(self, client):
        """Links that clients use without keys."""
        from botocore.awsrequest import AWSRequest
        from botocore.httpsession import URLLib3Session

        session, key = URLLib3Session(verify=self.params["ca_file"] or True), {"Bucket": self.bucket, "Key": f"{self.prefix}presigned"}
        for method, action, body in (("PUT", "put_object", b"by link"), ("GET", "get_object", None)):
            url = client.generate_presigned_url(action, Params=key, ExpiresIn=120)
            answer = session.send(AWSRequest(method, url, data=body).prepare())
            expect(answer.status_code == 200, f"{method} answered {answer.status_code}")
        expect(answer.content == b"by link", "the object came back changed")

    def versioning(self, client):
        """Versions are kept."""
        client.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})
        for body in (b"1", b"2"):
            client.put_object(Bucket=self.bucket, Key=f"{self.prefix}version", Body=body)
        found = client.list_object_versions(Bucket=self.bucket, Prefix=f"{self.prefix}version").get("Versions", [])
        expect(len(found) == 2, "old versions are not kept")

    def lifecycle(self, client, name, action):
        """A rule is accepted and remembered."""
        rule = {"ID": name, "Status": "Enabled", "Filter": {"Prefix": ""}, **action}
        client.put_bucket_lifecycle_configuration(Bucket=self.bucket, LifecycleConfiguration={"Rules": [rule]})
        found = client.get_bucket_lifecycle_configuration(Bucket=self.bucket)["Rules"]
        expect([key for key in action if key in found[0]] == list(action), "the rule is not remembered")

    def policy(self, client):
        """A policy is accepted and remembered."""
        resource = [f"arn:aws:s3:::{self.bucket}/*"]
        condition = {"Bool": {"aws:SecureTransport": "false"}}
        statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": resource, "Condition": condition}
        client.put_bucket_policy(Bucket=self.bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
        expect("Deny" in client.get_bucket_policy(Bucket=self.bucket)["Policy"], "the policy is not remembered")
        client.delete_bucket_policy(Bucket=self.bucket)

    def virtual(self):
        """The bucket as a host name."""
        socket.getaddrinfo(f"{self.bucket}.{urllib.parse.urlsplit(self.params['endpoint']).hostname}", None)
        self.client(style="virtual").list_objects_v2(Bucket=self.bucket, MaxKeys=1)

    def clean(self):
        """Remove all that was made."""
        if self.bucket:
            empty(self.client(), self.bucket, "" if self.own_bucket else self.prefix)
        if self.own_bucket:
            self.client().delete_bucket(Bucket=self.bucket)

    def run(self):
        """All checks, in order; what depends on a failed one is left out."""
        name = f"{self.params['bucket'][:46].rstrip('.-')}-doctor-{os.urandom(4).hex()}"
        try:
            if not self.step("create_bucket", self.make_bucket, name) and self.params["bucket_exists"]:
                self.bucket, self.prefix = self.params["bucket"], f".labtrack/doctor-{os.urandom(4).hex()}/"
            if self.bucket:
                self.objects()
        finally:
            self.step("clean_up", self.clean)
        return {"results": self.results, "versions": versions()}

    def objects(self):
        """Checks that need a bucket."""
        for mode in MODES if "boto3_modes" in versions() else MODES[1:]:
            for check in ("put_get", "multipart"):
                self.step(f"{check}_{mode}", getattr(self, check), mode)
        good = [mode for mode in MODES if self.results.get(f"put_get_{mode}", {}).get("ok") and self.results[f"multipart_{mode}"]["ok"]]
        if not good:
            return
        client = self.client(good[0])
        self.step("ranged_get", self.ranged, client, good[0])
        if self.step("list", self.listing, client):
            self.step("batch_delete", self.batch_delete, client)
        self.step("parts_10000", self.last_part, client)
        self.step("presigned", self.presigned, client)
        self.step("addressing_virtual", self.virtual)
        if self.own_bucket:
            self.step("policy", self.policy, client)
            self.step("lifecycle_abort_multipart", self.lifecycle, client, "abort", {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 3}})
            self.step("versioning", self.versioning, client)
            self.step("lifecycle_noncurrent", self.lifecycle, client, "old", {"NoncurrentVersionExpiration": {"NoncurrentDays": 30}})


def add_md5(params, **_others):
    """What old stores want of a deletion, as the tracking server sends it (its deletions.py)."""
    params["headers"]["Content-MD5"] = base64.b64encode(hashlib.md5(params["body"], usedforsecurity=False).digest()).decode()


def expect(condition, message):
    """Raise the message unless the condition holds."""
    if not condition:
        raise ValueError(message)


def empty(client, bucket, prefix):
    """Delete every object and version below the prefix, one by one: a batch may be what the store cannot do."""
    try:
        pages = list(client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix))
        found = [(item["Key"], item["VersionId"]) for page in pages for kind in ("Versions", "DeleteMarkers") for item in page.get(kind, [])]
    except client.exceptions.ClientError:
        found = []
    for key, version in found:
        client.delete_object(Bucket=bucket, Key=key, VersionId=version)
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            client.delete_object(Bucket=bucket, Key=item["Key"])


def versions():
    """What was used."""
    import boto3
    import botocore
    from botocore.config import Config

    found = {"boto3": boto3.__version__, "botocore": botocore.__version__}
    return {**found, "boto3_modes": "yes"} if "request_checksum_calculation" in Config.OPTION_DEFAULTS else found


def main(params):
    """Entry point of C(_s3_python)."""
    return Probe(params).run()
