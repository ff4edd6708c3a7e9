# SPDX-License-Identifier: GPL-3.0-or-later
"""An OpenStack cloud in containers, for what the collection does with a cloud. README.md says what is in it."""
