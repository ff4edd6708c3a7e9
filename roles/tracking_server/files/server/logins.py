# SPDX-License-Identifier: GPL-3.0-or-later
"""A changed password, a removed person, a removed right: at once, in all workers. And names that do not exist take as long as wrong passwords.

MLflow remembers that a password was right in each worker, and forgets it only in the worker that has changed it: the others would let the person in
for up to `tracking_server_login_cache_seconds`. Here all workers look at one number in shared memory.
"""

from __future__ import annotations

import mmap
import os
from types import ModuleType

NUMBER_BYTES = 16
_number = mmap.mmap(-1, NUMBER_BYTES)  # before the first fork: shared by all workers


def hide_who_exists(store) -> None:
    """MLflow answers at once where there is no such person, and a tenth of a second later where the password is wrong."""
    from werkzeug.security import check_password_hash, generate_password_hash

    nobody, own = generate_password_hash(os.urandom(16).hex()), store.authenticate_user

    def authenticate_user(username: str, password: str, **options) -> bool:
        if own(username, password, **options):
            return True
        if not store.has_user(username):
            check_password_hash(nobody, password)
        return False

    store.authenticate_user = authenticate_user


def install(auth: ModuleType) -> None:
    """Around functions of mlflow.server.auth (MLflow 3.17)."""
    hide_who_exists(auth.store)
    cache, lock = auth._USER_AUTH_CACHE, auth._USER_AUTH_CACHE_LOCK
    if cache is None:
        return
    check, forget = auth._authenticate_cached, auth._invalidate_user_auth_cache
    seen = {"number": _number[:]}

    def clear(number: bytes) -> None:
        with lock:
            cache.clear()
            seen["number"] = number

    def authenticate(username: str, password: str):
        number = _number[:]
        if number != seen["number"]:
            clear(number)
        user = check(username, password)
        if _number[:] != number:
            clear(_number[:])  # perhaps the earlier password was checked, and remembered after the change
        return user

    def invalidate(username: str) -> None:
        forget(username)
        _number[:] = os.urandom(NUMBER_BYTES)

    auth._authenticate_cached, auth._invalidate_user_auth_cache = authenticate, invalidate
