# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines for the demo and the scenarios: Debian images, systemd containers, one network, one shared object store."""
