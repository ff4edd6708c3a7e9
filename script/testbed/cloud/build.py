# SPDX-License-Identifier: GPL-3.0-or-later
"""Image labtrack/cloud: packages, configuration and databases of a cloud that has been set up. Made once, then cached by its recipe."""

from __future__ import annotations

import hashlib
import json
import secrets
import time

import docker

from .. import images, machines
from ..engine import LABEL, TestbedError, alone, say
from . import authority, catalogue, contents, control, facts, files, services

TAG = "labtrack/cloud"
NOT_IN_IMAGE = ("command.py", "control.py", "faults.py", "store.py", "swift.py", "variants.py")
NORMAL = ["/lib/systemd/systemd"]
CONFIGURE = [*NORMAL, "--unit=basic.target"]


def recipe() -> str:
    """Hash of all that decides what is in the image."""
    packages = images.recipe(images.IMAGES["cloud-packages"], images.extra_authorities())
    modules = [path.read_text(encoding="utf-8") for path in sorted(files.HERE.glob("*.py")) if path.name not in NOT_IN_IMAGE]
    return hashlib.sha256("|".join([packages, images.digest(files.HERE / "rootfs"), *modules]).encode()).hexdigest()[:16]


def ensure(client: docker.DockerClient) -> str:
    """Make the image unless one with the same recipe is there; return its tag."""
    want = recipe()
    with alone("image-cloud"):
        try:
            if client.images.get(TAG).labels.get("labtrack.recipe") == want:
                return TAG
        except docker.errors.ImageNotFound:
            pass
        packages = images.ensure(client, "cloud-packages")
        started = time.monotonic()
        say(f"building image {TAG} …")
        _build(client, packages, want)
        say(f"built {TAG} in {time.monotonic() - started:.0f} s")
    return TAG


def _build(client: docker.DockerClient, packages: str, want: str) -> None:
    control.remove(client)
    password = secrets.token_urlsafe(24)
    machine = control.create(client, packages, CONFIGURE)
    try:
        machine.put_archive("/", files.archive({**rendered(password), **authority.certificates()}))
        machine.start()
        machines.wait_booted(machine)
        code, output = machine.exec_run(["/usr/local/sbin/cloud-configure"])
        if code:
            raise TestbedError(f"the cloud could not be configured:\n{output.decode(errors='replace')[-3000:]}")
        files.keep(facts.CA_FILE, files.fetch(machine, facts.CA_SOURCE))
        catalogue.apply(catalogue.connect(password), password)
        machines.run(machine, ["systemctl", "start", "--no-block", "multi-user.target"])
        admin = catalogue.connect(password)  # with a token whose catalogue is complete
        control.wait_ready(admin)
        machines.run(machine, ["runuser", "-u", "nova", "--", "nova-manage", "cell_v2", "discover_hosts"])
        clouds = contents.apply(admin, password)
        machine.put_archive("/", files.archive({facts.CLOUDS_SOURCE: clouds, facts.SECRETS_SOURCE: json.dumps({"password": password})}))
        machine.exec_run(["systemctl", "stop", "haproxy", *services.unit_names()])
        machine.exec_run(["systemctl", "stop", "mariadb", "rabbitmq-server"])
        machine.kill()
        machine.commit(repository=TAG, changes=[f"LABEL {LABEL}=image labtrack.recipe={want}", f"CMD {json.dumps(NORMAL)}"])
    finally:
        control.remove(client)


def rendered(password: str) -> dict[str, str]:
    """Files for the control plane's container."""
    login = (
        "auth_type = password\nauth_url = http://127.0.0.1:5000/v3\nproject_domain_name = Default\nuser_domain_name = Default\n"
        f"project_name = service\nusername = {{user}}\npassword = {password}\nregion_name = {facts.REGION}"
    )
    token = (
        f"[keystone_authtoken]\nwww_authenticate_uri = {facts.AUTH_URL}\nmemcached_servers = 127.0.0.1:11211\n"
        "service_token_roles = service\nservice_token_roles_required = true\n"
    )
    owner = {"nova_api": "nova"}
    variables = {
        "address": facts.ADDRESS,
        "prefix": facts.PREFIX,
        "gateway": facts.GATEWAY,
        "auth_url": facts.AUTH_URL,
        "region": facts.REGION,
        "external_network": facts.EXTERNAL_NETWORK,
        "volume_type": facts.VOLUME_TYPE,
        "password": password,
        "rabbit": f"rabbit://openstack:{password}@127.0.0.1:5672/",
        "apis": [*services.APIS, *services.STORES],
        "units": " ".join(["cloud-network", *services.unit_names()]),
        "database": lambda name: f"mysql+pymysql://{owner.get(name, name)}:{password}@127.0.0.1/{name}?charset=utf8",
        "service_login": lambda user: login.format(user=user),
        "authtoken": lambda user: token + login.format(user=user),
    }
    return {**services.files(), **files.render(files.HERE / "rootfs", variables)}
