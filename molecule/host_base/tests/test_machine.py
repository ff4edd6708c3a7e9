# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine with the defaults: what answers, who gets in, what survives."""

from __future__ import annotations

import json
import subprocess

import pytest

MACHINE = "lt-host-base"
LISTEN = "import socket; s = socket.create_server(('', 9999)); [s.accept()[0].close() for _ in range(20)]"


def docker(*arguments: str) -> subprocess.CompletedProcess:
    """Run the docker client; failures are for the caller to judge."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def address() -> str:
    """IPv4 address of the machine on the testbed's network."""
    networks = json.loads(docker("inspect", MACHINE).stdout)[0]["NetworkSettings"]["Networks"]
    return networks["labtrack"]["IPAddress"]


@pytest.fixture(scope="module")
def listener(host):
    """Something that listens on port 9999 on every address."""
    host.check_output(f'systemd-run --quiet --unit lt-listener python3 -c "{LISTEN}"')
    host.run("timeout 10 bash -c 'until ss -Hltn sport = :9999 | grep -q LISTEN; do :; done'")
    yield
    host.run("systemctl stop lt-listener")


def opens(address: str, port: int) -> bool:
    """Whether a TCP connection from this machine succeeds."""
    return subprocess.run(["timeout", "2", "bash", "-c", f"</dev/tcp/{address}/{port}"], capture_output=True, check=False).returncode == 0


def opens_from_a_neighbour(address: str, port: int) -> bool:
    """Whether a TCP connection from another container of the network succeeds."""
    probe = f"</dev/tcp/{address}/{port}"
    return docker("run", "--rm", "--label", "labtrack=test", "--network", "labtrack", "labtrack/debian13", "timeout", "2", "bash", "-c", probe).returncode == 0


def test_ssh_answers_the_admin_networks(address):
    assert opens(address, 22)
    assert opens_from_a_neighbour(address, 22)


def test_an_unwanted_port_is_closed_from_everywhere_but_the_machine(host, listener, address):
    assert host.run("timeout 2 bash -c '</dev/tcp/127.0.0.1/9999'").rc == 0
    assert not opens(address, 9999)
    assert not opens_from_a_neighbour(address, 9999)


def test_only_our_own_table_was_touched(host):
    assert "table ip nat" in host.check_output("nft list tables"), "the engine's own table is gone"
    mirror = host.check_output("grep -rhoP '(?<=://)[^/]+' /etc/apt/sources.list /etc/apt/sources.list.d | head -n 1")
    assert host.run(f"getent hosts {mirror}").rc == 0, "name resolution goes through that table"


def test_loading_twice_gives_the_same_rules(host):
    before = host.check_output("nft list table inet labtrack")
    host.check_output("systemctl reload labtrack-firewall")
    host.check_output("systemctl restart labtrack-firewall")
    assert host.check_output("nft list table inet labtrack") == before


def test_the_firewall_comes_back_after_debians_own_service_flushed_it(host):
    """Debian's nftables.service begins with `flush ruleset`; here it must not touch the engine's table, so it holds a flush of ours."""
    host.check_output("cp /etc/nftables.conf /root/nftables.conf")
    host.check_output("printf 'add table inet labtrack\\ndelete table inet labtrack\\n' > /etc/nftables.conf")
    try:
        for verb in ("start", "reload", "restart", "stop"):
            host.check_output(f"systemctl {verb} nftables")
            assert host.run("nft list table inet labtrack").rc == 0, verb
    finally:
        host.check_output("cp /root/nftables.conf /etc/nftables.conf")


def test_everything_starts_at_boot(host):
    for unit in ("labtrack-firewall", "systemd-timesyncd", "unattended-upgrades", "ssh"):
        assert host.service(unit).is_enabled, unit


def test_the_rules_are_there_again_after_a_reboot(host, address):
    docker("restart", MACHINE)
    docker("exec", MACHINE, "timeout", "30", "bash", "-c", "until systemctl is-active multi-user.target; do :; done")
    assert "policy drop" in host.check_output("nft list table inet labtrack")
    assert host.check_output("systemctl --failed --plain --no-legend") == ""
    assert opens(address, 22)


def test_unattended_upgrades_take_security_updates_only(host):
    settings = host.check_output("apt-config dump")
    for line in (
        'APT::Periodic::Unattended-Upgrade "1";',
        'Unattended-Upgrade::Automatic-Reboot "false";',
        'Unattended-Upgrade::Package-Blacklist:: "^postgresql-[0-9]+$";',
    ):
        assert line in settings
    output = host.run("unattended-upgrade --dry-run --verbose 2>&1")
    assert output.rc == 0, output.stdout
    assert "postgresql-[0-9]+" in output.stdout


def test_ssh_obeys_the_drop_in(host):
    settings = host.check_output("sshd -T")
    for line in ("passwordauthentication no", "kbdinteractiveauthentication no", "permitrootlogin without-password", "pubkeyauthentication yes"):
        assert line in settings


def test_a_scheduled_job_writes_its_metrics(host):
    job = "/usr/local/lib/labtrack/labtrack-job --name test_job --metrics-dir /var/lib/prometheus/node-exporter -- "
    assert host.run(job + "false").rc == 1
    assert host.run(job + "true").rc == 0
    text = host.file("/var/lib/prometheus/node-exporter/labtrack_job_test_job.prom").content_string
    assert 'labtrack_job_last_run_success{job="test_job"} 1' in text
    host.check_output("rm /var/lib/prometheus/node-exporter/labtrack_job_test_job.prom")
