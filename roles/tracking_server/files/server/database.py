# SPDX-License-Identifier: GPL-3.0-or-later
"""The explicit step for the two databases: `database.py inspect|initialise|migrate`, as the service user.

Reads JSON from standard input (tracking_uri, auth_uri, and the administrator for the first start), writes JSON to standard output.
`initialise` makes the tables of an empty database and the first administrator; `migrate` also upgrades an old schema.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import tempfile

import mlflow_private


def users_of(engine) -> int:
    """How many people can log in."""
    import sqlalchemy

    with engine.connect() as connection:
        return connection.execute(sqlalchemy.text("select count(*) from users")).scalar()


def write_ini(request: dict, folder: str) -> str:
    """A file for MLflow's login module, which reads its configuration when it is imported."""
    path = os.path.join(folder, "login.ini")
    uri = request["auth_uri"].replace("%", "%%")
    with open(path, "w") as file:
        file.write(f"[mlflow]\ndefault_permission = READ\ndatabase_uri = {uri}\nadmin_username = {request['admin_username']}\n")
        file.write(f"admin_password = {secrets.token_hex()}\n")  # for MLflow 3.15, which wants one; it is not used
    return path


def run(action: str, request: dict) -> dict:
    """Do what is asked for; returns the state of both databases before, what was done, and whether an administrator is missing."""
    from mlflow.store.db import utils

    tracking = utils.create_sqlalchemy_engine_with_retry(request["tracking_uri"])
    logins = utils.create_sqlalchemy_engine_with_retry(request["auth_uri"])
    result = {"tracking": mlflow_private.tracking_schema(tracking), "auth": mlflow_private.auth_schema(logins), "done": []}
    allowed = {"inspect": (), "initialise": ("empty",), "migrate": ("empty", "old")}[action]
    if all(result[name]["state"] in (*allowed, "ready") for name in ("tracking", "auth")):
        from mlflow.server.auth.db import utils as auth_utils

        if result["tracking"]["state"] != "ready":
            (utils._initialize_tables if result["tracking"]["state"] == "empty" else utils._upgrade_db)(tracking)
            result["done"].append("tracking")
        if result["auth"]["state"] != "ready":
            auth_utils.migrate(logins, "head")
            result["done"].append("auth")
        result["users"] = users_of(logins)
        if action != "inspect" and not result["users"]:
            from mlflow.server.auth import store

            store.init_db(request["auth_uri"])
            store.create_user(request["admin_username"], request["admin_password"], is_admin=True)
            result["done"].append("admin")
    return result


def main() -> None:
    """Answer one request."""
    answer = os.dup(1)
    os.dup2(2, 1)  # what MLflow prints is no answer
    request = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MLFLOW_AUTH_CONFIG_PATH"] = write_ini(request, folder)
        result = run(sys.argv[1], request)
    with os.fdopen(answer, "w") as file:
        json.dump(result, file)


if __name__ == "__main__":
    main()
