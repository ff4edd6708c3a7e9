# SPDX-License-Identifier: GPL-3.0-or-later
"""The callback preload loads what workers need, and freezes it."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from types import SimpleNamespace

from ansible.module_utils import basic
from ansible_collections.labtrack.mlflow.plugins.callback import preload
from ansible_collections.labtrack.mlflow.plugins.callback.preload import CallbackModule


def test_filters_are_there_before_the_first_worker():
    gc.unfreeze()
    CallbackModule().v2_playbook_on_play_start(None)
    try:
        assert "ansible.utils.encrypt" in sys.modules  # what the password filters import
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_an_action_is_loaded_once_and_an_unknown_one_is_no_error():
    callback = CallbackModule()
    for action in ("ansible.builtin.assert", "ansible.builtin.assert", "no.such.action"):
        callback.v2_playbook_on_task_start(SimpleNamespace(action=action), False)
    assert callback.seen == {"ansible.builtin.assert", "no.such.action"}


def test_module_utils_are_parsed_once(monkeypatch):
    parsed = []
    monkeypatch.setattr(preload.module_common, "_compile_module_ast", lambda name, source: parsed.append(name))
    preload.parse_module_utils()
    assert "ansible.module_utils.basic" in parsed and len(parsed) == len(set(parsed))
    before = list(parsed)
    preload.module_common._compile_module_ast("ansible.module_utils.basic", Path(basic.__file__).read_bytes())
    preload.parse_module_utils()
    assert parsed == before


def test_another_ansible_without_that_function_is_no_error(monkeypatch):
    monkeypatch.delattr(preload.module_common, "_compile_module_ast")
    preload.parse_module_utils()
