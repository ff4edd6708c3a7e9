# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and addresses of the test cloud. They are constants, because the catalogue in its database holds them."""

from __future__ import annotations

from pathlib import Path

from ..engine import SHARED

CONTROL = "labtrack-cloud"  # container of the control plane
STORE = "labtrack-cloud-store"  # container of the object store
SWIFT = "labtrack-cloud-swift"  # container of the other object store
NETWORK = "labtrack-cloud"  # the external network: floating IPs are addresses of it
SUBNET = "172.30.98.0/24"
PREFIX = 24
GATEWAY = "172.30.98.1"  # this machine
DOCKER_RANGE = "172.30.98.32/27"  # what Docker may give away
FLOATING_RANGE = ("172.30.98.100", "172.30.98.199")
ADDRESS = "172.30.98.10"
STORE_ADDRESS = "172.30.98.20"
STORE_PORT = 7480
SWIFT_ADDRESS = "172.30.98.21"
SWIFT_PORT = 8080

REGION = "RegionOne"
EXTERNAL_NETWORK = "Public-Network"
VOLUME_TYPE = "rbd1"
IMAGE = "Debian-13"
FLAVORS = {"p1-1.5gb": (1, 1536), "p1-3gb": (1, 3072), "p2-4gb": (2, 4096)}
AUTH_URL = f"https://{ADDRESS}:5000/v3"
S3_ENDPOINT = f"https://{ADDRESS}:{STORE_PORT}"
SWIFT_ENDPOINT = f"https://{ADDRESS}:{SWIFT_PORT}"

# in the control plane's container
CA_SOURCE = "etc/labtrack-cloud/ca.pem"
CLOUDS_SOURCE = "etc/labtrack-cloud/clouds.yaml"
SECRETS_SOURCE = "etc/labtrack-cloud/secrets.json"
# on this machine
DIRECTORY: Path = SHARED / "cloud"
CLOUDS_FILE = DIRECTORY / "clouds.yaml"
CA_FILE = DIRECTORY / "ca.pem"
