# SPDX-License-Identifier: GPL-3.0-or-later
"""Ten labs, each with a project of its own, made for this scenario. Run as a program, it removes them."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "script"))

from testbed.cloud import contents, facts, variants
from testbed.cloud.labs import Lab, Labs

OPTIONS = {"openstack_server_network_create_enabled": True, "openstack_server_flavor": "p1-1.5gb", "openstack_server_data_volume_gb": 5}
NAMES = [f"rollout-{number:02}" for number in range(1, 11)]
DIRECTORY = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "labs"
CLOUDS = DIRECTORY / "clouds.yaml"
LABS = Labs(DIRECTORY, [Lab(name, name, OPTIONS) for name in NAMES], CLOUDS)
WRONG_LOGIN, NO_QUOTA = LABS.labs[3], LABS.labs[6]


def make_projects() -> None:
    """A project for each lab; one login with a wrong password, one project that may have no server."""
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    admin = variants.administrator()
    clouds = {}
    for name in NAMES:
        clouds |= {name: contents.make_lab(admin, contents.Lab(name))[name]}
    write(clouds)
    break_login()
    set_servers(0)


def write(clouds: dict) -> None:
    """The clouds.yaml of this scenario."""
    CLOUDS.touch(mode=0o600)
    CLOUDS.write_text(yaml.safe_dump({"clouds": clouds}), encoding="utf-8")


def entries() -> dict:
    """What it holds."""
    return yaml.safe_load(CLOUDS.read_text(encoding="utf-8"))["clouds"]


def break_login() -> None:
    """One password is wrong; the right one is kept beside it."""
    clouds = entries()
    (DIRECTORY / "right.json").write_text(json.dumps(clouds[WRONG_LOGIN.cloud]), encoding="utf-8")
    clouds[WRONG_LOGIN.cloud]["auth"]["password"] = "a-wrong-password"
    write(clouds)


def mend() -> None:
    """As their labs would: the right password, and a quota that was asked for."""
    write({**entries(), WRONG_LOGIN.cloud: json.loads((DIRECTORY / "right.json").read_text(encoding="utf-8"))})
    set_servers(contents.COMPUTE_QUOTA["instances"])


def set_servers(count: int) -> None:
    """How many servers the one project may have."""
    admin = variants.administrator()
    admin.set_compute_quotas(project(admin, NO_QUOTA.name).id, instances=count)


def project(admin, name):
    """The project of a lab."""
    return admin.identity.find_project(name, domain_id=admin.identity.find_domain(name, ignore_missing=False).id, ignore_missing=False)


def remove_projects() -> None:
    """Projects, users and domains; their sites are gone."""
    admin = variants.administrator()
    for domain in [domain for domain in admin.identity.domains() if domain.name in NAMES]:
        for group in [group for item in admin.identity.projects(domain_id=domain.id) for group in admin.network.security_groups(project_id=item.id)]:
            admin.network.delete_security_group(group)
        for user in admin.identity.users(domain_id=domain.id):
            admin.identity.delete_user(user)
        for item in admin.identity.projects(domain_id=domain.id):
            admin.identity.delete_project(item)
        admin.identity.update_domain(domain, is_enabled=False)
        admin.identity.delete_domain(domain)


if __name__ == "__main__":
    if CLOUDS.exists() and facts.CLOUDS_FILE.exists():
        if (DIRECTORY / "right.json").exists():
            mend()
        done = LABS.play("playbooks/destroy.yml", "-e", "destroy_data=true", "-e", json.dumps({"destroy_confirm": "{{ site_name }}"}))
        print("destroyed" if done.returncode == 0 else done.stdout[-3000:])
        if done.returncode:
            sys.exit(1)
        remove_projects()
        shutil.rmtree(DIRECTORY)
