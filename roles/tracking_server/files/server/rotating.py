# SPDX-License-Identifier: GPL-3.0-or-later
"""While a secret is replaced, the earlier one is still right: for rows that it has encrypted, for a database that does not know the new password yet.

playbooks/rotate_secrets.yml keeps the earlier one beside the new one, as `<name>.old`, until nothing needs it any more. Both files are read when the
secret in memory does not fit, so that processes that started before and after the change understand each other.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path


def candidates(path: Path) -> list[str]:
    """The secret and, while it is replaced, the earlier one."""
    found = []
    for name in (path, path.with_name(f"{path.name}.old")):
        with contextlib.suppress(FileNotFoundError):
            found.append(name.read_text().strip())
    return found


def fernet_key(text: str) -> str:
    """32 bytes in base64 are 43 characters and a pad, which a generated file does not have."""
    return text + "=" * (-len(text) % 4)


@lru_cache(8)
def key_of(passphrase: str) -> bytes:
    """600,000 rounds, a third of a second."""
    from mlflow.utils.crypto import KEKManager

    return KEKManager(passphrase).get_kek()


def understand_both_passphrases(path: Path) -> None:
    """For keys of model providers (MLflow 3.17's mlflow.utils.crypto)."""
    from mlflow.exceptions import MlflowException
    from mlflow.utils import crypto

    unwrap = crypto.unwrap_dek

    def unwrap_dek(wrapped: bytes, kek: bytes) -> bytes:
        try:
            return unwrap(wrapped, kek)
        except MlflowException:
            for passphrase in candidates(path):
                with contextlib.suppress(MlflowException):
                    return unwrap(wrapped, key_of(passphrase))
            raise

    crypto.unwrap_dek = unwrap_dek


class Cipher:
    """Takes the place of the Fernet cipher of a column."""

    def __init__(self, own, path: Path) -> None:
        self.own, self.path, self.encrypt = own, path, own.encrypt

    def decrypt(self, token: bytes) -> bytes:
        """With the key that fits."""
        from cryptography.fernet import Fernet, InvalidToken

        try:
            return self.own.decrypt(token)
        except InvalidToken:
            for key in candidates(self.path):
                with contextlib.suppress(InvalidToken):
                    return Fernet(fernet_key(key)).decrypt(token)
            raise


def understand_both_webhook_keys(path: Path) -> None:
    """For secrets of webhooks (MLflow 3.17's SqlWebhook)."""
    from mlflow.store.model_registry.dbmodels.models import SqlWebhook

    kind = SqlWebhook.__table__.c.secret.type
    kind.cipher = Cipher(kind.cipher, path)


def passwords(path: Path) -> Iterator[str]:
    """Those of the database URIs."""
    from sqlalchemy.engine import make_url

    for uri in candidates(path):
        if password := make_url(uri).password:
            yield str(password)


def understand_both_passwords(path: Path) -> None:
    """For every connection to PostgreSQL that is opened from now on."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    @event.listens_for(Engine, "do_connect")
    def connect(dialect, _record, arguments, parameters):
        refused = dialect.loaded_dbapi.OperationalError
        try:
            return dialect.connect(*arguments, **parameters)
        except refused as error:
            if "password authentication failed" in str(error):
                for password in passwords(path):
                    with contextlib.suppress(refused):
                        return dialect.connect(*arguments, **{**parameters, "password": password})
            raise


def install(config: Path, keys: Path) -> None:
    """After the environment is set, before the first connection."""
    understand_both_passwords(config / "database_uri")
    understand_both_passphrases(keys / "kek_passphrase")
    understand_both_webhook_keys(keys / "webhook_key")
