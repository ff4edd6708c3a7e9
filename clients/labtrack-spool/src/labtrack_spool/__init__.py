# SPDX-License-Identifier: GPL-3.0-or-later
"""MLflow for jobs without network: log to one SQLite file, send everything to the tracking server later.

In a job, before the first use of MLflow:

    import labtrack_spool
    labtrack_spool.activate()

On a computer with network:

    labtrack_spool.send("spools/4711", "https://mlflow.lab.example")
"""

from __future__ import annotations

from labtrack_spool.errors import AmbiguousError, ApiError, SetupError, SpoolError
from labtrack_spool.jobs import rank
from labtrack_spool.passes import Report, send
from labtrack_spool.spool import activate, variables

__version__ = "0.1.0"
__all__ = ["AmbiguousError", "ApiError", "Report", "SetupError", "SpoolError", "activate", "rank", "send", "variables"]
