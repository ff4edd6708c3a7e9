# SPDX-License-Identifier: GPL-3.0-or-later
"""Restarts of MLflow, a new certificate and reloads of nginx while people work: no request fails."""

from __future__ import annotations

import os
import re
import secrets

import pytest
from testbed.load import Caller, Load

UNIT = "labtrack-mlflow-main"


@pytest.fixture(scope="module")
def person(site) -> tuple[str, str]:
    """A plain user of the site."""
    name, password = f"load-{secrets.token_hex(4)}", secrets.token_urlsafe(16)
    status, body = Caller(site, site.user, site.password).ask("POST", "/api/2.0/mlflow/users/create", {"username": name, "password": password})
    assert status == 200, body
    return name, password


def main_pid(host) -> str:
    return host.check_output(f"systemctl show -p MainPID --value {UNIT}.service")


def sockets_wait(host) -> bool:
    """Whether a worker that takes a connection of MLflow's sockets would wait for one where another worker was faster: nothing else is done then."""
    with host.sudo():
        found = re.findall(r'"systemd",pid=1,fd=(\d+)', host.check_output(f"ss -Hxlp | grep /run/{UNIT}/"))
        assert len(found) == 2
        flags = [int(host.check_output(f"awk '/^flags:/ {{print $2}}' /proc/1/fdinfo/{number}"), 8) for number in found]
    return not all(flag & os.O_NONBLOCK for flag in flags)


def test_a_restart_of_the_role_fails_no_request_and_no_upload(host, site, person):
    with Load(site, *person) as load:
        load.wait_for(100)
        before = main_pid(host)
        upload = load.slow_upload(seconds=20)
        host.check_output(f"systemctl start {UNIT}-restart.service")
        upload.join()
        load.wait_for(100)
    print(load.check())
    assert main_pid(host) != before
    assert load.counts["slow upload"] == 1
    with host.sudo():
        print(host.check_output(f"journalctl -u {UNIT}-restart -o cat --no-pager -n 4"))
    assert host.run(f"systemctl is-active {UNIT}-standby.service").stdout.strip() in ("inactive", "deactivating")


def test_requests_wait_where_somebody_restarts_it_by_hand(host, site, person):
    with Load(site, *person) as load:
        load.wait_for(100)
        host.check_output(f"systemctl restart {UNIT}.service")
        load.wait_for(100)
    print(load.check())


def test_what_does_not_start_leaves_what_runs(host, site, person):
    environment = "/etc/labtrack/mlflow/main/environment"
    before = main_pid(host)
    with host.sudo():
        host.check_output(f"cp -p {environment} /run/environment && sed -i 's/^LABTRACK_ASGI_WORKERS=.*/LABTRACK_ASGI_WORKERS=x/' {environment}")
        try:
            with Load(site, *person) as load:
                assert host.run(f"systemctl start {UNIT}-restart.service").rc != 0
                load.wait_for(50)
                assert not sockets_wait(host)
            print(load.check())
        finally:
            host.check_output(f"mv /run/environment {environment}")
    assert main_pid(host) == before


def test_a_new_certificate_and_reloads_fail_no_request(host, site, person):
    with Load(site, *person, idle_may_close=True) as load:
        load.wait_for(100)
        with host.sudo():
            host.check_output("labtrack-certificate --force")
            for _ in range(3):
                load.wait_for(40)
                host.check_output("systemctl reload nginx")
        load.wait_for(100)
    print(load.check())
