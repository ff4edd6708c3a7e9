# Kept by labtrack.mlflow.monitoring.
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files for node exporter's textfile collector."""

from __future__ import annotations

import sys

sys.path.append("/usr/local/lib/labtrack")

import labtrack_files

write, metric, Samples = labtrack_files.write, labtrack_files.metric, labtrack_files.Samples
