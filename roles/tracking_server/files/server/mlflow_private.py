# SPDX-License-Identifier: GPL-3.0-or-later
"""The place that knows names of MLflow that are not its public interface (MLflow 3.17); transfers.py and streaming_store.py know those of artifacts.

`mlflow server` would keep a launcher in memory, let every worker import MLflow again, and migrate an old database without asking.
This module does what that launcher does, in the process that the workers are forked from: it reads the secrets from their files,
refuses databases whose schema is not that of this release, opens both once, and hands out the two applications.
"""

from __future__ import annotations

import gc
import os
import sys
import uuid
from pathlib import Path

EX_CONFIG = 78  # sysexits.h; systemd does not restart after it
PRIVATE_FROM_PUBLIC = {
    "_MLFLOW_SERVER_FILE_STORE": "MLFLOW_BACKEND_STORE_URI",
    "_MLFLOW_SERVER_REGISTRY_STORE": "MLFLOW_BACKEND_STORE_URI",
    "_MLFLOW_SERVER_ARTIFACT_ROOT": "MLFLOW_DEFAULT_ARTIFACT_ROOT",
    "_MLFLOW_SERVER_ARTIFACT_DESTINATION": "MLFLOW_ARTIFACTS_DESTINATION",
    "_MLFLOW_SERVER_SERVE_ARTIFACTS": "MLFLOW_SERVE_ARTIFACTS",
}
KEYS = {
    "flask_secret_key": "MLFLOW_FLASK_SERVER_SECRET_KEY",
    "kek_passphrase": "MLFLOW_CRYPTO_KEK_PASSPHRASE",
    "webhook_key": "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY",
}


class SchemaError(Exception):
    """A database does not fit this release."""


def set_environment(environment: dict | None = None) -> None:
    """Secrets from files that only root can write, then MLflow's private variables from its public ones."""
    environment = os.environ if environment is None else environment
    config, keys = Path(environment["LABTRACK_CONFIG_DIR"]), Path(environment["LABTRACK_KEYS_DIR"])
    environment["MLFLOW_BACKEND_STORE_URI"] = (config / "database_uri").read_text().strip()
    environment["MLFLOW_AUTH_CONFIG_PATH"] = str(config / "login.ini")
    for name, variable in KEYS.items():
        environment[variable] = (keys / name).read_text().strip()
    # a Fernet key is 32 bytes in base64: 43 characters and a pad
    webhook_key = environment["MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"]
    environment["MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"] = webhook_key + "=" * (-len(webhook_key) % 4)
    for private, public in PRIVATE_FROM_PUBLIC.items():
        if environment.get(public):
            environment[private] = environment[public]
    environment["_MLFLOW_SGI_NAME"] = "uvicorn"  # create_app() then returns the ASGI application
    environment["_MLFLOW_SERVER_BOOT_ID"] = uuid.uuid4().hex
    environment["_MLFLOW_IN_JOB_EXECUTOR"] = "false"
    environment["_MLFLOW_AUTH_ADMIN_BOOTSTRAPPED"] = "true"  # database.py made the administrator


def tracking_schema(engine) -> dict:
    """Where the tracking database stands; changes nothing."""
    import sqlalchemy
    from mlflow.store.db import utils

    tables = [name for name in sqlalchemy.inspect(engine).get_table_names() if not name.startswith("alembic_")]
    current, wanted = utils._get_schema_version(engine), utils._get_latest_schema_revision()
    known = {script.revision for script in utils.ScriptDirectory.from_config(utils._get_alembic_config("")).walk_revisions()}
    started = current is None and "runs" in tables and _is_empty_table(engine, "runs")  # an initialisation that was cut off
    complete = bool(tables) and utils._all_tables_exist(engine)
    return _verdict(current, wanted, known, empty=not tables or started, complete=complete)


def auth_schema(engine) -> dict:
    """The same for the database of logins."""
    import sqlalchemy
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from mlflow.server.auth.db import utils

    tables = [name for name in sqlalchemy.inspect(engine).get_table_names() if not name.startswith("alembic_")]
    with engine.connect() as connection:
        current = MigrationContext.configure(connection, opts={"version_table": "alembic_version_auth"}).get_current_revision()
    scripts = ScriptDirectory.from_config(utils._get_alembic_config(""))
    known = {script.revision for script in scripts.walk_revisions()}
    return _verdict(current, scripts.get_current_head(), known, empty=not tables, complete="users" in tables)


def _is_empty_table(engine, table: str) -> bool:
    import sqlalchemy

    with engine.connect() as connection:
        return connection.execute(sqlalchemy.select(sqlalchemy.table(table)).limit(1)).first() is None


def _verdict(current: str | None, wanted: str, known: set, *, empty: bool, complete: bool) -> dict:
    if empty:
        state = "empty"
    elif current == wanted:
        state = "ready" if complete else "damaged"
    else:
        state = "old" if current is None or current in known else "new"
    return {"state": state, "current": current or "", "wanted": wanted}


def check_schemas() -> None:
    """Raises SchemaError unless both databases have exactly the schema of this release. MLflow itself would migrate them."""
    from mlflow.server.auth.config import read_auth_config
    from mlflow.store.db.utils import create_sqlalchemy_engine_with_retry
    from mlflow.version import VERSION

    uris = {"tracking": (os.environ["MLFLOW_BACKEND_STORE_URI"], tracking_schema), "login": (read_auth_config().database_uri, auth_schema)}
    for name, (uri, schema) in uris.items():
        engine = create_sqlalchemy_engine_with_retry(uri)
        found = schema(engine)
        engine.dispose()
        if found["state"] != "ready":
            raise SchemaError(
                f"The {name} database '{engine.url.database}' is {found['state']}: it has schema '{found['current']}', MLflow {VERSION} wants "
                f"'{found['wanted']}'. Nothing was changed. Run site.yml: it initialises an empty database, and migrates an old one "
                "when tracking_server_database_migrate is true (make a backup first)."
            )


class _NoPresigning:
    """No artifact repository is an instance of this."""


def keep_transfers_on_the_server(handlers) -> None:
    """Clients that cannot reach the store must not be sent there: MLflow 3.17 tells every client of an S3 store to fetch from presigned URLs."""
    for mixin in ("MultipartDownloadMixin", "MultipartUploadMixin", "PresignedUploadMixin"):
        setattr(handlers, mixin, _NoPresigning)


def applications() -> tuple:
    """(ASGI application with every route, WSGI application with the REST API). Both databases have been read once."""
    set_environment()
    try:
        check_schemas()
    except SchemaError as error:
        print(error, file=sys.stderr, flush=True)
        sys.exit(EX_CONFIG)
    import deletions
    import transfers
    from mlflow.server import app as wsgi
    from mlflow.server import handlers
    from mlflow.server.auth import create_app

    deletions.install()
    if os.environ["LABTRACK_PRESIGNED_TRANSFERS"] != "true":
        keep_transfers_on_the_server(handlers)
    uri = os.environ["MLFLOW_BACKEND_STORE_URI"]
    handlers.initialize_backend_stores(uri, uri, os.environ["MLFLOW_DEFAULT_ARTIFACT_ROOT"])
    handlers._get_tracking_store().search_experiments(max_results=1)
    return transfers.install(create_app()), wsgi


def before_fork() -> None:
    """Connections must not be shared between processes; what is imported is shared, so the collector must leave it alone."""
    from mlflow.server.auth import store as auth_store
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as RegistryStore
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as TrackingStore

    for engine in [auth_store.engine, *TrackingStore._engine_map.values(), *RegistryStore._engine_map.values()]:
        engine.dispose()
    gc.collect()
    gc.freeze()
