# Copyright (c) 2026, labtrack contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attributes shared by the modules that only read."""

from __future__ import annotations


class ModuleDocFragment:
    """What a module that changes nothing supports."""

    INFO = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode).
    support: full
  diff_mode:
    description: Changes nothing, so there is no difference to show.
    support: none
"""
