# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks behind script/test: what they are, how they run, what they print."""
