# SPDX-License-Identifier: GPL-3.0-or-later
"""Sites in projects of their own. What can be switched for a project alone is, because others use the cloud, too."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from testbed import engine
from testbed.cloud import faults, variants

sys.path.insert(0, str(Path(__file__).parents[2] / "openstack_server" / "tests"))
from cloud_site import Site, words

WORK = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])


@pytest.fixture(scope="session")
def client():
    """The engine that runs the cloud."""
    return engine.connect()


@pytest.fixture(scope="session")
def site():
    """A site that is begun anew by each test that makes it."""
    return Site(WORK / "own", "variants", {})


@pytest.fixture(scope="session")
def play(site):
    """What a person types to have the machine: all that `check_site.yml` asks comes before it."""
    return lambda *options, **extra: site.play("site.yml", "--tags", "openstack_server", "-e", json.dumps(extra), *options)


@pytest.fixture(scope="session")
def refused(site, play):
    """What a refused run says; nothing may have been made."""

    def check(**extra):
        before = site.things()
        done = play(**extra)
        assert done.returncode == 2, done.stdout[-4000:]
        assert site.things() == before, "something was made"
        return words(done)

    return check


@pytest.fixture(scope="session")
def switched(client):
    """A variant of the whole cloud, for seconds."""
    return lambda name: variants.variant(client, name)


@pytest.fixture(scope="session")
def quota(site):
    """The project's quota, switched as the variant quota-exhausted does it for the labs."""

    @contextmanager
    def change(kinds=("compute", "volume", "network"), network=("floating_ips", "ports", "security_groups", "networks", "routers")):
        project, admin = site.lab.current_project_id, site.admin
        if "compute" in kinds:
            admin.set_compute_quotas(project, instances=0, cores=0, ram=0)
        if "volume" in kinds:
            admin.set_volume_quotas(project, volumes=0, gigabytes=0)
        before = admin.network.get_quota(project)
        admin.network.update_quota(project, **dict.fromkeys(network, 0))
        try:
            yield
        finally:
            admin.delete_compute_quotas(project)
            admin.delete_volume_quotas(project)
            admin.network.update_quota(project, **{name: getattr(before, name) for name in network})

    return change


@pytest.fixture
def fault(client):
    """Wrong answers for the next requests, one for each status; all are forgotten after the test."""

    def add(service, method, part, *statuses):
        for status in statuses:
            faults.add(client, service, method, part, status)

    yield add
    faults.clear(client)
