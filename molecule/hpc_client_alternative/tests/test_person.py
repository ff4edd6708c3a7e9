# SPDX-License-Identifier: GPL-3.0-or-later
"""A person without root: environments without any network, modules, job scripts of two sites, a timer and a line of the crontab."""

from __future__ import annotations

import json
import time

import pytest

ALLIANCE, CSC = "/home/ada/labtrack", "/home/ada/labtrack-csc"


def ada(host, script: str, before: str = "") -> str:
    """Output of a script in the person's login shell."""
    return host.check_output(f"{before} runuser -l ada -c %s", script)


def test_everything_belongs_to_the_person(host) -> None:
    assert host.check_output("find /home/ada/labtrack /home/ada/labtrack-csc -not -user ada") == ""


def test_a_job_makes_its_environment_without_network(host) -> None:
    """In a network namespace of its own, with a loopback interface that is down."""
    script = f"""
    export SLURM_JOB_ID=4711 SLURM_CLUSTER_NAME=narval SLURM_TMPDIR=$(mktemp -d) LABTRACK_EXPERIMENT=alliance
    source {ALLIANCE}/job_env.sh || exit
    python -c 'import mlflow; mlflow.start_run(); mlflow.log_metric("x", 1.0); print(mlflow.active_run().info.run_name)'
    echo "$VIRTUAL_ENV $SLURM_TMPDIR $LOADED_ARROW$LOADED_STDENV_____$LOADED_GCC $MLFLOW_TRACKING_URI"
    source {ALLIANCE}/job_env.sh && echo again
    """
    lines = ada(host, script, "unshare --net").splitlines()
    assert lines[-3] == "4711"
    place, folder, loaded, uri = lines[-2].split()
    assert place == f"{folder}/labtrack-venv"
    assert loaded == "111"
    assert uri == "sqlite:////home/ada/scratch/labtrack-spool/4711/mlflow.db"
    assert json.loads(host.file("/home/ada/scratch/labtrack-spool/4711/spool.json").content_string)["jobs"] == [{"id": "4711", "cluster": "narval"}]


def test_a_job_without_a_spool_does_not_begin(host) -> None:
    done = host.run(
        "runuser -l ada -c %s", f"export LABTRACK_SPOOL_DIR=/proc/none SLURM_TMPDIR=$(mktemp -d) SLURM_JOB_ID=1; source {ALLIANCE}/job_env.sh; echo goes on"
    )
    assert done.rc == 1
    assert "goes on" not in done.stdout
    assert "cannot be made" in done.stderr


def test_jobs_of_the_other_site_log_to_the_server(host) -> None:
    text = ada(host, f"source {CSC}/job_env.sh; echo $MLFLOW_TRACKING_URI $LOADED_PYTORCH $MLFLOW_TRACKING_SERVER_CERT_PATH $LABTRACK_SPOOL_DIR")
    assert text.split() == ["https://mlflow.hpc12.test:8443", "1", f"{CSC}/ca.pem", "/scratch/project_2001234/labtrack-spool/ada"]


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        (ALLIANCE, ["--account=def-ada", "--mem-per-cpu=4G"]),
        (CSC, ["--account=project_2001234", "--partition=medium"]),
    ],
)
def test_job_scripts_are_those_of_the_site(host, folder: str, expected: list[str]) -> None:
    for name in ("single", "array", "ddp", "apptainer"):
        host.check_output("bash -n %s", f"{folder}/sbatch/{name}.sh")
        lines = host.file(f"{folder}/sbatch/{name}.sh").content_string.splitlines()
        assert lines[0] == "#!/bin/bash"
        assert [f"#SBATCH {option}" for option in expected] == [line for line in lines if line.startswith(("#SBATCH --acc", "#SBATCH --mem", "#SBATCH --part"))]


def test_environment_modules_load_and_unload_the_module(host) -> None:
    begin = f"module use {ALLIANCE}/modulefiles; module load labtrack"
    show = 'echo "$LABTRACK_SPOOL_SERVER|$LABTRACK_SPOOL_DIR|$LOADED_GCC|$PYTHONPATH"; command -v labtrack-spool || echo none'
    loaded = ada(host, f"{begin}; {show}").splitlines()
    assert loaded == [f"https://mlflow.hpc12.test|/home/ada/scratch/labtrack-spool|1|{ALLIANCE}/current/lib", f"{ALLIANCE}/bin/labtrack-spool"]
    assert ada(host, f"{begin}; module unload labtrack; {show}").splitlines()[-2:] == ["|||", "none"]


def test_the_timer_runs_as_the_person(host) -> None:
    show = "systemctl --user show --property=ActiveState,UnitFileState labtrack-spool-sync.timer"
    assert set(ada(host, f"export XDG_RUNTIME_DIR=/run/user/1500; {show}").splitlines()) == {"ActiveState=active", "UnitFileState=enabled"}
    assert "OnUnitInactiveSec=15min" in host.file("/home/ada/.config/systemd/user/labtrack-spool-sync.timer").content_string
    # the server does not exist: the unit says so, and the job's spool was looked for where a login shell has it
    ada(host, "export XDG_RUNTIME_DIR=/run/user/1500; mkdir -p ~/scratch/labtrack-spool; systemctl --user start --no-block labtrack-spool-sync.service")
    deadline = time.monotonic() + 120
    while host.run("journalctl _UID=1500 --output=cat | grep mlflow.hpc12.test").rc != 0:
        assert time.monotonic() < deadline, host.run("journalctl _UID=1500 --output=cat").stdout
        time.sleep(1)


def test_cron_runs_it_for_the_other_site(host) -> None:
    lines = [line for line in host.check_output("crontab -u ada -l").splitlines() if not line.startswith("#")]
    assert lines == [f"*/10 * * * * bash -lc {CSC}/bin/labtrack-spool-sync"]
    ada(host, lines[0].split(" ", 5)[5])  # no spools there: nothing to do


def test_apps_are_linked_for_the_person(host) -> None:
    assert host.file("/home/ada/ondemand/dev/labtrack_spool").linked_to == f"{CSC}/ondemand/labtrack_spool"
    assert "cluster: mahti" in host.file(f"{CSC}/ondemand/labtrack_spool/form.yml").content_string
    assert not host.file(f"{ALLIANCE}/ondemand").exists


def test_an_interrupted_installation_is_not_used(host) -> None:
    names = host.check_output(f"ls {ALLIANCE}/releases").split()
    assert len(names) == 1
    assert host.file(f"{ALLIANCE}/releases/{names[0]}/complete").exists
    assert host.file(f"{ALLIANCE}/current").linked_to == f"{ALLIANCE}/releases/{names[0]}"
