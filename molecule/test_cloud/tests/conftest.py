# SPDX-License-Identifier: GPL-3.0-or-later
"""The cloud as its users see it: connections, keys for the object store, a shell on servers."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import openstack
import pytest
import yaml
from botocore.config import Config

sys.path.insert(0, str(Path(__file__).parent))

WORK = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"])


@pytest.fixture(scope="session")
def variables() -> dict[str, Any]:
    """The variables that every scenario with `needs: [cloud]` has."""
    return yaml.safe_load((WORK / "inventory" / "hosts.yml").read_text(encoding="utf-8"))["all"]["vars"]


@pytest.fixture(scope="session")
def connect(variables: dict[str, Any]) -> Callable[[str], openstack.connection.Connection]:
    """Connect to an entry of the clouds file."""
    clouds = yaml.safe_load(Path(variables["testbed_cloud_clouds_file"]).read_text(encoding="utf-8"))["clouds"]
    return lambda name: openstack.connect(load_yaml_config=False, load_envvars=False, **clouds[name])


@pytest.fixture(scope="session")
def create_key(connect: Callable, variables: dict[str, Any]) -> Iterator[Callable]:
    """Ask for an EC2 key with a connection's token, as the command line does; keys are removed at the end."""
    made = []

    def create(cloud: str) -> Any:
        lab = connect(cloud)
        url = f"{variables['testbed_cloud_auth_url']}/users/{lab.current_user_id}/credentials/OS-EC2"
        answer = lab.session.post(url, json={"tenant_id": lab.current_project_id}, raise_exc=False)
        if answer.status_code == 201:
            made.append((lab, f"{url}/{answer.json()['credential']['access']}"))
        return answer

    yield create
    for lab, url in made:
        lab.session.delete(url)


@pytest.fixture(scope="session")
def s3(create_key: Callable, variables: dict[str, Any]) -> Callable[[str], Any]:
    """A client of the object store with a key of the project."""

    def client(cloud: str) -> Any:
        key = create_key(cloud).json()["credential"]
        return boto3.client(
            "s3",
            endpoint_url=variables["testbed_cloud_s3_endpoint"],
            aws_access_key_id=key["access"],
            aws_secret_access_key=key["secret"],
            region_name="us-east-1",
            verify=variables["testbed_cloud_ca_file"],
            config=Config(s3={"addressing_style": "path"}, proxies={}),
        )

    return client
