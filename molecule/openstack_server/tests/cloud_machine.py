# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of a scenario with a machine in the test cloud need: its inventory, logins to the cloud, runs of Ansible, SSH as a person uses it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

import openstack
import yaml
from interrupt import kill_when

SCENARIO = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])
DIRECTORY = Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])
PROJECT = Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
INVENTORY = SCENARIO / "site"


def variables(host):
    """The host's variables, as Ansible reads them, templates included."""
    words = ["ansible", "-i", str(INVENTORY), host, "-m", "ansible.builtin.debug", "-a", "var=vars", "-o"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=PROJECT, env=environment())
    return json.loads(done.stdout.partition("=>")[2])["vars"]


def environment():
    """With readable results; Molecule asks for colours."""
    plain = {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
    return {**os.environ, **plain, "OS_CLIENT_CONFIG_FILE": common()["testbed_cloud_clouds_file"]}


def common():
    """Variables of all hosts."""
    return yaml.safe_load((INVENTORY / "hosts.yml").read_text(encoding="utf-8"))["all"]["vars"]


def record(host):
    """The recorded state, as it stands in the file."""
    return (INVENTORY / "host_vars" / host / "openstack_server.yml").read_text(encoding="utf-8")


def cloud(name, clouds_file=""):
    """A login."""
    loader = openstack.config.OpenStackConfig(config_files=[str(clouds_file or common()["testbed_cloud_clouds_file"])])
    return openstack.connection.Connection(config=loader.get_one(name))


def ours(items, host, site="lab"):
    """Those that are marked as the host's."""
    marks = {f"labtrack_site={site}", f"labtrack_host={host}"}
    return [item for item in items if marks <= marks_of(item)]


def marks_of(item):
    """Tags and metadata alike."""
    return {*(getattr(item, "tags", None) or []), *(f"{name}={value}" for name, value in (getattr(item, "metadata", None) or {}).items())}


def clouds():
    """Entries of the test cloud's clouds.yaml."""
    return yaml.safe_load(Path(common()["testbed_cloud_clouds_file"]).read_text(encoding="utf-8"))["clouds"]


def play(name="converge.yml", *options, environ=None, **extra):
    """Run a playbook of the scenario."""
    words = ["ansible-playbook", "-i", str(INVENTORY), str(DIRECTORY / name), "-e", json.dumps(extra), *options]
    return subprocess.run(words, capture_output=True, text=True, check=False, cwd=PROJECT, env={**environment(), **(environ or {})})


def kill_play_when(condition, name="converge.yml", *options):
    """Start a playbook, and kill it as soon as the condition answers something."""
    words = ["ansible-playbook", "-i", str(INVENTORY), str(DIRECTORY / name), *options]
    return kill_when(condition, words, SCENARIO / "killed.log", cwd=PROJECT, env=environment())


def changed(done, host):
    """How many tasks changed something on a host; the run has to succeed."""
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    (line,) = [line for line in done.stdout.splitlines() if line.startswith(host) and "changed=" in line]
    return int(line.partition("changed=")[2].split()[0])


def words_of(done):
    """What a person reads, on one line."""
    return " ".join((done.stdout + done.stderr).split())


def ssh(host, command, key=None):
    """A command on the machine, by the recorded way in and no other."""
    found = variables(host)
    options = shlex.split(found["ansible_ssh_common_args"].replace("{{ inventory_dir }}", str(INVENTORY)))
    base = ["ssh", "-n", "-F", "none", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-i", str(key or SCENARIO / "id_ed25519"), *options]
    words = [*base, f"{found['ansible_user']}@{found['ansible_host']}", command]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)


def run(host, command):
    """Output of a command that has to succeed."""
    done = ssh(host, command)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def opens(address, port):
    """Whether a TCP port answers from here."""
    return subprocess.run(["timeout", "3", "bash", "-c", f"</dev/tcp/{address}/{port}"], capture_output=True, check=False).returncode == 0
