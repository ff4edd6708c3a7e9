# SPDX-License-Identifier: GPL-3.0-or-later
"""A parallel job, or a task of an array: one process logs."""

from __future__ import annotations

import os
import pathlib

import labtrack_spool
import mlflow

pathlib.Path(f"rank-{os.environ['SLURM_JOB_ID']}-{labtrack_spool.rank()}").touch()
if labtrack_spool.rank() == 0:
    with mlflow.start_run():
        mlflow.log_params({name: os.environ.get(name, "") for name in ("RANK", "WORLD_SIZE", "SLURM_ARRAY_TASK_ID")})
        mlflow.log_metric("loss", 0.5, step=1)
