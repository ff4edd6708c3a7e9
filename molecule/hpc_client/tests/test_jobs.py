# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs of a real Slurm on nodes without network, and the same jobs online; what is sent equals what was logged directly."""

from __future__ import annotations

import json
import time

import pytest

DIR = "/opt/labtrack/hpc"
SPOOLS = "/home/ada/island-spool"  # not the default: the epilog of the shore sends whatever its owner has there
PYTHON = "/opt/try/bin/python"
LIMIT_SECONDS = 300  # a limit of two minutes, which Slurm looks at twice a minute, and a busy machine


def ada(host, script: str, check: bool = True):
    """A script in the person's login shell."""
    done = host.run("runuser -l ada -c %s", f"cd code && {script}")
    assert not check or done.rc == 0, f"{done.stdout}\n{done.stderr}"
    return done


def submit(host, cluster: str, script: str, experiment: str, *options: str, mode: str = "") -> str:
    """The id of a job, which runs in the template of that name."""
    words = " ".join(options)
    settings = f"SLURM_CONF=/etc/slurm/{cluster}.conf LABTRACK_EXPERIMENT={experiment}"
    settings += f" LABTRACK_MODE={mode}" * bool(mode) + f" LABTRACK_SPOOL_DIR={SPOOLS}" * (cluster == "island")
    return ada(host, f"env {settings} sbatch --parsable {words.replace('SCRIPT', f'{DIR}/sbatch/{script}.sh')}").stdout.strip()


def wait(host, cluster: str) -> None:
    """Until no job is left."""
    deadline = time.monotonic() + LIMIT_SECONDS
    while ada(host, f"SLURM_CONF=/etc/slurm/{cluster}.conf squeue --noheader").stdout.strip():
        assert time.monotonic() < deadline, ada(host, "tail -n 20 *.out").stdout
        time.sleep(2)


def api(host, path: str, content: dict) -> dict:
    """A question to the server."""
    how = "curl --silent --fail --cacert /etc/try/ca.pem --user ada:ada-likes-short-runs --json %s https://mlflow.hpc.test/api/2.0/mlflow/" + path
    return json.loads(host.check_output(how, json.dumps(content)))


def runs(host, experiment: str) -> list[dict]:
    """Runs of an experiment; none where it does not exist."""
    found = api(host, "experiments/search", {"max_results": 100}).get("experiments", [])
    numbers = [entry["experiment_id"] for entry in found if entry["name"] == experiment]
    return api(host, "runs/search", {"experiment_ids": numbers, "max_results": 100}).get("runs", []) if numbers else []


def tags(run: dict) -> dict[str, str]:
    """Tags of a run."""
    return {tag["key"]: tag["value"] for tag in run["data"]["tags"]}


def read_all(host, experiment: str) -> dict:
    """What every read API answers."""
    return json.loads(ada(host, f"{PYTHON} ~/read_all.py {experiment}").stdout)


def differences(one, two, path: str = "") -> list[str]:
    """Where two answers differ."""
    if isinstance(one, dict) and isinstance(two, dict):
        return [line for key in sorted(set(one) | set(two)) for line in differences(one.get(key), two.get(key), f"{path}/{key}")]
    if isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        return [line for number, (left, right) in enumerate(zip(one, two)) for line in differences(left, right, f"{path}[{number}]")]
    return [] if one == two else [f"{path}: online {str(one)[:200]!r}, sent {str(two)[:200]!r}"]


def sync(host, *options: str, check: bool = True):
    """Send by hand, on the login node."""
    done = ada(host, f"SLURM_CONF=/etc/slurm/island.conf {DIR}/bin/labtrack-spool sync {SPOOLS} --to https://mlflow.hpc.test {' '.join(options)}", check)
    return json.loads(done.stdout) if "--json" in options else done


@pytest.fixture(scope="module")
def jobs(host) -> dict[str, str]:
    """All jobs have ended: on the island, and on the shore."""
    train = "SCRIPT train.py --wait"
    found = {
        "offline": submit(host, "island", "single", "offline", "--time=2", "--account=def-ada", train),
        "online": submit(host, "shore", "single", "online", "--time=2", "--account=def-ada", train, mode="online"),
        "array": submit(host, "island", "array", "array", "--array=3-4", "SCRIPT ranks.py"),
        "ddp": submit(host, "island", "ddp", "ddp", "SCRIPT ranks.py"),
    }
    for cluster in ("island", "shore"):
        wait(host, cluster)
    return found


def test_the_island_has_no_route_to_the_server(host, jobs) -> None:
    assert "the server cannot be reached" in ada(host, f"cat single-{jobs['offline']}.out").stdout
    pid = host.check_output("systemctl show --property=MainPID --value slurmd@island")
    assert host.check_output(f"nsenter --target {pid} --net ip -brief link").split()[0] == "lo"
    assert host.check_output(f"nsenter --target {pid} --net ip route show table all type unicast") == ""


def test_both_jobs_were_ended_by_the_time_limit(host, jobs) -> None:
    for job in ("offline", "online"):
        output = ada(host, f"cat single-{jobs[job]}.out").stdout
        assert "waiting for the time limit" in output
        assert "DUE TO TIME LIMIT" in output
    assert not runs(host, "offline")


def test_a_sync_that_is_killed_goes_on(host, jobs) -> None:
    """Killed with SIGKILL as soon as the server has been asked to make a run."""
    script = f"""
    count() {{ grep -c 'POST /api/2.0/mlflow/runs/create' /var/log/nginx/access.log; }}
    before=$(count)
    runuser -l ada -c 'exec {DIR}/bin/labtrack-spool sync {SPOOLS} --workers 1 --to https://mlflow.hpc.test' >/dev/null 2>&1 &
    while [ "$(count)" -le "$before" ]; do kill -0 $! || exit 9; done
    pkill -KILL -u ada -f 'labtrack_spool sync'
    wait $!
    echo "ended with $?"
    """
    assert host.run("bash -c %s", script).stdout.strip() == "ended with 137"
    assert sync(host, "--json")["problems"] == []


def test_the_server_says_the_same_as_of_the_job_that_was_online(host, jobs) -> None:
    online, offline = read_all(host, "online"), read_all(host, "offline")
    assert sorted(online["runs"]) == ["killed", "of the job", "second"]
    assert len(online["runs"]["of the job"]["history"]["odd"]) == 2000
    assert {"figures/curve.png", "notes/a.txt"} <= set(online["runs"]["of the job"]["files"])
    assert online["runs"]["killed"]["get"]["run"]["info"]["status"] == "RUNNING"
    assert not differences(online, offline), "\n".join(differences(online, offline))


def test_a_second_sync_finds_nothing_new(host, jobs) -> None:
    before = read_all(host, "offline")
    for options in ([], ["--state-dir", "/home/ada/lost-state"]):
        report = sync(host, "--json", *options)
        assert report["problems"] == []
        made = {what: number for what, number in report["counts"].items() if number and what in ("runs", "experiments", "models", "model versions")}
        assert made == {}
    assert before == read_all(host, "offline")
    assert sync(host, "--json")["counts"].get("metrics", 0) == 0


def test_runs_of_a_job_that_is_over_become_killed(host, jobs) -> None:
    ada(host, f"SLURM_CONF=/etc/slurm/island.conf LABTRACK_SPOOL_DIR={SPOOLS} {DIR}/bin/labtrack-spool-sync")
    assert {run["info"]["run_name"]: run["info"]["status"] for run in runs(host, "offline")} == {
        jobs["offline"]: "FINISHED",
        "second": "FINISHED",
        "killed": "KILLED",
    }


def test_runs_carry_the_facts_of_their_job(host, jobs) -> None:
    found = tags(next(run for run in runs(host, "offline") if run["info"]["run_name"] == jobs["offline"]))
    commit = ada(host, "git rev-parse HEAD").stdout.strip()
    expected = {"job.id": jobs["offline"], "job.cluster": "island", "job.account": "def-ada", "job.nodes": "1", "job.node_list": "lt-hpc-client"}
    expected |= {"job.scheduler": "slurm", "job.partition": "all", "job.name": "single", "git.commit": commit, "git.dirty": "false"}
    assert expected.items() <= found.items()


def test_tasks_of_an_array_have_spools_and_names_of_their_own(host, jobs) -> None:
    names = [f"{jobs['array']}_{task}" for task in (3, 4)]
    assert set(names) <= set(ada(host, f"ls {SPOOLS}").stdout.split())
    found = {run["info"]["run_name"]: tags(run) for run in runs(host, "array")}
    assert sorted(found) == names
    assert [found[name]["job.array_task"] for name in names] == ["3", "4"]


def test_one_rank_of_a_parallel_job_logs(host, jobs) -> None:
    assert {f"rank-{jobs['ddp']}-{rank}" for rank in (0, 1)} <= set(ada(host, "ls").stdout.split())
    found = runs(host, "ddp")
    assert [tags(run)["job.tasks"] for run in found] == ["2"]
    params = {entry["key"]: entry.get("value", "") for entry in found[0]["data"]["params"]}
    assert (params["RANK"], params["WORLD_SIZE"]) == ("0", "2")


def test_both_sides_are_equal_point_by_point(host, jobs) -> None:
    ada(host, f"SLURM_CONF=/etc/slurm/island.conf {DIR}/bin/labtrack-spool verify {SPOOLS} --running-as JOB --to https://mlflow.hpc.test")


def test_the_epilog_sends_what_a_job_left(host) -> None:
    """On the shore, where nodes have network; killed by its owner, so that its last run never ends."""
    job = submit(host, "shore", "single", "epilog", "SCRIPT train.py --wait", mode="spool")
    deadline = time.monotonic() + LIMIT_SECONDS
    while "waiting" not in ada(host, f"cat single-{job}.out", check=False).stdout:
        assert time.monotonic() < deadline, ada(host, f"cat single-{job}.out", check=False)
        time.sleep(1)
    ada(host, f"SLURM_CONF=/etc/slurm/shore.conf scancel {job}")
    wait(host, "shore")
    found = {run["info"]["run_name"]: run["info"]["status"] for run in runs(host, "epilog")}
    assert found == {job: "FINISHED", "second": "FINISHED", "killed": "KILLED"}
    assert host.check_output("SLURM_CONF=/etc/slurm/shore.conf sinfo --noheader --format=%T") == "idle"
