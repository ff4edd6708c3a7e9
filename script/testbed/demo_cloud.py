# SPDX-License-Identifier: GPL-3.0-or-later
"""script/demo --openstack: an OpenStack cloud on this machine; two empty projects; one `ansible-playbook site.yml`; a run logged to each site."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path

import docker

from . import client
from .cloud import command as cloud
from .cloud import facts
from .cloud.labs import Lab, Labs
from .engine import CACHE, ROOT, TestbedError

STATE = CACHE / "demo-openstack"
# the first has its operators' network, as on Arbutus; the second makes its own
LABS = Labs(STATE / "inventories", [Lab("genomics", "lab-a"), Lab("climate", "lab-b", {"openstack_server_network_create_enabled": True})])
BUNDLES = {"tracking_client_bundle_dir": f"{STATE}/bundle-{{{{ site_name }}}}", "tracking_client_uri": "https://{{ site_public_address }}"}


def deploy(docker_client: docker.DockerClient) -> None:
    """All steps; each is safe to repeat."""
    started = time.monotonic()

    def step(text: str) -> None:
        print(f"\n[{time.monotonic() - started:4.0f} s] {text}", flush=True)

    print(
        "This sets up on this machine, and `script/demo --destroy` removes:\n"
        "  - Debian packages docker.io and mmdebstrap, if no Docker engine answers (they stay)\n"
        f"  - Docker images labtrack/* (3 GB), a network '{facts.NETWORK}', containers '{facts.CONTROL}', '{facts.STORE}', one for each server\n"
        f"  - files in {STATE}\n"
        "It takes 8 GB of memory, and about 8 minutes on 2 cores when the images are built (10 minutes more for them)."
    )
    step("Starting the cloud: Keystone, Nova, Neutron, Glance, Cinder, and Ceph as its object store")
    cloud.ensure(docker_client)
    LABS.write()
    step("ansible-playbook site.yml, from two empty projects: servers, volumes, addresses, keys, buckets, then everything on them")
    play("site.yml")
    step("ansible-playbook playbooks/client_bundle.yml: what a person needs to log runs, for each site")
    play("playbooks/client_bundle.yml", "-e", json.dumps(BUNDLES))
    for lab in LABS.labs:
        step(f"Logging a run to {lab.name} with the real client over HTTPS with a login, reading it back, comparing")
        run(client.python(), Path(__file__).with_name("round_trip.py"), "20", environment=client.bundle_environment(bundle(lab)))
    step("ansible-playbook site.yml again: nothing changes")
    play("site.yml")
    again = " ".join(LABS.command("site.yml")).replace(f"{ROOT}/", "")
    lines = [f"  {lab.name}: https://{LABS.record(lab)['site_public_address']}/  login and CA in {bundle(lab)}" for lab in LABS.labs]
    print(
        "\n" + "\n".join(lines) + f"\n  try next:  export OS_CLIENT_CONFIG_FILE={LABS.clouds_file} ANSIBLE_CONFIG={ROOT}/ansible.cfg\n"
        f"             {again}\n"
        f"             delete a server (openstacksdk with the clouds file above), then the same again: it comes back with its data\n"
        f"             script/demo --destroy\n"
        f"Finished in {time.monotonic() - started:.0f} s."
    )


def bundle(lab: Lab) -> Path:
    """The bundle of a site."""
    return STATE / f"bundle-{lab.name}"


def run(*command: str | Path, environment: dict[str, str]) -> None:
    """Run a command in the checkout, its output on the terminal."""
    done = subprocess.run([str(word) for word in command], cwd=ROOT, env=environment, check=False)
    if done.returncode:
        raise TestbedError(f"'{Path(command[0]).name}' ended with code {done.returncode}: its last lines above say why. It may be run again.")


def play(playbook: str, *options: str) -> None:
    """Run a playbook for both sites."""
    run(*LABS.command(playbook, *options), environment=LABS.environment())


def destroy(docker_client: docker.DockerClient) -> None:
    """Remove the sites with their data, and the cloud; images go where nothing else uses them."""
    if not STATE.exists():
        return
    if facts.CLOUDS_FILE.exists() and machines_of_cloud(docker_client):
        for lab in LABS.labs:
            play("playbooks/destroy.yml", "--limit", lab.host, "-e", "destroy_data=true", "-e", f"destroy_confirm={lab.name}")
    cloud.down(docker_client)
    shutil.rmtree(STATE)


def machines_of_cloud(docker_client: docker.DockerClient) -> bool:
    """Whether the cloud runs."""
    return any(machine.name == facts.CONTROL for machine in docker_client.containers.list())
