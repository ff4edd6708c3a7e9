# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules, the variables of containers, and the pages of a spool behind the portal's proxy."""

from __future__ import annotations

import json
import time

DIR = "/opt/labtrack/hpc"
ELSEWHERE = "export LABTRACK_SPOOL_DIR=/home/ada/shown"  # spools that the tests of jobs do not send


def ada(host, script: str) -> str:
    """Output of a script in the person's login shell."""
    return host.check_output("runuser -l ada -c %s", script)


def test_lmod_loads_and_unloads_the_module(host) -> None:
    begin = f"source /etc/profile.d/lmod.sh; export SCRATCH=/scratch/ada; module use {DIR}/modulefiles; module load labtrack"
    show = 'echo "$LABTRACK_SPOOL_SERVER|$LABTRACK_SPOOL_DIR|$MLFLOW_TRACKING_SERVER_CERT_PATH|$PYTHONPATH"; command -v labtrack-spool || echo none'
    loaded = ada(host, f"{begin}; module --terse list 2>&1 | tail -n 1; {show}").splitlines()
    assert loaded[0] == "labtrack/1.0"
    assert loaded[1] == f"https://mlflow.hpc.test|/scratch/ada/labtrack-spool|{DIR}/ca.pem|{DIR}/current/lib"
    assert loaded[2] == f"{DIR}/bin/labtrack-spool"
    assert ada(host, f"{begin}; module unload labtrack; {show}").splitlines() == ["|||", "none"]


def test_another_python_finds_the_package_and_the_tags(host) -> None:
    """A person's own environment has MLflow; the module adds labtrack-spool, and MLflow finds it."""
    code = "import mlflow.tracking.context.registry as r; print(r.resolve_tags()['job.id'])"
    assert ada(host, f'PYTHONPATH={DIR}/current/lib SLURM_JOB_ID=77 /opt/try/bin/python -c "{code}"').splitlines()[-1] == "77"


def test_containers_see_the_spool_under_its_own_path(host) -> None:
    script = f"{ELSEWHERE}; SLURM_JOB_ID=55 source {DIR}/job_env.sh; export SLURM_JOB_ID=55 MLFLOW_TRACKING_PASSWORD=x; source {DIR}/apptainer_env.sh"
    text = ada(host, f"{script}; source {DIR}/apptainer_env.sh; env")
    found = dict(line.split("=", 1) for line in text.splitlines() if line.startswith("APPTAINER"))
    spool = "/home/ada/shown/55"
    assert found["APPTAINER_BIND"] == f"{DIR}:{DIR}:ro,{spool}"
    assert found["APPTAINERENV_MLFLOW_TRACKING_URI"] == f"sqlite:///{spool}/mlflow.db"
    assert found["APPTAINERENV_SLURM_JOB_ID"] == "55"
    assert found["APPTAINERENV_PYTHONPATH"].endswith("/lib")
    assert "APPTAINERENV_MLFLOW_TRACKING_PASSWORD" not in found


def test_the_portal_shows_a_spool_to_who_knows_the_address(host) -> None:
    """Open OnDemand's part is played by ERB, find_port, and curl with the portal's name, as its proxy asks."""
    log = "python -c 'import mlflow; mlflow.start_run(run_name=\"shown\")'"
    spool = ada(host, f"{ELSEWHERE}; SLURM_JOB_ID=56 source {DIR}/job_env.sh; {log}; echo $LABTRACK_SPOOL_PATH")
    spool = spool.splitlines()[-1]
    app = f"{DIR}/ondemand/labtrack_spool"
    context = f"require 'erb'; require 'ostruct'; context = OpenStruct.new(spool: '{spool}'); puts ERB.new(File.read(ARGV[0])).result(binding)"
    ada(host, f'mkdir -p ~/portal; for name in before script; do ruby -e "{context}" {app}/template/$name.sh.erb >~/portal/$name.sh; done')
    start = "host=$(hostname); find_port() { echo 8123; }; source ~/portal/before.sh; echo $token >~/portal/token"
    ada(host, f"{start}; setsid bash ~/portal/script.sh >~/portal/log 2>&1 </dev/null &")
    deadline = time.monotonic() + 180
    ask = "curl --silent --output /dev/null --write-out %{http_code} -H 'Host: portal.hpc.test' http://$(hostname):8123"
    path = "/node/$(hostname)/8123/$(cat /home/ada/portal/token)"
    try:
        while host.run(f"{ask}{path}/").stdout != "200":
            assert time.monotonic() < deadline, host.run("cat /home/ada/portal/log").stdout
            time.sleep(1)
        question = json.dumps({"experiment_ids": ["0"], "max_results": 10})
        where = f"http://$(hostname):8123{path}/ajax-api/2.0/mlflow/runs/search"
        answer = host.check_output(f"curl --silent --json '{question}' -H 'Host: portal.hpc.test' -H 'Origin: https://portal.hpc.test' {where}")
        assert [run["info"]["run_name"] for run in json.loads(answer)["runs"]] == ["shown"]
        assert host.run(f"{ask}{path}/static-files/index.html").stdout in ("200", "404")
        # without the secret there is nothing of the spool, and it is in no list of processes
        for guessed in ("/", "/ajax-api/2.0/mlflow/experiments/search?max_results=1", "/api/2.0/mlflow/experiments/search?max_results=1", "/graphql"):
            assert host.run(f"{ask}'{guessed}'").stdout == "404"
            assert host.run(f"{ask}/node/$(hostname)/8123'{guessed}'").stdout == "404"
        token = host.check_output("cat /home/ada/portal/token")
        assert len(token) == 40
        assert token not in host.check_output("ps -eo args")
    finally:
        host.run("fuser --kill 8123/tcp || pkill -u ada -f 'mlflow.server'")


def test_the_apps_of_the_portal_are_what_it_reads(host) -> None:
    check = "require 'yaml'; ARGV.each { |name| YAML.safe_load(File.read(name)) or abort name }"
    host.check_output(f'ruby -e "{check}" {DIR}/ondemand/*/manifest.yml {DIR}/ondemand/*/form.yml {DIR}/ondemand/*/submit.yml.erb')
    assert "url: https://mlflow.hpc.test" in host.file(f"{DIR}/ondemand/labtrack_server/manifest.yml").content_string
