# SPDX-License-Identifier: GPL-3.0-or-later
"""What the batch system says: which job this is, as tags of every run; and, on a login node, whether a job has ended.

MLflow finds `JobContext` by the entry point `mlflow.run_context_provider`; nothing is to be imported or called. Tags that the code sets itself win.
"""

from __future__ import annotations

import functools
import getpass
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

RANKS = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK")  # torchrun's own first
# tag: variables of Slurm, the first that is set; https://slurm.schedmd.com/sbatch.html, "output environment variables"
SLURM = {
    "job.id": ("SLURM_JOB_ID",),
    "job.name": ("SLURM_JOB_NAME",),
    "job.array_id": ("SLURM_ARRAY_JOB_ID",),
    "job.array_task": ("SLURM_ARRAY_TASK_ID",),
    "job.cluster": ("SLURM_CLUSTER_NAME",),
    "job.account": ("SLURM_JOB_ACCOUNT",),
    "job.partition": ("SLURM_JOB_PARTITION",),
    "job.nodes": ("SLURM_JOB_NUM_NODES", "SLURM_NNODES"),
    "job.node_list": ("SLURM_JOB_NODELIST", "SLURM_NODELIST"),
    "job.tasks": ("SLURM_NTASKS",),
    "job.cpus_per_task": ("SLURM_CPUS_PER_TASK",),
    "job.gpus": ("SLURM_GPUS", "SLURM_GPUS_ON_NODE", "SLURM_JOB_GPUS", "CUDA_VISIBLE_DEVICES"),
    "job.restart": ("SLURM_RESTART_COUNT",),
    "job.submit_dir": ("SLURM_SUBMIT_DIR",),
}
OTHERS = {"PBS_JOBID": "pbs", "LSB_JOBID": "lsf", "JOB_ID": "sge"}


def name() -> str:
    """Name of this job or array task, fit for a folder; empty outside of a job. All ranks of a job have the same one."""
    job, array, task = (os.environ.get(each) for each in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"))
    if array and task:
        return f"{array}_{task}"
    if job:
        return job
    return next((re.sub(r"[^\w.-]", "_", os.environ[each]) for each in OTHERS if os.environ.get(each)), "")


def rank() -> int:
    """Number of this process among those of the job, from 0; 0 outside of a parallel job. Let rank 0 log."""
    for variable in RANKS:
        if os.environ.get(variable, "").isdigit():
            return int(os.environ[variable])
    return 0


def facts() -> dict[str, str]:
    """What this job is, by the names of the tags; empty outside of a job."""
    if os.environ.get("SLURM_JOB_ID"):
        found = {tag: next((os.environ[each] for each in names if os.environ.get(each)), "") for tag, names in SLURM.items()}
        return {"job.scheduler": "slurm"} | {tag: value for tag, value in found.items() if value}
    for variable, scheduler in OTHERS.items():
        if os.environ.get(variable):
            return {"job.scheduler": scheduler, "job.id": os.environ[variable]}
    return {}


@functools.cache
def commit(folder: str) -> dict[str, str]:
    """Commit of the code in a folder, and whether files differ from it; empty where there is no git, or nothing under it."""

    def git(*words: str) -> str:
        command = ["git", "-C", folder, *words]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20, env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"}).stdout.strip()

    try:
        found = {"git.commit": git("rev-parse", "HEAD"), "git.branch": git("rev-parse", "--abbrev-ref", "HEAD")}
        return found | {"git.dirty": "true" if git("status", "--porcelain", "--untracked-files=no") else "false"}
    except (OSError, subprocess.SubprocessError):
        return {}


def _code_folder() -> str:
    script = Path(sys.argv[0] if sys.argv and sys.argv[0] else ".")
    return str(script.absolute().parent if script.is_file() else Path.cwd())


class JobContext:
    """Tags of every run that MLflow's client makes in a job. `LABTRACK_JOB_TAGS=off` turns it off, `LABTRACK_RUN_NAME=off` the name alone."""

    def in_context(self) -> bool:
        """Whether this is a job."""
        return bool(name()) and os.environ.get("LABTRACK_JOB_TAGS", "on").lower() not in ("off", "false", "0", "no")

    def tags(self) -> dict[str, str]:
        """The facts of the job, the commit of the code, and a name: that of the job, where the code gives none."""
        found = facts() | commit(_code_folder())
        if os.environ.get("LABTRACK_RUN_NAME", "on").lower() not in ("off", "false", "0", "no"):
            found["mlflow.runName"] = name()
        return found


def note() -> dict[str, str]:
    """What a spool keeps about the job that writes it; empty outside of a Slurm job."""
    job = os.environ.get("SLURM_JOB_ID", "")
    return {"id": job, "cluster": os.environ.get("SLURM_CLUSTER_NAME", "")} if job else {}


def _ask(*command: str) -> str | None:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("SQUEUE_", "SLURM_"))} | {"LC_ALL": "C"}
    env |= {"SLURM_CONF": os.environ["SLURM_CONF"]} if os.environ.get("SLURM_CONF") else {}
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=env).stdout
    except (OSError, subprocess.SubprocessError):
        return None


class Jobs:
    """Which jobs of Slurm are not over yet. It is asked once for each user, and not before the spools were listed: a job is older than its spool."""

    def __init__(self) -> None:
        self._alive: dict[int, set[str] | None] = {}
        self._cluster: str | None = None

    def alive(self, uid: int) -> set[str] | None:
        """Ids of the user's jobs that wait, run or end just now; None where Slurm does not answer."""
        if uid not in self._alive:
            answer = _ask("squeue", "--noheader", "--array", f"--user={uid if uid != os.getuid() else getpass.getuser()}", "--format=%A")
            over = os.environ.get("LABTRACK_ENDED_JOBS", "").split()  # Slurm still lists a job while its epilog runs, which sets this
            self._alive[uid] = None if answer is None else set(answer.split()) - set(over)
        return self._alive[uid]

    def cluster(self) -> str:
        """Name of the cluster of this node; empty where Slurm does not answer."""
        if self._cluster is None:
            found = re.search(r"^ClusterName\s*=\s*(\S+)", _ask("scontrol", "show", "config") or "", re.MULTILINE)
            self._cluster = found[1] if found else ""
        return self._cluster

    def ended(self, settings: dict[str, Any], uid: int) -> bool:
        """Whether every job that wrote a spool is over; false where that cannot be known: another cluster, no Slurm, no job."""
        wrote = [job for job in settings.get("jobs", []) if isinstance(job, dict)]
        if not wrote or any(job.get("cluster", "") != self.cluster() for job in wrote):
            return False
        alive = self.alive(uid)
        return alive is not None and not any(job.get("id") in alive for job in wrote)
