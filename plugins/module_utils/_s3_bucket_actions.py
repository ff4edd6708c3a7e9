# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make, configure or delete a bucket. Runs by C(_s3_python) in the Python of the MLflow release: nothing but boto3 is imported."""

from __future__ import annotations

import json
import os

MARKER = ".labtrack/site.json"
OURS = ("labtrack-noncurrent", "labtrack-abort-multipart")
# a store that answers this cannot do it; any other error is a failure
UNSUPPORTED = ("NotImplemented", "MethodNotAllowed", "AccessDenied", "XNotImplemented", "UnsupportedOperation")


class UnsupportedError(Exception):
    """The store answers, but not to what it was asked."""


class Actions:
    """One method for each action of the plan."""

    def __init__(self, params):
        import boto3
        from botocore.config import Config

        options = {"s3": {"addressing_style": "path"}, "connect_timeout": 10, "read_timeout": 60}
        if "request_checksum_calculation" in Config.OPTION_DEFAULTS:
            options.update(request_checksum_calculation="when_required", response_checksum_validation="when_required")
        keys = {"aws_access_key_id": params["access_key"], "aws_secret_access_key": params["secret_key"]}
        place = {"endpoint_url": params["endpoint"], "region_name": params["region"], "verify": params["ca_file"] or None}
        self.client = boto3.session.Session().client("s3", config=Config(**options), **keys, **place)
        self.bucket, self.region, self.endpoint = params["bucket"], params["region"], params["endpoint"]
        self.batches, self.deleted = True, 0

    def create(self, _value):
        """Make the bucket, private. AWS alone wants its region named."""
        place = {"CreateBucketConfiguration": {"LocationConstraint": self.region}}
        amazon = "amazonaws.com" in self.endpoint and self.region != "us-east-1"
        try:
            self.client.create_bucket(Bucket=self.bucket, **(place if amazon else {}))
        except self.client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] in ("BucketAlreadyExists", "BucketAlreadyOwnedByYou"):
                raise ValueError(f"the name '{self.bucket}' is taken by another account of the store: choose another bucket") from error
            raise

    def mark(self, value):
        """Say whose bucket it is."""
        self.client.put_object(Bucket=self.bucket, Key=MARKER, Body=json.dumps(value).encode(), ContentType="application/json")

    def versioning(self, _value):
        """Keep old versions."""
        self.client.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})

    def lifecycle(self, value):
        """Our rules; rules of others stay."""
        try:
            before = self.client.get_bucket_lifecycle_configuration(Bucket=self.bucket).get("Rules")
        except self.client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in ("NoSuchLifecycleConfiguration", "NoSuchLifecycle"):
                raise
            before = []
        # Swift 2.30 overlooks the word: it lists the bucket instead, and a deletion of its rules would delete the bucket
        if before is None:
            raise UnsupportedError
        rules = [rule for rule in before if rule.get("ID") not in OURS]
        days = {
            "noncurrent_days": ("NoncurrentVersionExpiration", "NoncurrentDays"),
            "abort_multipart_days": ("AbortIncompleteMultipartUpload", "DaysAfterInitiation"),
        }
        for rule_id, (name, (action, key)) in zip(OURS, days.items()):
            if name in value:
                rules.append({"ID": rule_id, "Status": "Enabled", "Filter": {"Prefix": ""}, action: {key: value[name]}})
        if rules:
            self.client.put_bucket_lifecycle_configuration(Bucket=self.bucket, LifecycleConfiguration={"Rules": rules})
        elif before:
            self.client.delete_bucket_lifecycle(Bucket=self.bucket)

    def policy(self, value):
        """Put the policy, try to work with it, and put the earlier one back when that fails."""
        try:
            before = self.client.get_bucket_policy(Bucket=self.bucket)["Policy"]
        except self.client.exceptions.ClientError:
            before = ""
        self.client.put_bucket_policy(Bucket=self.bucket, Policy=json.dumps(value))
        key = f".labtrack/policy-{os.urandom(4).hex()}"
        try:
            self.client.put_object(Bucket=self.bucket, Key=key, Body=b"x")
            self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            self.client.list_objects_v2(Bucket=self.bucket, MaxKeys=1)
            self.client.delete_object(Bucket=self.bucket, Key=key)
        except Exception as error:
            if before:
                self.client.put_bucket_policy(Bucket=self.bucket, Policy=before)
            else:
                self.client.delete_bucket_policy(Bucket=self.bucket)
            self.client.delete_object(Bucket=self.bucket, Key=key)
            raise ValueError(f"the policy locks this site out ({error}); the earlier policy is back") from error

    def delete(self, _value):
        """All versions of all objects, the marker's last: an interrupted run knows by it whose bucket it is. Then the bucket."""
        for upload in self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", []):
            self.client.abort_multipart_upload(Bucket=self.bucket, Key=upload["Key"], UploadId=upload["UploadId"])
        marker = []
        for items in self._versions():
            marker += [item for item in items if item["Key"] == MARKER]
            self._remove([item for item in items if item["Key"] != MARKER])
        self._remove(marker)
        self.client.delete_bucket(Bucket=self.bucket)

    def _versions(self):
        """Pages of what can be deleted; without versions where the store knows none."""
        try:
            for page in self.client.get_paginator("list_object_versions").paginate(Bucket=self.bucket):
                found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
                yield [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found]
        except self.client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] not in UNSUPPORTED:
                raise
            for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket):
                yield [{"Key": item["Key"]} for item in page.get("Contents", [])]

    def _remove(self, items):
        """At most 1000 in one request; one by one where the store refuses that."""
        if items and self.batches:
            try:
                failed = self.client.delete_objects(Bucket=self.bucket, Delete={"Objects": items, "Quiet": True}).get("Errors", [])
                if failed:
                    raise ValueError(f"'{failed[0].get('Key')}' cannot be deleted: {failed[0].get('Code')}")
                self.deleted += len(items)
                return
            except self.client.exceptions.ClientError:
                self.batches = False
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda item: self.client.delete_object(Bucket=self.bucket, **item), items))
        self.deleted += len(items)


def main(params):
    """Entry point of C(_s3_python): do the actions, in order."""
    from botocore.exceptions import BotoCoreError, ClientError

    actions, done, unsupported = Actions(params), [], []
    for name, value in params["actions"].items():
        try:
            getattr(actions, name)(value)
            done.append(name)
        except UnsupportedError:
            unsupported.append(name)
        except (ClientError, BotoCoreError, ValueError) as error:
            code = getattr(error, "response", {}).get("Error", {}).get("Code", "")
            if name not in ("versioning", "lifecycle") or code not in UNSUPPORTED:
                return {"done": done, "unsupported": unsupported, "failed": name, "error": f"{code} {error}".strip()[:300]}
            unsupported.append(name)
    return {"done": done, "unsupported": unsupported, "failed": "", "error": "", "deleted": actions.deleted}
