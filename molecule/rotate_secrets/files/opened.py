# SPDX-License-Identifier: GPL-3.0-or-later
"""What the keys on the machine, or given ones, open in the database; as JSON. usage, as root: opened.py [KEK_PASSPHRASE WEBHOOK_KEY]"""

from __future__ import annotations

import json
import os
import pwd
import sys
from pathlib import Path

import sqlalchemy
from cryptography.fernet import Fernet, InvalidToken
from mlflow.exceptions import MlflowException
from mlflow.utils.crypto import KEKManager, _decrypt_secret

KEYS = Path("/var/lib/labtrack/mlflow/main/keys")


def main() -> None:
    """Print both tables, by name; what does not open is null."""
    given = sys.stdin.read().split() or [(KEYS / name).read_text().strip() for name in ("kek_passphrase", "webhook_key")]
    engine = sqlalchemy.create_engine(Path("/etc/labtrack/mlflow/main/database_uri").read_text().strip())
    os.setuid(pwd.getpwnam("mlflow").pw_uid)  # root has no role in a database with peer authentication
    os.environ["HOME"] = "/nonexistent"  # libpq gives up where it may not look for certificates
    found: dict[str, dict] = {"providers": {}, "webhooks": {}}
    with engine.connect() as connection:
        for row in connection.execute(sqlalchemy.text("select secret_id, secret_name, encrypted_value, wrapped_dek from secrets")):
            try:
                value = _decrypt_secret(bytes(row.encrypted_value), bytes(row.wrapped_dek), KEKManager(given[0]), row.secret_id, row.secret_name)
            except MlflowException:
                value = None
            found["providers"][row.secret_name] = value
        for row in connection.execute(sqlalchemy.text("select name, secret from webhooks where secret is not null")):
            try:
                value = Fernet(given[1] + "=" * (-len(given[1]) % 4)).decrypt(row.secret.encode()).decode()
            except InvalidToken:
                value = None
            found["webhooks"][row.name] = value
    print(json.dumps(found))


if __name__ == "__main__":
    main()
