# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an S3 store accepts a key: a signed ListBuckets, repeated while the store does not know the key yet."""

from __future__ import annotations

import typing as t

from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_keys import Key
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_messages import CloudError
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_patience import Patience
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_http import Reader, StoreError

# asked with before a key is made: a store answers that it does not know it, something else does not
NOBODY = Key("labtrack-no-such-key", "labtrack-no-such-secret")
UNKNOWN_YET = ("access_key", "secret_key")
PASSING = ("timeout", "refused", "network")
STORE: dict[str, dict[str, t.Any]] = {
    "s3_endpoint": {"type": "str", "default": ""},
    "s3_region": {"type": "str", "default": "us-east-1"},
    "s3_ca_file": {"type": "path", "default": ""},
    "s3_ca_pem": {"type": "str", "default": ""},
    "variable_names": {"type": "dict", "default": {}},
}


class Store:
    """One S3 endpoint."""

    def __init__(self, endpoint: str, region: str, ca_file: str, patience: Patience, reader: t.Callable[..., t.Any] = Reader) -> None:
        self.endpoint, self.region, self.ca_file = endpoint.rstrip("/"), region, ca_file
        self.patience, self.reader = patience, reader

    def ask(self, key: Key) -> str:
        """Try the key once: empty where it works, otherwise why it does not, as far as that may change.

        Raises:
            StoreError: the store cannot be used with any key.
        """
        try:
            answer = self.reader(self.endpoint, key.access, key.secret, self.region, self.ca_file).get("/")
        except StoreError as error:
            if error.kind in UNKNOWN_YET:
                return f"it does not know the key: {error.detail}"
            if error.kind == "not_s3" and error.detail.startswith("status 5"):
                return error.detail
            raise
        if answer.status == 200 and b"ListAllMyBucketsResult" in answer.body:
            return ""
        if answer.status == 200 or 300 <= answer.status < 400:
            raise StoreError("not_s3", f"status {answer.status} without a list of buckets")
        return f"status {answer.status} {answer.code}"

    def until_accepted(self, key: Key) -> None:
        """Wait until the store accepts the key.

        Raises:
            CloudError: it does not in time.
            StoreError: the store cannot be used at all.
        """
        patience = self.patience.fresh()
        while True:
            try:
                problem, failure = self.ask(key), None
            except StoreError as error:
                if error.kind not in PASSING:
                    raise
                problem, failure = str(error), error
            if not problem:
                return
            if not patience.again():
                raise failure or CloudError("verification", f"{key.access}: {problem}")

    def check(self) -> None:
        """Find out, before a key is made, that there is an S3 store which can be reached.

        Raises:
            StoreError: there is none.
        """
        patience = self.patience.fresh()
        while True:
            failure = None
            try:
                problem = self.ask(NOBODY)
                if problem.startswith("status 5"):
                    failure = StoreError("server", problem)
            except StoreError as error:
                if error.kind not in PASSING:
                    raise
                failure = error
            if not failure:
                return
            if not patience.again():
                raise failure
