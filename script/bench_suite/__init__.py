# SPDX-License-Identifier: GPL-3.0-or-later
"""script/bench: figures from runs made side by side, each with its goal."""
