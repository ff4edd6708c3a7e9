# SPDX-License-Identifier: GPL-3.0-or-later
"""A project of the scenario's own, because a lab may have one router, and what others have made in it: `cloud.py DIRECTORY`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "openstack_server" / "tests"))
import cloud_project

LAB, RESERVED, GROUP = "machines", "reserved by the lab", "monitoring"


def prepare(admin, directory):
    """A reserved address, a security group, a network to attach to."""
    lab = cloud_project.login(LAB, cloud_project.make(admin, LAB, directory, routers=1, floating_ips=2))
    cloud_project.share_external_network(admin, lab.current_project_id)
    address = lab.network.create_ip(floating_network_id=lab.network.find_network("Public-Network").id, description=RESERVED)
    (Path(directory) / "address").write_text(address.floating_ip_address)
    group = lab.network.create_security_group(name=GROUP, description="of others")
    lab.network.create_security_group_rule(
        security_group_id=group.id, direction="ingress", ethertype="IPv4", protocol="tcp", port_range_min=9100, port_range_max=9100
    )


if __name__ == "__main__":
    prepare(cloud_project.login("admin"), sys.argv[1])
