# SPDX-License-Identifier: GPL-3.0-or-later
"""A cloud in memory: Keystone's EC2 keys behind the transport, an S3 store that learns of them late, a clock that nobody waits for."""

from __future__ import annotations

from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_login import Login
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_patience import Patience
from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_session import NoAnswerError, Reply
from ansible_collections.labtrack.mlflow.plugins.module_utils._s3_http import Answer, StoreError

ENDPOINT = "https://s3.cloud.test"
USER, PROJECT = "user-1", "project-1"
CATALOG = [
    {"type": "identity", "endpoints": [{"interface": "public", "region_id": "RegionOne", "url": "https://id.cloud.test/v3"}]},
    {
        "type": "object-store",
        "endpoints": [
            {"interface": "public", "region_id": "RegionOne", "url": f"{ENDPOINT}/swift/v1/AUTH_{PROJECT}"},
            {"interface": "internal", "region_id": "RegionOne", "url": "http://10.0.0.1:8080/swift/v1"},
        ],
    },
]
TOKEN = {
    "methods": ["password"],
    "expires_at": "2026-11-21T18:00:00.000000Z",
    "user": {"id": USER, "name": "someone"},
    "project": {"id": PROJECT, "name": "lab"},
    "catalog": CATALOG,
}
BLOCKED = "You are not authorized to perform the requested action: Delegated tokens cannot access credentials directly."
RESTRICTED = "Using method 'application_credential' is not allowed for managing additional application credentials."


def app_token(restricted=True):
    """Token of an application credential."""
    found = {"id": "app-1", "name": "labtrack", "restricted": restricted}
    return {**TOKEN, "methods": ["application_credential"], "application_credential": found}


class Clock:
    """Seconds that pass only by sleeping."""

    def __init__(self):
        self.seconds, self.slept = 0.0, []

    def now(self):
        return self.seconds

    def sleep(self, seconds):
        self.seconds += seconds
        self.slept.append(seconds)


class Keystone:
    """Transport to a Keystone; `script` holds what the next calls of a method do instead: a status, a Reply, or a word."""

    def __init__(self):
        self.keys, self.calls, self.script, self.made = {}, [], {}, 0
        self.application_credentials = {}

    def add(self, access, user=USER, project=PROJECT, secret=""):
        self.keys[access] = {"access": access, "secret": secret or f"secret-of-{access}", "user_id": user, "tenant_id": project, "trust_id": None}
        return self.keys[access]

    def new(self):
        self.made += 1
        return self.add(f"new-{self.made}")

    def call(self, method, path, body=None):
        self.calls.append((method, path, body))
        told = self.script.get(method)
        answer = told.pop(0) if told else None
        if answer == "lost":
            raise NoAnswerError("Unable to establish connection: aborted")
        if answer == "made and lost":
            self.new()
            raise NoAnswerError("Request timed out")
        if answer == "made and 504":
            self.new()
            return Reply(504, {})
        if isinstance(answer, Reply):
            return answer
        if isinstance(answer, int):
            return Reply(answer, {"error": {"message": f"told to say {answer}"}})
        return self.answer(method, path, body)

    def answer(self, method, path, body):
        if "/application_credentials/" in path:
            found = self.application_credentials.get(path.rpartition("/")[2])
            return Reply(200, {"application_credential": found}) if found else Reply(404, {"error": {"message": "not found"}})
        user, access = path.split("/")[2], path.partition("OS-EC2")[2].strip("/")
        if method == "POST":
            assert body == {"tenant_id": PROJECT}
            return Reply(201, {"credential": self.new()})
        if method == "DELETE":
            return Reply(204, {}) if self.keys.pop(access, None) else Reply(404, {"error": {"message": "no such key"}})
        return Reply(200, {"credentials": [key for key in self.keys.values() if key["user_id"] == user]})

    def posts(self):
        return [call for call in self.calls if call[0] == "POST"]


class Store:
    """Makes readers of one S3 store. It learns of a key after `late` questions; `broken` is the error of the next questions, by kind."""

    def __init__(self, keystone, late=0):
        self.keystone, self.late, self.broken, self.asked, self.refuse, self.old = keystone, late, [], [], False, {}

    def __call__(self, endpoint, access, secret, region, ca_file):
        self.where = (endpoint, region, ca_file)
        return Reader(self, access, secret)


class Reader:
    """One question."""

    def __init__(self, store, access, secret):
        self.store, self.access, self.secret = store, access, secret

    def get(self, path):
        assert path == "/"
        store = self.store
        store.asked.append(self.access)
        if store.broken:
            raise StoreError(store.broken.pop(0), "told")
        known = {access: key["secret"] for access, key in store.keystone.keys.items()} | store.old
        if self.access not in known or store.refuse:
            raise StoreError("access_key", "InvalidAccessKeyId")
        if store.late:
            store.late -= 1
            raise StoreError("access_key", "InvalidAccessKeyId")
        if known[self.access] != self.secret:
            raise StoreError("secret_key", "SignatureDoesNotMatch")
        return Answer(200, {}, b"<?xml version='1.0'?><ListAllMyBucketsResult/>")


class Cloud:
    """All of it, and the options of a task."""

    def __init__(self, path="", token=None):
        self.keystone, self.clock, self.token = Keystone(), Clock(), token or TOKEN
        self.store = Store(self.keystone)
        self.path, self.region = path, ""

    def params(self, **options):
        plain = {
            "cloud": "lab",
            "auth": None,
            "auth_type": None,
            "region_name": None,
            "timeout": 60,
            "api_timeout": None,
            "validate_certs": None,
            "ca_cert": None,
            "client_cert": None,
            "client_key": None,
            "interface": "public",
            "sdk_log_path": None,
            "sdk_log_level": "INFO",
            "s3_endpoint": ENDPOINT,
            "s3_region": "us-east-1",
            "s3_ca_file": "",
            "variable_names": {},
            "state": "present",
            "path": str(self.path),
            "access_key": "",
            "foreign_access_keys": [],
            "return_secret": False,
            "return_secrets": False,
        }
        return {**plain, **options}

    def parts(self):
        """What replaces openstacksdk, the network and the time."""

        def login(arguments, patience, log):
            return Login.from_token("https://id.cloud.test/v3", self.token, self.region), self.keystone

        self.clock = Clock()
        return {"patience": Patience(60, self.clock.now, self.clock.sleep), "login": login, "reader": self.store}
