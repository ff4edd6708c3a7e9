# SPDX-License-Identifier: GPL-3.0-or-later
"""What a new secret means for the databases: `rotate.py password|encrypted`, as the service user.

Reads JSON from standard input, writes JSON to standard output. `password` sets another password of the database user, by its own login. `encrypted`
encrypts again what an earlier secret has encrypted, in one transaction, and shows that only the new one opens it. Both may be repeated.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable


class RotationError(Exception):
    """One sentence; nothing was changed."""


def connects(uri: str) -> bool:
    """Whether the database lets this login in; raises what else goes wrong."""
    import sqlalchemy

    engine = sqlalchemy.create_engine(uri, poolclass=sqlalchemy.NullPool)
    try:
        engine.connect().close()
    except sqlalchemy.exc.OperationalError as error:
        if "password authentication failed" not in str(error):
            raise
        return False
    return True


def password(request: dict) -> dict:
    """`uri` has the new password, `old_uri` the earlier one, `verifier` is what PostgreSQL keeps of the new one."""
    import sqlalchemy
    from psycopg2 import sql

    changed = False
    if not connects(request["uri"]):
        if not connects(request["old_uri"]):
            raise RotationError("PostgreSQL accepts neither the new password nor the earlier one. Set the new one there, and run again.")
        engine = sqlalchemy.create_engine(request["old_uri"], poolclass=sqlalchemy.NullPool)
        with engine.begin() as connection:
            cursor = connection.connection.cursor()
            cursor.execute(sql.SQL("alter role current_user password {}").format(sql.Literal(request["verifier"])))
        changed = True
        if not connects(request["uri"]):
            raise RotationError("PostgreSQL refuses the password that was just set; another server may be in front of the database.")
    if request["old_uri"] != request["uri"] and connects(request["old_uri"]):
        raise RotationError("PostgreSQL still accepts the earlier password: pg_hba.conf asks for none, or another server checks it.")
    return {"changed": changed}


def again(rows: list, opened: Callable, wrapped: Callable, old: str, new: str) -> dict:
    """By id what rows become that the new secret does not open yet."""
    changes, lost = {}, []
    for identifier, value in rows:
        if opened(value, new) is None:
            plain = opened(value, old)
            if plain is None:
                lost.append(identifier)
            else:
                changes[identifier] = wrapped(plain, new)
    if lost:
        raise RotationError(f"{len(lost)} rows open with neither secret, the first is '{lost[0]}'. Nothing was changed.")
    return changes


def providers(rows: list, secrets: dict) -> dict:
    """Keys of model providers: the key that encrypts each is wrapped again."""
    from mlflow.exceptions import MlflowException
    from mlflow.utils.crypto import unwrap_dek, wrap_dek
    from rotating import key_of

    def opened(value: bytes, passphrase: str) -> bytes | None:
        try:
            return unwrap_dek(bytes(value), key_of(passphrase))
        except MlflowException:
            return None

    return again(rows, opened, lambda plain, passphrase: wrap_dek(plain, key_of(passphrase)), secrets["old"], secrets["new"])


def webhooks(rows: list, secrets: dict) -> dict:
    """Secrets of webhooks."""
    from cryptography.fernet import Fernet, InvalidToken
    from rotating import fernet_key

    def opened(value: str, key: str) -> bytes | None:
        try:
            return Fernet(fernet_key(key)).decrypt(value.encode())
        except InvalidToken:
            return None

    return again(rows, opened, lambda plain, key: Fernet(fernet_key(key)).encrypt(plain).decode(), secrets["old"], secrets["new"])


TABLES = {
    "kek_passphrase": ("secrets", "secret_id", "wrapped_dek", providers),
    "webhook_key": ("webhooks", "webhook_id", "secret", webhooks),
}


def encrypted(request: dict) -> dict:
    """`secrets` has `old` and `new` by name of the file."""
    import sqlalchemy

    result = {"changed": False, "rows": {}}
    engine = sqlalchemy.create_engine(request["uri"], poolclass=sqlalchemy.NullPool)
    with engine.begin() as connection:
        for name, secrets in request["secrets"].items():
            table, key, column, plan = TABLES[name]
            kind = sqlalchemy.table(table, sqlalchemy.column(key), sqlalchemy.column(column))
            query = sqlalchemy.select(kind.c[key], kind.c[column]).where(kind.c[column].is_not(None)).with_for_update()
            rows = [tuple(row) for row in connection.execute(query)]
            changes = plan(rows, secrets)
            for identifier, value in changes.items():
                connection.execute(sqlalchemy.update(kind).where(kind.c[key] == identifier).values({column: value}))
            after = [tuple(row) for row in connection.execute(query)]
            if plan(after, {"old": secrets["new"], "new": secrets["new"]}):
                raise RotationError(f"rows of {table} do not open with the new secret. Nothing was changed.")
            result["rows"][name] = len(rows)
            result["changed"] = result["changed"] or bool(changes)
    return result


def main() -> None:
    """Answer one request."""
    answer = os.dup(1)
    os.dup2(2, 1)  # what MLflow prints is no answer
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    try:
        result = {"password": password, "encrypted": encrypted}[sys.argv[1]](json.load(sys.stdin))
    except RotationError as error:
        sys.exit(str(error))
    with os.fdopen(answer, "w") as file:
        json.dump(result, file)


if __name__ == "__main__":
    main()
