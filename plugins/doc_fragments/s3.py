# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options shared by the modules for S3 stores."""

from __future__ import annotations


class ModuleDocFragment:
    """Connection to the store, and which Python has boto3."""

    DOCUMENTATION = r"""
options:
  endpoint:
    description: URL of the store, C(https://host[:port]).
    type: str
    required: true
  access_key:
    description: The S3 access key.
    type: str
    required: true
  secret_key:
    description: The S3 secret key.
    type: str
    required: true
  region:
    description: Region that requests are signed for.
    type: str
    default: us-east-1
  ca_file:
    description: PEM file with the CA of the store, on the machine; empty means the system's CAs.
    type: path
    default: ''
  ca_pem:
    description: The same as text, for a machine that does not have the file yet; then O(ca_file) is not read.
    type: str
    default: ''
  bucket:
    description: Name of the bucket.
    type: str
    required: true
  variable_names:
    description: What the options are called in the inventory; messages use these names.
    type: dict
    default: {}
"""

    PYTHON = r"""
options:
  python:
    description: Python interpreter on the machine whose boto3 is used; the one of the MLflow release.
    type: path
    required: true
  timeout_seconds:
    description: How long all calls together may take.
    type: int
    default: 300
requirements:
  - boto3 in O(python)
"""

    BUCKET = r"""
options:
  site:
    description: Name of the site that the bucket belongs to; it is written into the bucket's object C(.labtrack/site.json).
    type: str
    required: true
  instance:
    description: Name of the MLflow instance that the bucket belongs to.
    type: str
    default: main
  adopt:
    description: Accept a bucket that has objects but no marker.
    type: bool
    default: false
  lost:
    description: Accept that a bucket is not there any more which the record of M(labtrack.mlflow.s3_bucket_info) names.
    type: bool
    default: false
  versioning:
    description: Keep old versions of objects. V(false) leaves the bucket as it is.
    type: bool
    default: true
  noncurrent_days:
    description: Days after which an old version is removed; 0 means never.
    type: int
    default: 30
  abort_multipart_days:
    description: Days after which an unfinished upload is removed; 0 means never.
    type: int
    default: 3
  policy:
    description:
      - Bucket policy. Empty leaves the bucket's policy as it is.
      - Refused when it allows everybody something, or denies what this collection needs without the condition C(aws:SecureTransport) is false.
    type: dict
    default: {}
"""
