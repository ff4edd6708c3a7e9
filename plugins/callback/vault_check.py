# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names the vaulted file that the given password does not open: Ansible itself only says that something could not be decrypted."""

from __future__ import annotations

DOCUMENTATION = r"""
name: vault_check
type: aggregate
short_description: Clear message for a wrong or missing vault password
version_added: 0.1.0
author:
  - labtrack contributors (@labtrack)
description:
  - Before the first play, tries to decrypt every vaulted file in C(group_vars) and C(host_vars) of the inventories given with C(-i), and
    says which one cannot be opened and what to do. Ansible then stops by itself, before any host is reached.
  - Reads only files that are encrypted as a whole; values encrypted one by one are not tried.
requirements:
  - Enable it with C(callbacks_enabled = labtrack.mlflow.vault_check) in C(ansible.cfg).
"""

from pathlib import Path

from ansible import context
from ansible.errors import AnsibleError
from ansible.parsing.vault import is_encrypted_file
from ansible.plugins.callback import CallbackBase

MESSAGE = (
    "The vault password {given}: '{path}' cannot be decrypted. Accepted: the password with which this file was encrypted, given with "
    "--vault-password-file, --ask-vault-pass or ANSIBLE_VAULT_PASSWORD_FILE. Give that one; nothing was changed."
)


def vaulted_files(sources: list[str]) -> list[Path]:
    """Encrypted files in the group_vars and host_vars of inventories (files or directories), sorted."""
    found = []
    for source in sources:
        folder = Path(source) if Path(source).is_dir() else Path(source).parent
        for path in (path for name in ("group_vars", "host_vars") for path in folder.glob(f"{name}/**/*") if path.is_file()):
            with path.open("rb") as stream:
                if is_encrypted_file(stream):
                    found.append(path)
    return sorted(set(found))


class CallbackModule(CallbackBase):
    """Acts once, before the first play."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "labtrack.mlflow.vault_check"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_start(self, playbook):
        """Decrypt each file; the loader keeps the result for the run."""
        sources = [source for source in context.CLIARGS.get("inventory") or () if "," not in source]
        for path in vaulted_files(sources):
            try:
                playbook._loader.load_from_file(str(path))
            except AnsibleError:
                given = "is wrong" if context.CLIARGS.get("vault_password_files") or context.CLIARGS.get("ask_vault_pass") else "is missing or wrong"
                self._display.error(MESSAGE.format(given=given, path=path))
