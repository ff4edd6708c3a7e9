# SPDX-License-Identifier: GPL-3.0-or-later
"""The place that knows names of MLflow that are not its public interface (MLflow 3.15 to 3.17), beside batches.py, transfers.py and streaming_store.py.

`mlflow server` would keep a launcher in memory, let every worker import MLflow again, and migrate an old database without asking.
This module does what that launcher does, in the process that the workers are forked from: it reads the secrets from their files,
refuses databases whose schema is not that of this release, opens both once, and hands out the two applications.
"""

from __future__ import annotations

import configparser
import gc
import importlib.metadata
import os
import secrets
import sys
import tempfile
import uuid
from functools import partial
from pathlib import Path

import rotating
from waiting import MissingError, wait_for

EX_CONFIG = 78  # sysexits.h; systemd does not restart after it
EX_TEMPFAIL = 75  # it does after this one
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
    environment["MLFLOW_AUTH_CONFIG_PATH"] = login_settings(config / "login.ini", importlib.metadata.version("mlflow"))
    for name, variable in KEYS.items():
        try:
            environment[variable] = (keys / name).read_text().strip()
        except FileNotFoundError:
            raise MissingError(
                f"The key '{keys / name}' is missing: is the data volume mounted? MLflow does not start without the keys that earlier data was encrypted with. "
                "Mount the volume ('findmnt', 'mount -a'); MLflow then starts by itself. If the data is lost, restore it from the backup."
            ) from None
    environment["MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"] = rotating.fernet_key(environment["MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"])
    for private, public in PRIVATE_FROM_PUBLIC.items():
        if environment.get(public):
            environment[private] = environment[public]
    environment["_MLFLOW_SGI_NAME"] = "uvicorn"  # create_app() then returns the ASGI application
    environment["_MLFLOW_SERVER_BOOT_ID"] = uuid.uuid4().hex
    environment["_MLFLOW_IN_JOB_EXECUTOR"] = "false"
    environment["_MLFLOW_AUTH_ADMIN_BOOTSTRAPPED"] = "true"  # database.py made the administrator


def login_settings(path: Path, version: str) -> str:
    """Path of the settings of logins. MLflow 3.15 does not start without the administrator's password, even where it has no use for it."""
    if tuple(map(int, version.split(".")[:2])) > (3, 15):
        return str(path)
    settings = configparser.ConfigParser(interpolation=None)
    settings.read(path)
    settings["mlflow"]["admin_password"] = secrets.token_hex()
    copy = os.path.join(tempfile.mkdtemp(), path.name)
    with open(copy, "w") as file:
        settings.write(file)
    return copy


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


def answering_engine(uri: str):
    """An engine whose server has answered. MLflow's own would wait for up to a minute between two attempts.

    Raises:
        MissingError: it did not.
    """
    import sqlalchemy
    from mlflow.exceptions import MlflowException
    from mlflow.store.db.utils import create_sqlalchemy_engine

    engine = create_sqlalchemy_engine(uri)
    try:
        sqlalchemy.inspect(engine)
    except MlflowException as error:  # failures.py has found words
        raise MissingError(error.message) from None
    return engine


def check_schemas() -> None:
    """Raises SchemaError unless both databases have exactly the schema of this release. MLflow itself would migrate them."""
    from mlflow.server.auth.config import read_auth_config
    from mlflow.version import VERSION

    uris = {"tracking": (os.environ["MLFLOW_BACKEND_STORE_URI"], tracking_schema), "login": (read_auth_config().database_uri, auth_schema)}
    for name, (uri, schema) in uris.items():
        engine = wait_for(partial(answering_engine, uri))
        found = schema(engine)
        engine.dispose()
        if found["state"] != "ready":
            raise SchemaError(
                f"The {name} database '{engine.url.database}' is {found['state']}: it has schema '{found['current']}', MLflow {VERSION} wants "
                f"'{found['wanted']}'. Nothing was changed. site.yml initialises an empty database, playbooks/upgrade.yml migrates an old one."
            )


class _NoPresigning:
    """No artifact repository is an instance of this."""


def keep_transfers_on_the_server(handlers) -> None:
    """Clients that cannot reach the store must not be sent there: MLflow 3.17 tells every client of an S3 store to fetch from presigned URLs."""
    for mixin in ("MultipartDownloadMixin", "MultipartUploadMixin", "PresignedUploadMixin"):
        setattr(handlers, mixin, _NoPresigning)


def applications() -> tuple:
    """(ASGI application with every route, WSGI application with the REST API). Both databases have been read once."""
    import deletions
    import failures

    failures.watch_database()
    try:
        wait_for(set_environment)
        rotating.install(Path(os.environ["LABTRACK_CONFIG_DIR"]), Path(os.environ["LABTRACK_KEYS_DIR"]))
        check_schemas()
    except MissingError:
        sys.exit(EX_TEMPFAIL)
    except SchemaError as error:
        print(error, file=sys.stderr, flush=True)
        sys.exit(EX_CONFIG)
    import batches
    import locations
    import logins
    import transfers
    from mlflow.server import app as wsgi
    from mlflow.server import auth, handlers

    deletions.install()
    batches.install(handlers)
    auth.create_admin_user = lambda *_arguments: None  # database.py made the administrator; only MLflow 3.15 asks for one again
    logins.install(auth)
    locations.install(os.environ["LABTRACK_ARTIFACT_LOCATIONS"].split(), handlers._get_tracking_store)
    failures.watch_store()
    if os.environ["LABTRACK_PRESIGNED_TRANSFERS"] != "true":
        keep_transfers_on_the_server(handlers)
    uri = os.environ["MLFLOW_BACKEND_STORE_URI"]
    handlers.initialize_backend_stores(uri, uri, os.environ["MLFLOW_DEFAULT_ARTIFACT_ROOT"])
    handlers._get_tracking_store().search_experiments(max_results=1)
    return transfers.install(auth.create_app()), wsgi


def before_fork() -> None:
    """Connections must not be shared between processes; what is imported is shared, so the collector must leave it alone."""
    from mlflow.server.auth import store as auth_store
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as RegistryStore
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as TrackingStore

    for engine in [auth_store.engine, *TrackingStore._engine_map.values(), *RegistryStore._engine_map.values()]:
        engine.dispose()
    gc.collect()
    gc.freeze()
