# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings that are wrong never take down a server that runs."""

import json
import os
import subprocess
from pathlib import Path

CONVERGE = Path(__file__).parent.parent / "converge.yml"
INVENTORY = str(Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "inventory")


def converge(settings=None, **variables):
    extra = json.dumps({"postgresql_settings": settings or {}, **variables})
    command = ["ansible-playbook", "-i", INVENTORY, str(CONVERGE), "-e", extra]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "ANSIBLE_FORCE_COLOR": "0"})


def show(host, name):
    return host.check_output(f"runuser -u postgres -- psql -XAtqc 'show {name}'")


def started(host):
    return host.check_output("runuser -u postgres -- psql -XAtqc 'select pg_postmaster_start_time()'")


def test_refused_before_anything_changes(host):
    bad = {
        "work_men": ("8MB", "Did you mean 'work_mem'?"),
        "work_mem": ("much", "not a number"),
        "jit": ("perhaps", "not a truth value"),
        "wal_level": ("maximal", "Accepted: logical, minimal, replica"),
        "shared_buffers": ("900GB", "more than 60 %"),
        "port": (5439, "Set postgresql_port instead"),
        "log_statement": ("all", "would be in the log"),
    }
    before = host.check_output("stat -c %Y.%i /etc/postgresql/17/labtrack/conf.d/labtrack.conf")
    done = converge({name: value for name, (value, _words) in bad.items()})
    assert done.returncode != 0
    for name, (value, words) in bad.items():
        assert f"postgresql_settings.{name} is '{value}'" in " ".join(done.stdout.split()), done.stdout
        assert words in " ".join(done.stdout.split()), done.stdout
    assert host.check_output("stat -c %Y.%i /etc/postgresql/17/labtrack/conf.d/labtrack.conf") == before


def test_refused_by_the_servers_own_parser(host):
    """max_worker_processes has a highest value that only PostgreSQL knows."""
    before = started(host)
    done = converge({"max_worker_processes": 9999999})
    assert done.returncode != 0
    assert "outside the valid range" in " ".join(done.stdout.split()), done.stdout
    assert started(host) == before
    assert "9999999" not in host.check_output("cat /etc/postgresql/17/labtrack/conf.d/labtrack.conf")


def test_taken_back_when_the_server_does_not_start(host):
    done = converge({"shared_preload_libraries": "pg_stat_statements,absent_library", "work_mem": "9MB"})
    assert done.returncode != 0
    assert "runs with the earlier settings again" in " ".join(done.stdout.split()), done.stdout
    assert show(host, "shared_preload_libraries") == "pg_stat_statements"
    assert show(host, "work_mem") != "9MB"


def test_reload_where_that_is_enough(host):
    before = started(host)
    done = converge({"work_mem": "10MB"})
    assert done.returncode == 0, done.stdout
    assert show(host, "work_mem") == "10MB"
    assert started(host) == before


def test_restart_where_a_setting_needs_it(host):
    before = started(host)
    done = converge(postgresql_connections_max=210)
    assert done.returncode == 0, done.stdout
    assert show(host, "max_connections") == "210"
    assert started(host) != before


def test_back_to_the_defaults(host):
    assert converge().returncode == 0
    again = converge()
    assert "changed=0" in again.stdout, again.stdout
