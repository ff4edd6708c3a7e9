# SPDX-License-Identifier: GPL-3.0-or-later
"""script/demo: one machine, one `ansible-playbook site.yml`, one run logged and read back."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path

import docker

from . import client, demo_cloud, engine, machines
from .engine import CACHE, ROOT, TestbedError

NAME = "labtrack-demo"
# The machine has no name in any DNS: the site is known by its address, as behind a floating IP.
PLATFORM = {
    "name": NAME,
    "inventory_name": "mlflow",
    "hostname": "mlflow",
    "image": "debian13",
    "ssh": True,
    "volumes": ["/var/lib/labtrack"],
    "host_vars": {"site_name": "demo", "site_fqdn": "{{ testbed_address }}", "site_admin_cidrs": ["{{ testbed_gateway }}/32"]},
}
STATE = CACHE / "demo"
INVENTORY = STATE / "inventory"
VAULT_PASSWORD = STATE / "vault-password"
BUNDLE = STATE / "bundle"


class Demo:
    """The steps, in order; each is safe to repeat."""

    def __init__(self, docker_client: docker.DockerClient) -> None:
        self.docker = docker_client
        self.environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_VAULT_PASSWORD_FILE": str(VAULT_PASSWORD)}
        self.started = time.monotonic()

    def step(self, text: str) -> None:
        """Say what comes next."""
        print(f"\n[{time.monotonic() - self.started:4.0f} s] {text}", flush=True)

    def run(self, *command: str | Path, environment: dict[str, str] | None = None) -> None:
        """Run a command in the checkout, its output on the terminal."""
        done = subprocess.run([str(word) for word in command], cwd=ROOT, env=environment or self.environment, check=False)
        if done.returncode:
            raise TestbedError(f"'{Path(command[0]).name}' ended with code {done.returncode}: its last lines above say why. script/demo may be run again.")

    def ansible(self, playbook: str, *options: str) -> None:
        """Run a playbook as a lab admin would."""
        tool = Path(sys.executable).parent / "ansible-playbook"
        self.run(tool, playbook, "-i", "inventories/example_single_vm", "-i", INVENTORY, *options)

    def machine(self) -> str:
        """Start the container; its address."""
        machine = machines.up(self.docker, [PLATFORM], purpose="demo")[0]
        (INVENTORY / "group_vars" / "all").mkdir(parents=True, exist_ok=True)
        (INVENTORY / "hosts.json").write_text(json.dumps(machines.inventory({machine: PLATFORM}, {}), indent=1), encoding="utf-8")
        return machines.address(machine)

    def vault(self) -> None:
        """Secrets of the site, generated once, encrypted with a password that is kept beside them (it is a demo)."""
        vault = INVENTORY / "group_vars" / "all" / "vault.yml"
        if vault.exists() and VAULT_PASSWORD.exists():
            return
        for path in (VAULT_PASSWORD, vault):
            path.touch(mode=0o600)
        VAULT_PASSWORD.write_text(secrets.token_urlsafe(32) + "\n", encoding="utf-8")
        tool = Path(sys.executable).parent / "ansible-vault"
        text = f"vault_s3_secret_key: {secrets.token_urlsafe(30)}\nvault_backup_passphrase: {secrets.token_urlsafe(30)}\n"
        subprocess.run([tool, "encrypt", "--output", vault, "-"], input=text, text=True, env=self.environment, check=True, capture_output=True)


def deploy(demo: Demo) -> None:
    """All steps."""
    print(
        "This sets up on this machine, and `script/demo --destroy` removes:\n"
        "  - Debian packages docker.io and mmdebstrap, if no Docker engine answers (they stay)\n"
        f"  - Docker images labtrack/*, a network '{engine.NETWORK}', a container '{NAME}' with a volume\n"
        f"  - files in {STATE}"
    )
    demo.step("Starting a Debian 13 machine with SSH (a container stands in for the VM)")
    address = demo.machine()
    demo.vault()
    demo.step("ansible-playbook site.yml -i inventories/example_single_vm")
    demo.ansible("site.yml")
    demo.step("ansible-playbook playbooks/client_bundle.yml: what a person needs to log runs")
    demo.ansible("playbooks/client_bundle.yml", "-e", json.dumps({"tracking_client_bundle_dir": str(BUNDLE)}))
    demo.step("Logging a run with the real client over HTTPS with a login, reading it back, comparing")
    demo.run(client.python(), Path(__file__).with_name("round_trip.py"), environment=client.bundle_environment(BUNDLE))
    print(
        f"\nThe server is at https://{address}/ (its CA: {BUNDLE}/ca.pem)\n"
        f"  user and password: in {BUNDLE}/credentials\n"
        f"  try next:          source {BUNDLE}/mlflow_env.sh && {BUNDLE}/labtrack-doctor\n"
        f"                     {client.CLIENT}/bin/mlflow experiments search\n"
        "                     script/demo                 (again: nothing changes)\n"
        "                     script/demo --destroy       (removes everything)\n"
        f"Finished in {time.monotonic() - demo.started:.0f} s."
    )


def destroy(docker_client: docker.DockerClient) -> None:
    """Remove what deploy made, the cloud of --openstack included. Images go too, unless test machines use them."""
    demo_cloud.destroy(docker_client)
    machines.purge(docker_client, "demo")
    machines.purge(docker_client, "image", images_too=not docker_client.containers.list(all=True, filters={"label": engine.LABEL}))
    for directory in (STATE, client.CLIENT):
        shutil.rmtree(directory, ignore_errors=True)
    print("The demo is gone.")


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="script/demo", description=__doc__)
    parser.add_argument("--openstack", action="store_true", help="two sites in an OpenStack cloud on this machine, from empty projects")
    parser.add_argument("--destroy", action="store_true", help="remove the container, volume, network, images and files of the demo")
    options = parser.parse_args()
    try:
        docker_client = engine.connect()
        if options.destroy:
            destroy(docker_client)
        elif options.openstack:
            demo_cloud.deploy(docker_client)
        else:
            deploy(Demo(docker_client))
    except TestbedError as error:
        print(f"script/demo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
