#!/usr/bin/python
# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: site_lock
short_description: Let one run at a time change a machine
version_added: 0.2.0
description:
  - Writes on the machine who changes it since when, and refuses a second run with that information.
  - A run that was killed does not leave its lock for ever. On the computer that it ran on, the next run takes the lock at once, because it can see that the
    process has ended. From another computer it is taken when no SSH connection of that run is open, 15 minutes after it was taken at the earliest; without SSH,
    after six hours. A reboot of the machine frees it.
  - The lock is no state of a site, and gone when a run has ended; taking it is no change. In check mode nothing is locked, because nothing is changed.
author: labtrack contributors (@labtrack)
options:
  state:
    description: Whether this run takes the lock or gives it back.
    type: str
    choices: [held, free]
    default: held
  purpose:
    description: What the run does, the name of its playbook. A playbook that is a part of another one does not give back what that has taken.
    type: str
    required: true
  take_over:
    description: Take the lock from another run, which must have ended.
    type: bool
    default: false
  path:
    description: The record on the machine.
    type: path
    default: /run/labtrack/site.lock
  token:
    description: Names the run; set by the action plugin.
    type: str
    default: ''
  who:
    description: Person and computer; set by the action plugin.
    type: str
    default: ''
  dead:
    description: Token of a run that has ended; set by the action plugin.
    type: str
    default: ''
attributes:
  check_mode: {description: Locks nothing., support: full}
  diff_mode: {description: There is no difference to show., support: none}
"""

EXAMPLES = r"""
- name: Let no other run change this machine
  labtrack.mlflow.site_lock:
    purpose: site.yml

- name: Let other runs change this machine
  labtrack.mlflow.site_lock:
    purpose: site.yml
    state: free
"""

RETURN = r"""
taken_from:
  description: The run that had left its lock; empty when the machine was free.
  returned: success
  type: str
  sample: site.yml of ada@laptop
"""

import os
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.labtrack.mlflow.plugins.module_utils._site_lock import Holder, SiteLock, SiteLockedError, connection_of


def main() -> None:
    """Take it, or give it back."""
    text = {"type": "str", "default": ""}
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["held", "free"], "default": "held"},
            "purpose": {"type": "str", "required": True},
            "take_over": {"type": "bool", "default": False},
            "path": {"type": "path", "default": "/run/labtrack/site.lock"},
            "token": {**text, "no_log": False},
            "who": text,
            "dead": text,
        },
        supports_check_mode=True,
    )
    params, before = module.params, None
    lock = SiteLock(params["path"])
    if module.check_mode:
        module.exit_json(changed=False, taken_from="")
    if params["state"] == "free":
        problem = lock.give_back(params["token"], params["purpose"])
        if problem:
            module.fail_json(msg=problem)
    else:
        try:
            before = lock.take(
                Holder(params["token"], params["who"], params["purpose"], time.time(), connection_of(os.getpid())), params["dead"], params["take_over"]
            )
        except SiteLockedError as error:
            module.fail_json(msg=error.args[0], holder=error.args[1].token)
    module.exit_json(changed=False, taken_from=f"{before.purpose} of {before.who}" if before else "")


if __name__ == "__main__":
    main()
