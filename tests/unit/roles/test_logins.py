# SPDX-License-Identifier: GPL-3.0-or-later
"""What is remembered of logins, with a module that stands for mlflow.server.auth."""

from __future__ import annotations

import importlib.util
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

SOURCE = Path(__file__).resolve().parents[3] / "roles" / "tracking_server" / "files" / "server" / "logins.py"


@pytest.fixture
def auth(monkeypatch: pytest.MonkeyPatch):
    """The module, with a person whose password is right."""
    spec = importlib.util.spec_from_file_location("labtrack_logins", SOURCE)
    logins = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(logins)
    monkeypatch.setattr(logins, "hide_who_exists", lambda _store: None)
    auth = SimpleNamespace(_USER_AUTH_CACHE={}, _USER_AUTH_CACHE_LOCK=threading.Lock(), store=None, right={("ann", "first")}, meanwhile=None)

    def check(name, password):
        if (name, password) in auth._USER_AUTH_CACHE:
            return name
        right = (name, password) in auth.right
        if auth.meanwhile:
            auth.meanwhile()
        if right:
            auth._USER_AUTH_CACHE[name, password] = name
        return name if right else None

    auth._authenticate_cached, auth._invalidate_user_auth_cache = check, lambda _name: None
    logins.install(auth)
    return auth


def test_a_right_password_is_remembered(auth):
    assert auth._authenticate_cached("ann", "first") == "ann"
    auth.right = set()
    assert auth._authenticate_cached("ann", "first") == "ann"


def test_a_change_in_another_process_is_seen_at_once(auth):
    assert auth._authenticate_cached("ann", "first") == "ann"
    auth.right = set()
    child = os.fork()
    if not child:
        auth._invalidate_user_auth_cache("ann")
        os._exit(0)
    os.waitpid(child, 0)
    assert auth._authenticate_cached("ann", "first") is None


def test_a_check_that_the_change_overtakes_is_not_remembered(auth):
    def change():
        auth.meanwhile, auth.right = None, set()
        auth._invalidate_user_auth_cache("ann")

    auth.meanwhile = change
    assert auth._authenticate_cached("ann", "first") == "ann", "it was right when it was checked"
    assert auth._authenticate_cached("ann", "first") is None
