# SPDX-License-Identifier: GPL-3.0-or-later
"""The cloud in memory behind HTTP on loopback, for openstacksdk and the modules as they are: Keystone below /v3, the store at the root."""

from __future__ import annotations

import http.server
import json
import re
import threading
from contextlib import contextmanager

from ansible_collections.labtrack.mlflow.plugins.module_utils._openstack_session import NoAnswerError
from plugins.fake_cloud import TOKEN, Keystone

PASSWORD, SECRET = "the-password", "the-application-secret"


class Handler(http.server.BaseHTTPRequestHandler):
    """Keystone's and S3's words."""

    def send(self, status, content, **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response_only(status)
        for name, value in {"Content-Length": str(len(body)), "Content-Type": "application/json", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status, message):
        self.send(status, {"error": {"code": status, "message": message, "title": "x"}})

    def login(self, body):
        server, auth = self.server, body["auth"]
        method = auth["identity"]["methods"][0]
        server.logins.append(auth)
        if server.login_script:
            return self.refuse(server.login_script.pop(0), "told")
        if method == "application_credential" and "scope" in auth:
            return self.refuse(401, "The request you have made requires authentication.")
        if PASSWORD not in json.dumps(auth) and SECRET not in json.dumps(auth):
            return self.refuse(401, "The request you have made requires authentication.")
        return self.send(201, {"token": {**server.token, "methods": [method]}}, X_Subject_Token="the-token")

    def do_GET(self):
        version = {"id": "v3.14", "status": "stable", "links": [{"rel": "self", "href": f"{self.server.url}/v3/"}]}
        if self.path == "/":
            return self.store()
        if self.path.rstrip("/") == "/v3":
            return self.send(200, {"version": version})
        return self.keystone()

    def store(self):
        access = re.search(r"Credential=([^/]+)/", self.headers.get("Authorization", ""))
        if access and access[1] in self.server.keystone.keys:
            return self.send(200, b"<ListAllMyBucketsResult/>")
        return self.send(403, b"<Error><Code>InvalidAccessKeyId</Code></Error>")

    def keystone(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        if self.path == "/v3/auth/tokens":
            return self.login(body)
        if self.headers.get("X-Auth-Token") != "the-token":
            return self.refuse(401, "The request you have made requires authentication.")
        if not self.path.startswith("/v3/"):
            return self.refuse(404, "Not found")
        try:
            reply = self.server.keystone.call(self.command, self.path.removeprefix("/v3"), body)
        except NoAnswerError:
            self.close_connection = True
            return None
        return self.send(reply.status, reply.body if reply.status != 204 else b"")

    do_POST = do_DELETE = keystone

    def log_message(self, *args):
        """Quiet."""


@contextmanager
def running():
    """A cloud: `url`, `keystone` (in memory), `token`, `logins` that it saw, `login_script` of statuses."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.url = f"http://127.0.0.1:{server.server_port}"
        server.keystone, server.logins, server.login_script = Keystone(), [], []
        endpoints = [{"interface": "public", "region_id": "RegionOne", "url": f"{server.url}/swift/v1"}]
        server.token = {**TOKEN, "catalog": [{"type": "object-store", "endpoints": endpoints}]}
        server.auth = {"auth_url": f"{server.url}/v3", "username": "someone", "password": PASSWORD, "project_name": "lab",
                       "user_domain_name": "Default", "project_domain_name": "Default"}  # fmt: skip
        server.app_auth = {"auth_url": f"{server.url}/v3", "application_credential_id": "app-1", "application_credential_secret": SECRET}
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield server
        server.shutdown()
