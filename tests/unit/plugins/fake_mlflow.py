# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of MLflow's REST API that people, roles, experiments and models need, in memory, over HTTP on loopback."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

ADMIN, PASSWORD = "admin", "the-administrator-of-the-test"
PREFIXES = ("/api/2.0/mlflow/", "/api/3.0/mlflow/")


class RefusedError(Exception):
    """Status and code of MLflow."""


class Mlflow:
    """What a server knows; `log` has method and path of every request."""

    def __init__(self):
        self.passwords, self.admins = {ADMIN: PASSWORD}, {ADMIN}
        self.roles, self.members, self.own = {}, {}, {}
        self.experiments, self.models = {"0": {"experiment_id": "0", "name": "Default", "lifecycle_stage": "active", "tags": []}}, {}
        self.log, self.numbers, self.page, self.hang_up_after, self.version = [], 0, 1000, 0, "3.17.2"

    def number(self) -> int:
        self.numbers += 1
        return self.numbers

    def answer(self, method: str, path: str, q: dict) -> dict:
        """The JSON of one request; raises RefusedError."""
        name = path.replace("/", "_").replace("-", "_")
        return getattr(self, f"{method.lower()}_{name}")(q) or {}

    # ---- people ----
    def get_users_list(self, q):
        held = {name: [role for role in self.roles.values() if name in self.members[role["id"]]] for name in self.passwords}
        return {"users": [{"username": name, "is_admin": name in self.admins, "roles": roles} for name, roles in held.items()]}

    def get_users_get(self, q):
        return {"user": {"username": q["username"]}}

    def post_users_create(self, q):
        if q["username"] in self.passwords:
            raise RefusedError(400, "RESOURCE_ALREADY_EXISTS")
        self.passwords[q["username"]] = q["password"]

    def patch_users_update_password(self, q):
        self.passwords[q["username"]] = q["password"]

    def patch_users_update_admin(self, q):
        (self.admins.add if q["is_admin"] else self.admins.discard)(q["username"])

    def delete_users_delete(self, q):
        del self.passwords[q["username"]]
        self.admins.discard(q["username"])
        self.own.pop(q["username"], None)
        for members in self.members.values():
            members.discard(q["username"])

    def get_users_permissions_list(self, q):
        if q["username"] not in self.passwords:
            raise RefusedError(404, "RESOURCE_DOES_NOT_EXIST")
        rows = [
            {"role_name": "__user_7__", "resource_type": k, "resource_pattern": p, "permission": v} for (k, p), v in self.own.get(q["username"], {}).items()
        ]
        for role in self.roles.values():
            if q["username"] in self.members[role["id"]]:
                rows += [{**one, "role_name": role["name"]} for one in role["permissions"]]
        return {"is_admin": q["username"] in self.admins, "permissions": rows}

    def post_users_permissions_grant(self, q):
        mine, key = self.own.setdefault(q["username"], {}), (q["resource_type"], q["resource_id"])
        if key in mine:
            raise RefusedError(400, "RESOURCE_ALREADY_EXISTS")
        mine[key] = q["permission"]

    def post_users_permissions_revoke(self, q):
        del self.own[q["username"]][q["resource_type"], q["resource_id"]]

    # ---- roles ----
    def get_roles_list(self, q):
        return {"roles": list(self.roles.values())}

    def post_roles_create(self, q):
        role = {"id": self.number(), "name": q["name"], "workspace": q["workspace"], "description": q.get("description"), "permissions": []}
        self.roles[role["id"]], self.members[role["id"]] = role, set()
        return {"role": role}

    def patch_roles_update(self, q):
        self.roles[q["role_id"]]["description"] = q["description"]

    def delete_roles_delete(self, q):
        del self.roles[q["role_id"]], self.members[q["role_id"]]

    def post_roles_assign(self, q):
        assert q["username"] in self.passwords
        self.members[q["role_id"]].add(q["username"])

    def delete_roles_unassign(self, q):
        self.members[q["role_id"]].remove(q["username"])

    def post_roles_permissions_add(self, q):
        row = {"id": self.number(), **{key: q[key] for key in ("resource_type", "resource_pattern", "permission")}}
        self.roles[q["role_id"]]["permissions"].append(row)

    def patch_roles_permissions_update(self, q):
        self._grant(q)["permission"] = q["permission"]

    def delete_roles_permissions_remove(self, q):
        for role in self.roles.values():
            role["permissions"] = [one for one in role["permissions"] if one["id"] != q["role_permission_id"]]

    def _grant(self, q):
        return next(one for role in self.roles.values() for one in role["permissions"] if one["id"] == q["role_permission_id"])

    # ---- things ----
    def post_experiments_search(self, q):
        return self._page("experiments", list(self.experiments.values()), q)

    def get_registered_models_search(self, q):
        return self._page("registered_models", list(self.models.values()), q)

    def _page(self, key, rows, q):
        start = int(q.get("page_token", 0))
        more = {"next_page_token": str(start + self.page)} if start + self.page < len(rows) else {}
        return {key: rows[start : start + self.page], **more}

    def get_experiments_get_by_name(self, q):
        for one in self.experiments.values():
            if one["name"] == q["experiment_name"]:
                return {"experiment": one}
        raise RefusedError(404, "RESOURCE_DOES_NOT_EXIST")

    def post_experiments_create(self, q):
        number = str(self.number())
        location = q.get("artifact_location", f"mlflow-artifacts:/{number}")
        self.experiments[number] = {"experiment_id": number, "name": q["name"], "lifecycle_stage": "active", "tags": q["tags"], "artifact_location": location}
        return {"experiment_id": number}

    def post_experiments_delete(self, q):
        self.experiments[q["experiment_id"]]["lifecycle_stage"] = "deleted"

    def post_experiments_restore(self, q):
        self.experiments[q["experiment_id"]]["lifecycle_stage"] = "active"

    def post_experiments_set_experiment_tag(self, q):
        self._tag(self.experiments[q["experiment_id"]], q)

    def get_registered_models_get(self, q):
        if q["name"] not in self.models:
            raise RefusedError(404, "RESOURCE_DOES_NOT_EXIST")
        return {"registered_model": self.models[q["name"]]}

    def post_registered_models_create(self, q):
        self.models[q["name"]] = {"name": q["name"], "description": q["description"], "tags": q["tags"], "aliases": [], "latest_versions": []}

    def patch_registered_models_update(self, q):
        self.models[q["name"]]["description"] = q["description"]

    def delete_registered_models_delete(self, q):
        del self.models[q["name"]]

    def post_registered_models_set_tag(self, q):
        self._tag(self.models[q["name"]], q)

    def post_registered_models_alias(self, q):
        self.delete_registered_models_alias(q)
        self.models[q["name"]]["aliases"].append({"alias": q["alias"], "version": q["version"]})

    def delete_registered_models_alias(self, q):
        model = self.models[q["name"]]
        model["aliases"] = [one for one in model["aliases"] if one["alias"] != q["alias"]]

    def _tag(self, thing, q):
        thing["tags"] = [*(one for one in thing["tags"] if one["key"] != q["key"]), {"key": q["key"], "value": q["value"]}]


class Handler(BaseHTTPRequestHandler):
    """Basic auth, JSON, kept connections."""

    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # head and body in one piece

    def log_message(self, *_arguments):
        """Quiet."""

    def respond(self, status: int, body: dict | str) -> None:
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def handle_one(self) -> None:
        mlflow, target = self.server.mlflow, urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        mlflow.log.append(f"{self.command} {target.path}")
        name, _, password = base64.b64decode(self.headers["Authorization"].split()[1]).decode().partition(":")
        if target.path == "/version":
            self.respond(200, mlflow.version)
        elif mlflow.passwords.get(name) != password:
            self.respond(401, {})
        elif name not in mlflow.admins and target.path != "/api/2.0/mlflow/users/get":
            self.respond(403, {})
        else:
            asked = json.loads(body) if body else {key: values[0] for key, values in parse_qs(target.query).items()}
            try:
                self.respond(200, mlflow.answer(self.command, target.path.removeprefix(PREFIXES[0]).removeprefix(PREFIXES[1]), asked))
            except RefusedError as error:
                self.respond(error.args[0], {"error_code": error.args[1], "message": "refused by the test"})
        mlflow.hang_up_after -= 1
        if not mlflow.hang_up_after:
            self.close_connection = True  # without saying so

    do_GET = do_POST = do_PATCH = do_DELETE = handle_one


@contextlib.contextmanager
def running():
    """A server and its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.mlflow = True, Mlflow()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    server.mlflow.uri = f"http://127.0.0.1:{server.server_port}"
    try:
        yield server.mlflow
    finally:
        server.shutdown()
        server.server_close()
