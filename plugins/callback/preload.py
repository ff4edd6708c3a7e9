# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads once, in the main process, what otherwise every worker process loads again for its one task."""

from __future__ import annotations

DOCUMENTATION = r"""
name: preload
type: aggregate
short_description: Less CPU time for playbooks with many short tasks
version_added: 0.1.0
author:
  - labtrack contributors (@labtrack)
description:
  - Ansible runs each task in a new process, which loads the filters, tests and action plugins that it needs. The first filter loads them all,
    with the password libraries behind some of them. This plugin loads them in the main process, from which the others are copied.
  - A module is sent with the module utilities that it imports, and each worker process parses them all to find out which. This plugin parses
    those of ansible-core once, in the main process.
  - It also tells Python's garbage collector that what is loaded by then stays, so that the copies share its memory instead of examining it.
  - It prints nothing and changes no result.
requirements:
  - Enable it with C(callbacks_enabled = labtrack.mlflow.preload) in C(ansible.cfg).
"""

import functools
import gc
import importlib
import sys
from pathlib import Path

from ansible.executor import module_common
from ansible.plugins.callback import CallbackBase
from ansible.plugins.loader import action_loader, become_loader, connection_loader, filter_loader, shell_loader, test_loader

# one name of each kind is enough: with the first filter all of Ansible's own are loaded
FIRST = ((filter_loader, "bool"), (test_loader, "defined"))
CLASSES = ((action_loader, "normal"), (connection_loader, "ssh"), (become_loader, "sudo"), (shell_loader, "sh"))


def parse_module_utils():
    """Keep syntax trees by name and source. The function is private to ansible-core: where it is called otherwise, nothing is kept."""
    parse = getattr(module_common, "_compile_module_ast", None)
    if parse is None or hasattr(parse, "cache_info"):
        return
    module_common._compile_module_ast = functools.cache(parse)
    importlib.import_module("ansible.module_utils.basic")  # with it comes what nearly every module is sent with
    for name, loaded in list(sys.modules.items()):
        if name.startswith("ansible.module_utils.") and getattr(loaded, "__file__", None):
            module_common._compile_module_ast(name, Path(loaded.__file__).read_bytes())


class CallbackModule(CallbackBase):
    """Acts before the first task of each play, and before the first task with an action."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "labtrack.mlflow.preload"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self.seen: set[str] = set()

    def v2_playbook_on_play_start(self, play):
        """Load, then freeze what is there."""
        for loader, name in FIRST:
            loader.get(name)
        for loader, name in CLASSES:
            loader.get(name, class_only=True)
        parse_module_utils()
        gc.collect()
        gc.freeze()

    def v2_playbook_on_task_start(self, task, is_conditional):
        """Actions of the controller, when they come up for the first time."""
        if task.action not in self.seen:
            self.seen.add(task.action)
            action_loader.get(task.action, class_only=True)
